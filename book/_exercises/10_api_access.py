"""Checks for the exercises of "Who are you, and may you?"."""

from __future__ import annotations

import base64
import json
from typing import Any

from bookkit.exercises import Answer, exercise


def rule(verbs: str, resources: str, group: str = "", *names: str) -> dict[str, Any]:
    """A rule, shortly."""
    made = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return made | ({"resourceNames": list(names)} if names else {})


@exercise
def allows(answer: Answer) -> None:
    reader = rule("get list", "pods")
    answer(reader, "get", "", "pods").gives(True, hint="Verb, group and resource are all in the rule.")
    answer(reader, "delete", "", "pods").gives(False, hint="The rule has no delete.")
    answer(reader, "get", "apps", "pods").gives(False, hint="The group is another one: look at apiGroups, too.")
    answer(reader, "get", "", "pods/log").gives(False, hint="A part of a pod is not the pod: pods does not mean pods/log.")
    answer(rule("*", "*", "*"), "approve", "x.io", "things").gives(True, hint="A star stands for everything.")
    one = rule("get", "secrets", "", "mine")
    answer(one, "get", "", "secrets", "mine").gives(True, hint="The name is one of those in resourceNames.")
    answer(one, "get", "", "secrets", "yours").gives(False, hint="resourceNames holds other names only.")
    answer(one, "get", "", "secrets").gives(False, hint="With resourceNames, a request without a name is not allowed.")


def token_of(claims: dict[str, Any]) -> str:
    """A token that nobody signed."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in ({"alg": "none"}, claims)]
    return ".".join([*parts, "c2ln"])


@exercise
def claims_of(answer: Answer) -> None:
    for name in ("ann", "anna", "annab", "annabel"):
        claims = {"sub": name}
        answer(token_of(claims)).gives(claims, hint="Fill up with '=' to a multiple of four letters: not every token lacks the same number.")
    odd = {"sub": "\u00ff\u00fe?>~~\u00ff", "aud": ["a"]}
    answer(token_of(odd)).gives(odd, hint="Base64 for URLs has '-' and '_' where the usual one has '+' and '/'.")
    letters = {"n": "~~~???", "sub": ">>>"}
    answer(token_of(letters)).gives(letters, hint="Base64 for URLs has '-' and '_' where the usual one has '+' and '/'.")


@exercise
def excess(answer: Answer) -> None:
    held = [("get", "pods"), ("*", "configmaps"), ("list", "*")]
    answer(held, [("get", "pods")]).gives([], hint="Who holds a pair may give it away.")
    answer(held, [("delete", "configmaps")]).gives([], hint="A star among what is held covers every verb.")
    answer(held, [("list", "secrets")]).gives([], hint="A star among what is held covers every resource.")
    answer(held, [("delete", "pods"), ("get", "pods"), ("get", "secrets")]).gives(
        [("delete", "pods"), ("get", "secrets")], hint="What is not covered comes back, in its order.")
    answer(held, [("*", "pods")]).gives([("*", "pods")], hint="To give everything one has to hold everything: get is not *.")
    answer([], [("get", "pods")]).gives([("get", "pods")], hint="Who holds nothing can give nothing.")
