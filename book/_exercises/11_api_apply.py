"""Checks for the exercises of "Patch and apply"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def merged(answer: Answer) -> None:
    answer({"a": 1}, {"b": 2}).gives({"a": 1, "b": 2}, hint="What the patch does not mention stays.")
    answer({"a": 1, "b": 2}, {"a": None}).gives({"b": 2}, hint="None in a patch means: remove this field.")
    answer({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}).gives(
        {"a": {"x": 1, "y": 3}}, hint="Objects inside objects merge in the same way.")
    answer({"a": [1, 2]}, {"a": [3]}).gives({"a": [3]}, hint="A list is not merged: the new one replaces it.")
    answer({"a": "text"}, {"a": {"b": 1}}).gives(
        {"a": {"b": 1}}, hint="Where the target has no object, the patch is merged into an empty one.")
    answer({}, {"a": {"b": {"c": None}}}).gives(
        {"a": {"b": {}}}, hint="A None that removes nothing must not be left in the result, at any depth.")
    answer({"a": {"x": 1}}, {"a": {"y": 2}}).keeps_its_arguments()


@exercise
def conflicts(answer: Answer) -> None:
    ann = {"ann": {"sky"}}
    answer(ann, "ben", {"sky": "blue"}, {"sky": "gray"}).gives({"ann": ["sky"]}, hint="Ben would change what Ann owns.")
    answer(ann, "ben", {"sky": "blue"}, {"sky": "blue"}).gives(
        {}, hint="Who writes the value that is there changes nothing: the two agree.")
    answer(ann, "ann", {"sky": "blue"}, {"sky": "gray"}).gives({}, hint="Nobody is in conflict with himself.")
    answer(ann, "ben", {"sky": "blue", "sea": "deep"}, {"sea": "flat"}).gives(
        {}, hint="What an apply does not mention it does not change.")
    answer({"ann": {"sky", "sea", "sun"}, "cleo": {"moon"}}, "ben", {"sky": "blue", "sea": "deep"},
           {"sea": "flat", "sky": "gray"}).gives({"ann": ["sea", "sky"]}, hint="Sorted, and only what would change.")
    answer({"ann": {"sky"}}, "ben", {}, {"sky": "gray"}).gives(
        {"ann": ["sky"]}, hint="A field can be owned and absent; to add it is a change, too.")


@exercise
def given_up(answer: Answer) -> None:
    answer({"sky", "sea"}, {"sky"}, []).gives({"sea"}, hint="Applied last time, not now, and nobody else's.")
    answer({"sky", "sea"}, {"sky"}, [{"sea"}]).gives(set(), hint="What somebody else owns stays.")
    answer({"sky"}, {"sky", "sea"}, []).gives(set(), hint="What is new is not given up.")
    answer({"sky", "sea", "sun"}, set(), [{"sea"}, {"sun"}]).gives({"sky"}, hint="Look at all the others, not at one.")
