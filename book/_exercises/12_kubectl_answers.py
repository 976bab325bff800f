"""Checks for the exercises of "What does kubectl ask?"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def number_in(answer: Answer) -> None:
    answer(b"\x05").gives(5, hint="Below 128 the byte is the number.")
    answer(b"\xac\x02").gives(300, hint="Take off the top bits; the first byte holds the lowest seven bits.")
    answer(b"\x96\x01").gives(150, hint="Each further byte counts 128 times as much as the one before.")
    answer(b"\x05\x07").gives(5, hint="A byte whose top bit is not set is the last one of the number.")
    answer(b"\x80\x80\x01").gives(16384, hint="A number can take more than two bytes.")


LISTS = [
    {"groupVersion": "v1", "resources": [
        {"name": "events", "singularName": "event", "shortNames": ["ev"]},
        {"name": "pods", "singularName": "pod", "shortNames": ["po"]},
        {"name": "pods/log", "singularName": "", "kind": "Pod"}, {"name": "secrets", "singularName": "secret"}]},
    {"groupVersion": "apps/v1", "resources": [
        {"name": "deployments", "singularName": "deployment", "shortNames": ["deploy"]}]},
    {"groupVersion": "events.k8s.io/v1", "resources": [
        {"name": "events", "singularName": "event", "shortNames": ["ev"]}]},
]


@exercise
def resolve(answer: Answer) -> None:
    answer(LISTS, "pods").gives(("v1", "pods"), hint="The word is a name; the answer is a pair.")
    answer(LISTS, "deployment").gives(("apps/v1", "deployments"), hint="A singular name counts as well.")
    answer(LISTS, "po").gives(("v1", "pods"), hint="A short name counts as well.")
    answer(LISTS, "secret").gives(("v1", "secrets"), hint="Not every resource has short names.")
    answer(LISTS, "Deploy").gives(("apps/v1", "deployments"), hint="Capitals don't count.")
    answer(LISTS, "ev").gives(("v1", "events"), hint="Two groups have events: the first in the server's order is meant.")
    answer(LISTS, "pods/log").gives(None, hint="A subresource is not meant by a word.")
    answer(LISTS, "unicorn").gives(None, hint="A word that nobody knows leads to None.")


@exercise
def text_field(answer: Answer) -> None:
    answer(1, "web").gives(b"\x0a\x03web", hint="Tag, length, text: the tag of field 1 is 1 shifted by three bits, and 2.")
    answer(3, "").gives(b"\x1a\x00", hint="An empty text has a length, too.")
    answer(2, "é").gives(b"\x12\x02\xc3\xa9", hint="The length counts bytes, not letters.")
    answer(16, "a").gives(b"\x82\x01\x01a", hint="From field 16 on the tag takes two bytes: it is a varint.")
    answer(1, "x" * 200).gives(b"\x0a\xc8\x01" + b"x" * 200, hint="The length is a varint: 200 takes two bytes.")
