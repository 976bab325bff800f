"""Label and field selectors: the small query language of `-l` and `--field-selector`."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tinykube.machinery.wire import Object

TOKEN = re.compile(r"==|!=|[=!(),<>]|[^\s=!(),<>]+")
SPECIAL = frozenset({"", "==", "!=", "=", "!", "(", ")", ",", "<", ">"})
OPERATORS = {"in": "In", "notin": "NotIn", "=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}

NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
NAME_RULE = ("must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
             "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
             f"'{NAME.pattern}')")
VALUE_RULE = ("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
              "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
              f"regex used for validation is '({NAME.pattern})?')")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SUBDOMAIN_RULE = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
                  "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "
                  f"is '{SUBDOMAIN.pattern}')")


def label_value_errors(value: str) -> list[str]:
    """What is wrong with a label's value; an empty list if nothing is."""
    errors = ["must be no more than 63 bytes"] if len(value.encode()) > 63 else []
    if value and not NAME.fullmatch(value):
        errors.append(VALUE_RULE)
    return errors


def label_key_errors(key: str) -> list[str]:
    """What is wrong with a label's key, `name` or `prefix/name`; an empty list if nothing is."""
    *prefixes, name = key.split("/")
    if len(prefixes) > 1:
        return [f"a valid label key {NAME_RULE} with an optional DNS subdomain prefix and '/' "
                "(e.g. 'example.com/MyName')"]
    errors = [f"prefix part {error}" for prefix in prefixes for error in subdomain_errors(prefix)]
    if not name:
        errors.append("name part must be non-empty")
    if len(name.encode()) > 63:
        errors.append("name part must be no more than 63 bytes")
    return errors if NAME.fullmatch(name) else [*errors, f"name part {NAME_RULE}"]


def subdomain_errors(value: str) -> list[str]:
    """What is wrong with a DNS subdomain, the form of most objects' names; an empty list if nothing is."""
    if not value:
        return ["must be non-empty"]
    errors = ["must be no more than 253 bytes"] if len(value.encode()) > 253 else []
    return errors if SUBDOMAIN.fullmatch(value) else [*errors, SUBDOMAIN_RULE]


@dataclass(frozen=True)
class Requirement:
    """One condition on labels: a key, an operator (In, NotIn, Exists, DoesNotExist, Gt, Lt) and values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels meets the condition. An absent key meets NotIn and DoesNotExist."""
        value = labels.get(self.key)
        if self.operator in ("NotIn", "DoesNotExist"):
            return value is None or (self.operator == "NotIn" and value not in self.values)
        if value is None or self.operator in ("In", "Exists"):
            return value is not None and (self.operator == "Exists" or value in self.values)
        have, bound = _integer(value), _integer(self.values[0]) if self.values else None
        if have is None or bound is None:
            return False
        return have > bound if self.operator == "Gt" else have < bound

    def check(self) -> Requirement:
        """The requirement itself. Raises ValueError, with the genuine text, if its key or a value is malformed."""
        if errors := label_key_errors(self.key):
            raise ValueError(f"<nil>: Invalid value: {json.dumps(self.key)}: {'; '.join(errors)}")
        causes = [f"values[{index}][{self.key}]: Invalid value: {json.dumps(value)}: {'; '.join(errors)}"
                  for index, value in enumerate(self.values) if (errors := label_value_errors(value))]
        if self.operator in ("Gt", "Lt") and _integer(self.values[0]) is None:
            causes.insert(0, f"values[0]: Invalid value: {json.dumps(self.values[0])}: for 'Gt', 'Lt' operators, "
                             "the value must be an integer")
        if causes:
            raise ValueError(causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]")
        return self


@dataclass(frozen=True)
class LabelSelector:
    """Conditions that must all hold. An empty one selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels meets every condition."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


def parse_label_selector(text: str) -> LabelSelector:
    """Read a selector such as `app=web,tier in (a, b),!canary`. Raises ValueError with the genuine text."""
    tokens = Tokens(text)
    requirements: list[Requirement] = []
    while tokens.next:
        if tokens.next in SPECIAL - {"!"}:
            wanted = "identifier after ','" if requirements else "!, identifier, or 'end of string'"
            raise ValueError(f"found '{tokens.next}', expected: {wanted}")
        try:
            requirements.append(_requirement(tokens).check())
        except ValueError as error:
            raise ValueError(f"unable to parse requirement: {error}") from None
        if (separator := tokens.take()) not in ("", ","):
            raise ValueError(f"found '{separator}', expected: ',' or 'end of string'")
        if separator == "," and not tokens.next:
            raise ValueError("found '', expected: identifier after ','")
    return LabelSelector(tuple(requirements))


def selector_of(selector: Object | None) -> LabelSelector:
    """The selector that an object spells out as `matchLabels` and `matchExpressions`. None selects nothing."""
    if selector is None:
        return LabelSelector((Requirement("-", "In", ()),))
    exact = [Requirement(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    terms = [Requirement(term["key"], term["operator"], tuple(term.get("values") or ()))
             for term in selector.get("matchExpressions") or ()]
    return LabelSelector((*exact, *terms))


class Tokens:
    """The words and signs of a selector, one after another; an empty string stands for the end."""

    def __init__(self, text: str) -> None:
        self._all = iter(TOKEN.findall(text))
        self.next = next(self._all, "")

    def take(self) -> str:
        """The next token, which is then gone."""
        taken, self.next = self.next, next(self._all, "")
        return taken


def _requirement(tokens: Tokens) -> Requirement:
    negated = tokens.next == "!" and tokens.take() == "!"
    key = tokens.take()
    if key in SPECIAL:
        raise ValueError(f"found '{key}', expected: identifier")
    if errors := label_key_errors(key):
        raise ValueError(f"<nil>: Invalid value: {json.dumps(key)}: {'; '.join(errors)}")
    if negated or tokens.next in ("", ","):
        return Requirement(key, "DoesNotExist" if negated else "Exists")
    operator = tokens.take()
    if operator not in OPERATORS:
        raise ValueError(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    values = _value_list(tokens) if operator in ("in", "notin") else _one_value(tokens)
    return Requirement(key, OPERATORS[operator], tuple(sorted(values)))


def _one_value(tokens: Tokens) -> set[str]:
    if tokens.next in ("", ","):
        return {""}
    value = tokens.take()
    if value in SPECIAL:
        raise ValueError(f"found '{value}', expected: identifier")
    return {value}


def _value_list(tokens: Tokens) -> set[str]:
    if (found := tokens.take()) != "(":
        raise ValueError(f"found '{found}' expected: '('")
    if tokens.next in SPECIAL - {",", ")"}:
        raise ValueError(f"found '{tokens.next}', expected: ',', ')' or identifier")
    values = set()
    while True:
        if tokens.next in SPECIAL - {",", ")"}:
            raise ValueError(f"found '{tokens.next}', expected: ',', or identifier")
        values.add("" if tokens.next in (",", ")") else tokens.take())
        if (found := tokens.take()) not in (",", ")"):
            raise ValueError(f"found '{found}', expected: ',' or ')'")
        if found == ")":
            return values


def _integer(text: str) -> int | None:
    fits = re.fullmatch(r"[+-]?[0-9]+", text) and -(1 << 63) <= int(text) < 1 << 63
    return int(text) if fits else None


@dataclass(frozen=True)
class FieldRequirement:
    """One condition on a field: it equals the value, or it must not."""

    field: str
    value: str
    negated: bool = False


def parse_field_selector(text: str) -> list[FieldRequirement]:
    """Read a selector such as `spec.nodeName=ant,status.phase!=Failed`. Raises ValueError with the genuine text."""
    terms = re.findall(r"(?:[^,\\]|\\.|\\$)+", text)
    return [_field_requirement(term, text) for term in terms]


def _field_requirement(term: str, text: str) -> FieldRequirement:
    split = re.fullmatch(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
    if not split:
        raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
    if bad := re.match(r"(?:[^\\=]|\\[\\,=])*+(\\.?|=)", split[3]):
        why = "unescaped character in value: 61" if bad[1] == "=" else f"invalid escape sequence: {bad[1]}"
        raise ValueError(f"invalid field selector: {why}")
    return FieldRequirement(split[1], re.sub(r"\\(.)", r"\1", split[3]), negated=split[2] == "!=")
