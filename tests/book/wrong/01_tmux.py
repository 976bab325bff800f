"""Wrong answers to the exercises of the chapter on tmux."""

from __future__ import annotations

from bookkit.exercises import wrong

Commands = list[list[str]]


@wrong("layout_commands", says="type each command before the next split")
def types_at_the_end(session: str, panes: dict[str, str | None]) -> Commands:
    made = [["new-session", "-d", "-s", session]]
    for _ in list(panes)[1:]:
        made += [["split-window", "-t", session], ["select-layout", "-t", session, "tiled"]]
    return made + [["send-keys", "-t", session, line, "Enter"] for line in panes.values() if line]


@wrong("layout_commands", says="the last argument is the key Enter")
def forgets_enter(session: str, panes: dict[str, str | None]) -> Commands:
    made = [["new-session", "-d", "-s", session]]
    for n, line in enumerate(panes.values()):
        if n:
            made += [["split-window", "-t", session], ["select-layout", "-t", session, "tiled"]]
        if line:
            made.append(["send-keys", "-t", session, line])
    return made


@wrong("layout_commands", says="None means that nothing is typed")
def types_none(session: str, panes: dict[str, str | None]) -> Commands:
    made = [["new-session", "-d", "-s", session]]
    for n, line in enumerate(panes.values()):
        if n:
            made += [["split-window", "-t", session], ["select-layout", "-t", session, "tiled"]]
        made.append(["send-keys", "-t", session, str(line), "Enter"])
    return made


@wrong("dead_panes", says="the text '0' counts as true")
def believes_the_text(listing: str) -> dict[str, int | None]:
    rows = [line.split("\t") for line in listing.splitlines()]
    return {name: int(status) if status else None for name, dead, status in rows if dead}


@wrong("dead_panes", says="Fields are separated by tabs")
def splits_at_spaces(listing: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for line in listing.splitlines():
        parts = line.split()
        if parts[1] == "1":
            found[parts[0]] = int(parts[2])
    return found


@wrong("dead_panes", says="leaves no status")
def wants_a_status(listing: str) -> dict[str, int | None]:
    rows = [line.split("\t") for line in listing.splitlines()]
    return {name: int(status) for name, dead, status in rows if dead == "1"}
