"""Label and field selectors: what a genuine api-server (1.37.2) answers to each, seen there."""
from __future__ import annotations

import pytest
from tinykube.machinery.selectors import (
    NAME_RULE,
    SUBDOMAIN_RULE,
    VALUE_RULE,
    parse_field_selector,
    parse_label_selector,
    selector_of,
)

LABELS = {"app": "web", "tier": "a", "n": "5", "empty": "", "in": "in"}


@pytest.mark.parametrize(("text", "matches"), [
    ("", True), ("app", True), ("!app", False), ("no", False), ("!no", True), ("app=web", True), ("app==web", True),
    ("app!=web", False), ("no!=x", True), ("app=web,tier=b", False), ("app in (web, db)", True), ("app in (db)", False),
    ("app notin (db)", True), ("no notin (x)", True), ("no in (x)", False), ("n>4", True), ("n>5", False),
    ("n<6", True), ("app>1", False), ("empty=", True), ("app=", False), ("empty in ()", True), ("in in (in)", True),
    ("app in (web,)", True), ("app in (,db)", False), ("empty in (,)", True), ("! no", True), (" app = web ", True),
    ("app in (x,,y)", False), ("in=in", True),
])
def test_what_a_selector_selects(text: str, matches: bool) -> None:
    assert parse_label_selector(text).matches(LABELS) is matches


UNPARSED = "unable to parse requirement: "


@pytest.mark.parametrize(("text", "message"), [
    ("a,", "found '', expected: identifier after ','"),
    (",a", "found ',', expected: !, identifier, or 'end of string'"),
    ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
    ("=", "found '=', expected: !, identifier, or 'end of string'"),
    ("a=b,,c", "found ',', expected: identifier after ','"),
    ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    ("!a=b", "found '=', expected: ',' or 'end of string'"),
    ("!", UNPARSED + "found '', expected: identifier"),
    ("a===b", UNPARSED + "found '=', expected: identifier"),
    ("a=!b", UNPARSED + "found '!', expected: identifier"),
    ("a=(b)", UNPARSED + "found '(', expected: identifier"),
    ("a in b", UNPARSED + "found 'b' expected: '('"),
    ("a notin", UNPARSED + "found '' expected: '('"),
    ("a in (", UNPARSED + "found '', expected: ',', ')' or identifier"),
    ("a in (b,c", UNPARSED + "found '', expected: ',' or ')'"),
    ("a in (b c)", UNPARSED + "found 'c', expected: ',' or ')'"),
    ("a x b", UNPARSED + "found 'x', expected: in, notin, =, ==, !=, gt, lt"),
    ("a!", UNPARSED + "found '!', expected: in, notin, =, ==, !=, gt, lt"),
    ("a>b", UNPARSED + "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"),
    ("a_=b", UNPARSED + f'<nil>: Invalid value: "a_": name part {NAME_RULE}'),
    ("a=-b", UNPARSED + f'values[0][a]: Invalid value: "-b": {VALUE_RULE}'),
    ("a in (-b,_c)", UNPARSED + f'[values[0][a]: Invalid value: "-b": {VALUE_RULE}, '
                                f'values[1][a]: Invalid value: "_c": {VALUE_RULE}]'),
    ("a=" + "b" * 70, UNPARSED + f'values[0][a]: Invalid value: "{"b" * 70}": must be no more than 63 bytes'),
    ("Ex.com/y=b", UNPARSED + f'<nil>: Invalid value: "Ex.com/y": prefix part {SUBDOMAIN_RULE}'),
    ("/a", UNPARSED + '<nil>: Invalid value: "/a": prefix part must be non-empty'),
    ("a/", UNPARSED + f'<nil>: Invalid value: "a/": name part must be non-empty; name part {NAME_RULE}'),
    ("x/y/z=b", UNPARSED + f'<nil>: Invalid value: "x/y/z": a valid label key {NAME_RULE} with an optional DNS '
                           "subdomain prefix and '/' (e.g. 'example.com/MyName')"),
])
def test_what_is_refused_in_the_genuine_words(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_label_selector(text)
    assert str(caught.value) == message


def test_selectors_in_objects() -> None:
    selector = selector_of({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]})
    assert selector.matches(LABELS)
    assert not selector.matches({"app": "web"})
    assert selector_of({}).matches({})
    assert not selector_of(None).matches(LABELS)


@pytest.mark.parametrize(("text", "parts"), [
    ("", []), (",", []), ("a=b", [("a", "b", False)]), ("a==b,c!=d,", [("a", "b", False), ("c", "d", True)]),
    (r"a=b\,c", [("a", "b,c", False)]), (r"a=\=\\", [("a", "=\\", False)]), ("=a", [("", "a", False)]),
    (" a = b", [(" a ", " b", False)]),
])
def test_field_selectors(text: str, parts: list[tuple[str, str, bool]]) -> None:
    assert [(each.field, each.value, each.negated) for each in parse_field_selector(text)] == parts


@pytest.mark.parametrize(("text", "message"), [
    ("a", "invalid selector: 'a'; can't understand 'a'"),
    (r"a=b\x", r"invalid field selector: invalid escape sequence: \x"),
    ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ("a=b=c", "invalid field selector: unescaped character in value: 61"),
])
def test_field_selectors_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_field_selector(text)
    assert str(caught.value) == message
