"""Answers that people would give to the exercises of "kubectl by hand", and what they should be told."""

from __future__ import annotations

from typing import Any

from bookkit.exercises import wrong

Resource = dict[str, Any]


@wrong("find_resource", says="Not every resource has short names")
def all_have_short_names(word: str, served: list[Resource]) -> str | None:
    for each in served:
        if word.lower() in [each["resource"], each["singularResource"], *each["shortNames"]]:
            return str(each["resource"])
    return None


@wrong("find_resource", says="is the group")
def knows_no_groups(word: str, served: list[Resource]) -> str | None:
    for each in served:
        if word.lower() in [each["resource"], each["singularResource"], *each.get("shortNames", [])]:
            return str(each["resource"])
    return None


@wrong("find_resource", says="not in that group")
def ignores_the_group(word: str, served: list[Resource]) -> str | None:
    return knows_no_groups(word.partition(".")[0], served)


@wrong("lines_of", says="the head is not the widest")
def by_the_head(rows: list[list[str]]) -> list[str]:
    return ["".join(cell.ljust(len(head) + 3) for cell, head in zip(row, rows[0], strict=True)).rstrip() for row in rows]


@wrong("lines_of", says="three blanks")
def two_blanks(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@wrong("path_of", says="under /apis")
def always_api(group: str, version: str, resource: str, namespace: str | None, name: str | None) -> str:
    where = ["namespaces", namespace] if namespace else []
    return "/".join(filter(None, ["/api", group, version, *where, resource, name]))


@wrong("path_of", says="in no namespace")
def always_a_namespace(group: str, version: str, resource: str, namespace: str | None, name: str | None) -> str:
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace or 'default'}/{resource}" + (f"/{name}" if name else "")
