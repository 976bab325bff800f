"""Checks of the chapter on tmux."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def layout_commands(answer: Answer) -> None:
    """The tmux commands that open a session with a pane a component."""
    new = ["new-session", "-d", "-s", "lab"]
    split, tiled = ["split-window", "-t", "lab"], ["select-layout", "-t", "lab", "tiled"]

    def typed(line: str) -> list[str]:
        return ["send-keys", "-t", "lab", line, "Enter"]

    answer("lab", {"api": None}).gives(
        [new], hint="One pane is there as soon as the session is. None means that nothing is typed into it.")
    answer("lab", {"api": "make api"}).gives(
        [new, typed("make api")], hint="send-keys types; the last argument is the key Enter, without which the line "
        "stands there and nothing runs.")
    answer("lab", {"api": "make api", "store": "make store"}).gives(
        [new, typed("make api"), split, tiled, typed("make store")],
        hint="The pane that was opened last is the active one, and send-keys goes to it: type each command before "
        "the next split.")
    answer("lab", {"api": None, "store": None, "scheduler": "make sched"}).gives(
        [new, split, tiled, split, tiled, typed("make sched")],
        hint="Lay out after each split: split-window halves the active pane, and after a few halves there is "
        "no space for a new one.")
    answer("day", {"a": "x y"}).gives(
        [["new-session", "-d", "-s", "day"], ["send-keys", "-t", "day", "x y", "Enter"]],
        hint="The session's name is the first argument. A command line stays one argument, spaces and all.")


@exercise
def dead_panes(answer: Answer) -> None:
    """Which panes' processes have ended, and with what status."""
    answer("api\t0\t\nstore\t0\t").gives(
        {}, hint="pane_dead is 0 for a living pane. It arrives as text, and the text '0' counts as true in Python.")
    answer("api\t0\t\nstore\t1\t3").gives({"store": 3}, hint="The status is a number: int('3').")
    answer("api server\t1\t0\nstore\t0\t").gives(
        {"api server": 0}, hint="Fields are separated by tabs. A name may have a space in it, and a process that "
        "ended with status 0 has ended, too.")
    answer("api\t1\t").gives(
        {"api": None}, hint="A process that a signal has ended leaves no status: the field is empty. Say None.")
    answer("").gives({}, hint="No panes, no lines, nothing dead.")
