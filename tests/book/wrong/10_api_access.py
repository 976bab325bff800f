"""Answers that people would give to the exercises of "Who are you, and may you?", and what they should be told."""

from __future__ import annotations

import base64
import json
from fnmatch import fnmatch
from typing import Any

from bookkit.exercises import wrong

Rule = dict[str, Any]
Pairs = list[tuple[str, str]]


def has(rule: Rule, field: str, value: str) -> bool:
    return value in rule[field] or "*" in rule[field]


@wrong("allows", says="without a name")
def no_name_is_any_name(rule: Rule, verb: str, group: str, resource: str, name: str = "") -> bool:
    names = rule.get("resourceNames") or []
    return (has(rule, "verbs", verb) and has(rule, "apiGroups", group) and has(rule, "resources", resource)
            and (not names or not name or name in names))


@wrong("allows", says="pods/log")
def parts_belong_to_it(rule: Rule, verb: str, group: str, resource: str, name: str = "") -> bool:
    names = rule.get("resourceNames") or []
    return (has(rule, "verbs", verb) and has(rule, "apiGroups", group) and has(rule, "resources", resource.split("/")[0])
            and (not names or name in names))


@wrong("claims_of", says="multiple of four")
def one_sign_is_enough(token: str) -> Any:
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (len(middle) % 4 and 1)))


@wrong("claims_of", says="Base64 for URLs")
def the_usual_letters(token: str) -> Any:
    middle = token.split(".")[1]
    return json.loads(base64.b64decode(middle + "=" * (-len(middle) % 4)))


@wrong("excess", says="covers every")
def stars_are_letters(held: Pairs, given: Pairs) -> Pairs:
    return [pair for pair in given if pair not in held]


@wrong("excess", says="get is not *")
def stars_on_both_sides(held: Pairs, given: Pairs) -> Pairs:
    def alike(mine: tuple[str, str], pair: tuple[str, str]) -> bool:
        return all(fnmatch(want, have) or fnmatch(have, want) for have, want in zip(mine, pair, strict=True))
    return [pair for pair in given if not any(alike(mine, pair) for mine in held)]
