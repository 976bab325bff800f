"""What people see: tables as the server lays them out, YAML, JSON, names, and single fields by JSONPath.

Genuine counterpart: k8s.io/cli-runtime's printers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tinykube.machinery.objects import Object, dig

BRACES = re.compile(r"\{([^}]*)\}")
STEP = re.compile(r"\.?([^.\[\]]+)|\[(\*|-?\d+)\]")


class Dumper(yaml.SafeDumper):
    """YAML in the form that Go programs write: what would be read as a number or a truth value in double quotes."""

    def choose_scalar_style(self) -> str:
        """How to quote one text."""
        event: Any = self.event
        if not event.implicit[0] and "\n" not in event.value:
            return '"'
        return "|" if "\n" in event.value else str(super().choose_scalar_style())


# What Go's YAML takes for a truth value or a number, too
Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$"),
                             list("-+.0123456789"))


def columns(table: Object, *, wide: bool, namespaces: bool) -> list[list[str]]:
    """The cells of a Table: its head, and a row for each object."""
    shown = [n for n, column in enumerate(table["columnDefinitions"]) if wide or not column["priority"]]
    rows = [[column["name"].upper() for column in table["columnDefinitions"]], *(row["cells"] for row in table["rows"])]
    spaces = ["NAMESPACE", *(dig(row, "object", "metadata", "namespace", default="") for row in table["rows"])]
    return [[*([space] if namespaces else []), *(str(row[n]) for n in shown)]
            for space, row in zip(spaces, rows, strict=True)]


def aligned(rows: list[list[str]]) -> str:
    """Rows as lines, each column as wide as its widest cell and three blanks."""
    widths = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    return "\n".join("".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)) + row[-1]
                     for row in rows)


def without_managed_fields(obj: Object) -> Object:
    """An object as people want to read it."""
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


def dump(form: str, obj: Object) -> str:
    """An object as yaml, as json, or as `jsonpath=TEMPLATE` picks from it."""
    kind, _, template = form.partition("=")
    if kind == "jsonpath":
        return BRACES.sub(lambda match: pick(obj, match[1]), template)
    if kind == "json":
        text = json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False)
        return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)
    return yaml.dump(obj, Dumper=Dumper, width=1 << 30, allow_unicode=True).rstrip("\n")


def pick(obj: Any, path: str) -> str:
    """What stands at a path such as `.spec.containers[*].image`; a text in quotes stands for itself."""
    if path[:1] == '"':
        return str(json.loads(path))
    values = [obj]
    for key, index in STEP.findall(path):
        values = [found for value in values for found in step(value, key, index)]
    return " ".join(value if isinstance(value, str) else json.dumps(value, separators=(",", ":")) for value in values)


def step(value: Any, key: str, index: str) -> Iterator[Any]:
    """One step down: to a field, to an item, or to all of them. Where there is nothing, nothing is found."""
    if index == "*":
        yield from value.values() if isinstance(value, dict) else value
    elif (found := dig(value, int(index) if index else key)) is not None:
        yield found


def sheet(value: Any, depth: int = 0) -> Iterator[str]:
    """A nested value as indented lines with capital letters, for `describe`."""
    for key, item in value.items() if isinstance(value, dict) else [("", item) for item in value]:
        title = "  " * depth + (re.sub("(?<=[a-z])(?=[A-Z])", " ", key[:1].upper() + key[1:]) + ":" if key else "-")
        if isinstance(item, (dict, list)) and item:
            yield title
            yield from sheet(item, depth + 1)
        else:
            yield f"{title}  {item}"
