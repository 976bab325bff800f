"""Wrong answers to the exercises of the chapter on REST."""

from __future__ import annotations

from collections.abc import Callable

from bookkit.exercises import wrong

Thing = dict[str, int]


@wrong("status_of", says="makes it")
def put_needs_it(method: str, path: str, names: set[str]) -> int:
    if path == "/containers":
        return {"GET": 200, "POST": 201}.get(method, 405)
    if not path.startswith("/containers/"):
        return 404
    if method not in ("GET", "PUT", "PATCH", "DELETE"):
        return 405
    return 200 if path.removeprefix("/containers/") in names else 404


@wrong("status_of", says="this verb on it does not")
def any_verb(method: str, path: str, names: set[str]) -> int:
    if path == "/containers":
        return 201 if method == "POST" else 200
    if path.removeprefix("/containers/") in names:
        return 200
    return 201 if method == "PUT" else 404


@wrong("update", says="somebody was faster")
def once(get: Callable[[], Thing], put: Callable[[Thing], int], change: Callable[[Thing], Thing]) -> int:
    return put(change(get()))


@wrong("update", says="Look again")
def reads_once(get: Callable[[], Thing], put: Callable[[Thing], int], change: Callable[[Thing], Thing]) -> int:
    seen, status = get(), 409
    for _ in range(5):
        status = put(change(seen))
        if status != 409:
            break
    return status


@wrong("update", says="Give up after five tries")
def never_gives_up(get: Callable[[], Thing], put: Callable[[Thing], int], change: Callable[[Thing], Thing]) -> int:
    while (status := put(change(get()))) == 409:
        pass
    return status


@wrong("update", says="Only a conflict is worth repeating")
def repeats_whatever_failed(get: Callable[[], Thing], put: Callable[[Thing], int], change: Callable[[Thing], Thing]) -> int:
    status = 0
    for _ in range(5):
        status = put(change(get()))
        if status == 200:
            break
    return status
