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
