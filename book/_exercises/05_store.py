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


CHANGES = [(4, "web"), (5, "web"), (5, "db"), (7, "mail")]


@exercise
def missed(answer: Answer) -> None:
    """What a watcher has to be told."""
    answer(CHANGES, 4, 5).gives([(7, ["mail"])], hint="It knows all up to 5: nothing is told twice.")
    answer(CHANGES, 4, 4).gives([(5, ["web", "db"]), (7, ["mail"])],
                                hint="Two changes have the revision 5: one batch, so that nobody sees half of a transaction.")
    answer(CHANGES, 4, 7).gives([], hint="There is nothing new, which is no error.")
    answer(CHANGES, 4, 2).gives(None, hint="Revision 3 is forgotten, and this watcher has not been told of it. No gap may "
                                           "go unnoticed: return None.")
    answer(CHANGES, 4, 3).gives([(4, ["web"]), (5, ["web", "db"]), (7, ["mail"])],
                                hint="It knows 3, and 4 is still there: what is compacted is the time before revision 4.")
    answer(CHANGES, -1, 0).gives([(4, ["web"]), (5, ["web", "db"]), (7, ["mail"])],
                                 hint="-1 says that nothing was compacted yet, so all that ever happened is there.")
    answer(CHANGES, 4, 4).keeps_its_arguments()
