"""Checks for the exercises of the chapter on the store."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise

LIFE = [(2, "starting"), (3, "running"), (5, None), (8, "starting")]


@exercise
def at(answer: Answer) -> None:
    """The value of a key at a revision."""
    answer(LIFE, 3).gives("running", hint="A change is visible at its own revision.")
    answer(LIFE, 4).gives("running", hint="Nothing happened to this key at 4: what was there before still is.")
    answer(LIFE, 1).gives(None, hint="Before its first version, the key was not there.")
    answer(LIFE, 6).gives(None, hint="A tombstone is a version as any other, it hides those before it.")
    answer(LIFE, 99).gives("starting", hint="The newest version holds until there is a newer one.")
    answer([], 5).gives(None, hint="A key that was never written has no versions.")


@exercise
def compacted(answer: Answer) -> None:
    """What compaction leaves of a key."""
    answer(LIFE, 3).gives([(3, "running"), (5, None), (8, "starting")],
                          hint="Whoever reads at 3 sees running, so that has to stay; starting can go.")
    answer(LIFE, 4).gives([(3, "running"), (5, None), (8, "starting")],
                          hint="Whoever reads at 4 sees what was written at 3: the last version before stays.")
    answer(LIFE, 6).gives([(8, "starting")], hint="A tombstone that is the last version says the same as none at all.")
    answer(LIFE, 1).gives(LIFE, hint="What came after the revision all stays.")
    answer([], 3).gives([], hint="Nothing becomes nothing.")
    answer(LIFE, 5).keeps_its_arguments()
