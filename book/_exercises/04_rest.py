"""Checks for the exercises of the chapter on REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bookkit.exercises import Answer, exercise


@exercise
def status_of(answer: Answer) -> None:
    """Status codes by method, path and what exists."""
    names = {"web", "db"}
    answer("GET", "/containers", names).gives(200, hint="A list is there, even an empty one.")
    answer("POST", "/containers", names).gives(201, hint="201 says that something new was made.")
    answer("GET", "/containers/web", names).gives(200, hint="It exists.")
    answer("GET", "/containers/no", names).gives(404, hint="There is none of that name.")
    answer("DELETE", "/containers/no", names).gives(404, hint="What is not there can't be deleted.")
    answer("PUT", "/containers/web", names).gives(200, hint="It was there, and is replaced.")
    answer("PUT", "/containers/new", names).gives(201, hint="A PUT of what was not there makes it.")
    answer("POST", "/containers/web", names).gives(405, hint="The path exists, this verb on it does not.")
    answer("DELETE", "/containers", names).gives(405, hint="The table in the chapter has no DELETE for a collection.")
    answer("GET", "/pods", names).gives(404, hint="There is no such resource.")


@exercise
def update(answer: Answer) -> None:
    """Look, change, put, and again on a conflict."""
    for conflicts, last, hint in [
        (0, 200, "Nobody was in the way: one try is enough."),
        (2, 200, "409 says: somebody was faster. Look again, change again, put again."),
        (9, 409, "Give up after five tries."),
        (0, 404, "Only a conflict is worth repeating: a 404 is still a 404 the next time."),
    ]:
        world = World(conflicts, last)
        said = "409 each time" if conflicts > MOST else ", ".join(map(str, [409] * conflicts + [last]))
        answer(Named("get", world.get), Named(f"put, which says {said}", world.put),
               Named("change", lambda seen: seen | {"replicas": 3})).gives(last, hint=hint)


MOST = 5


class Named:
    """A function that a reader is shown by its name."""

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call = name, call

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class World:
    """A server that somebody else writes to: the first `conflicts` puts come too late."""

    def __init__(self, conflicts: int, last: int) -> None:
        self.conflicts, self.last, self.version, self.puts = conflicts, last, 1, 0
        self.over = False

    def get(self) -> dict[str, int]:
        return {"version": self.version}

    def put(self, thing: dict[str, int]) -> int:
        self.puts += 1
        if self.over:
            raise RuntimeError(f"put was called again after it had said {self.last}")
        if self.puts > MOST:
            raise RuntimeError(f"put was called more than {MOST} times")
        if thing["version"] != self.version:
            raise RuntimeError(f"put was given version {thing['version']} again, after a 409 for it")
        self.version += 1
        if self.conflicts:
            self.conflicts -= 1
            return 409
        self.over = True
        return self.last
