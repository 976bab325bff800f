"""Checks for the exercises of "Who makes it run?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def restart(answer: Answer) -> None:
    answer("Always", 1).gives(True, hint="Always means always.")
    answer("Always", 0).gives(True, hint="Always means also after a good end: a server that ends has not done its job.")
    answer("OnFailure", 3).gives(True, hint="Any exit code but 0 is a failure, not only 1.")
    answer("OnFailure", 137).gives(True, hint="137 is a failure, too: it was killed.")
    answer("OnFailure", 0).gives(False, hint="It ended well, so there is nothing to try again.")
    answer("Never", 1).gives(False, hint="Never means never, whatever the exit code.")
    answer("Never", 0).gives(False, hint="Never means never, whatever the exit code.")


@exercise
def waits(answer: Answer) -> None:
    answer(0).gives([], hint="No restart, no wait.")
    answer(1).gives([0], hint="The first restart happens at once.")
    answer(3).gives([0, 10, 20], hint="After the first one the wait begins at ten seconds, and doubles.")
    answer(7).gives([0, 10, 20, 40, 80, 160, 300], hint="It grows to five minutes, which is 300 seconds, and no further.")
    answer(9).gives([0, 10, 20, 40, 80, 160, 300, 300, 300], hint="At five minutes it stays: nobody gives up.")


@exercise
def todo(answer: Answer) -> None:
    answer(set(), set()).gives({"start": [], "stop": []}, hint="Nothing wanted, nothing there, nothing to do.")
    answer({"a", "b"}, set()).gives({"start": ["a", "b"], "stop": []}, hint="All that is wanted has to be started.")
    answer({"a", "b"}, {"a"}).gives({"start": ["b"], "stop": []}, hint="a runs already: starting it again would be one too many.")
    answer({"a"}, {"a", "old"}).gives(
        {"start": [], "stop": ["old"]},
        hint="old was deleted while nobody looked. Who compares only in one direction lets it run forever.")
    answer({"b", "c"}, {"c", "z", "y"}).gives({"start": ["b"], "stop": ["y", "z"]}, hint="Both lists are sorted.")
    answer({"a"}, {"b"}).keeps_its_arguments()
