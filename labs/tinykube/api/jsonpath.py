"""The small paths by which a definition points into its objects: `.spec.replicas`, `.status.list[?(@.type=="A")].x`.

Genuine counterpart: https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""
from __future__ import annotations

import re
from typing import Any

STEP = re.compile(r"\.(?P<name>(?:[^.\[\]\\]|\\.)+)|\[(?:'(?P<quoted>[^']+)'|(?P<index>-?\d+)|(?P<last>-1:)|(?P<all>\*)"
                  r"""|\?\(@\.(?P<key>[^=\s]+)\s*==\s*["'](?P<value>[^"']*)["']\))\]""")


def find(obj: Any, path: str) -> list[Any]:
    """All values that a path leads to, in order. Empty where it leads to nothing, or is no path."""
    found, at = [obj], 0
    while at < len(path):
        step = STEP.match(path, at)
        if step is None:
            return []
        found = [value for each in found for value in taken(each, step)]
        at = step.end()
    return found


def taken(value: Any, step: re.Match[str]) -> list[Any]:
    """What one step of a path takes from a value."""
    name = step["quoted"] or (step["name"] or "").replace("\\", "")
    if name:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    if step["key"]:
        return [each for each in value if step["value"] in find(each, "." + step["key"])]
    if step["all"]:
        return value
    return value[-1:] if step["last"] else value[int(step["index"]):][:1]
