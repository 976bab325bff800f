"""How cells and package stay one: `weave`, `tangle`, the gate, `skeleton` and the size report.

All of it works per definition (`source`): a build cell holds whole definitions of one module, or members of one
class of it, and every definition of tinykube stands in exactly one build cell of the book, to the letter.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import source
from .book import Book, Cell, Chapter

LONG, TOO_LONG = 25, 40
GOAL = 10_000                     # lines of code: what the whole cluster should take
LIMITS = {                        # what a seat must not exceed: one that grows is seen in the commit that lets it grow
    "(top)": 0, "api": 8_290, "client": 1_060, "cluster": 1_340, "controllers": 3_360, "kubectl": 350, "kubelet": 2_400,
    "machinery": 880, "metrics": 260, "network": 400, "runtime": 1_210, "scheduler": 1_400, "store": 1_700,
}


@dataclass(frozen=True)
class Shown:
    """A definition as a build cell shows it."""

    path: str
    cell: Cell
    definition: source.Definition

    @property
    def key(self) -> tuple[str, str]:
        return self.path, self.definition.name


@dataclass
class Report:
    """What the gate found."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: dict[str, list[source.Definition]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems and not self.missing


def package(book: Book) -> dict[tuple[str, str], source.Definition]:
    """Every definition of tinykube, by module and name."""
    return {(path, one.name): one for path, text in book.sources() for one in source.definitions(text)}


def shown(chapters: Iterable[Chapter]) -> tuple[list[Shown], list[str]]:
    """Every definition in the build cells of the chapters, and what is wrong with cells that cannot be read."""
    found: list[Shown] = []
    problems: list[str] = []
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    for chapter in chapters:
        for cell in chapter.build_cells:
            path = cell.options["filename"]
            try:
                inside = source.definitions(cell.source, cell.options.get("class", ""))
            except (SyntaxError, ValueError) as error:
                problems.append(f"{cell.where}: {error}")
                continue
            if not inside:
                problems.append(f"{cell.where}: a build cell without a definition")
            for one in inside:
                found.append(Shown(path, cell, _recount(one, path, seen)))
    return found, problems


def _recount(one: source.Definition, path: str, seen: defaultdict[tuple[str, str], int]) -> source.Definition:
    """Overloads may stand in several cells: they are counted over all of them, as in the file."""
    if not re.search(r" \(\d+\)$", one.name):
        return one
    base = one.name.rpartition(" (")[0]
    seen[path, base] += 1
    return source.Definition(f"{base} ({seen[path, base] + 1})", one.first, one.last, one.indent, one.text)


def gate(book: Book) -> Report:
    """Hold cells and package together: missing, twice, different, unknown, too long."""
    report = Report()
    defined = package(book)
    cells, report.problems = shown(book.chapters())
    places: defaultdict[tuple[str, str], list[Shown]] = defaultdict(list)
    for one in cells:
        places[one.key].append(one)
    for key, where in places.items():
        label = f"{key[0]}: {key[1]}"
        if key not in defined:
            report.problems.append(f"{label} is in {where[0].cell.where}, but not in the package "
                                   "(`bookkit tangle` would put it there)")
            continue
        if len(where) > 1:
            report.problems.append(f"{label} is shown {len(where)} times: {'; '.join(w.cell.where for w in where)}")
        for one in where:
            if one.definition.text != defined[key].text:
                report.problems.append(f"{label} differs in {one.cell.where}:\n{_difference(defined[key], one)}")
    for key, mine in defined.items():
        if key not in places:
            report.missing.setdefault(key[0], []).append(mine)
    _lengths(book, report)
    return report


def _difference(mine: source.Definition, one: Shown) -> str:
    ours, its = mine.text.splitlines(), one.definition.text.splitlines()
    lines = difflib.unified_diff(ours, its, "package", "cell", lineterm="", n=1)
    return "\n".join(f"    {line}" for line in lines)


def _lengths(book: Book, report: Report) -> None:
    for chapter in book.chapters():
        for cell in chapter.build_cells:
            lines = len(cell.source.rstrip().splitlines()) - len(cell.options)
            if lines > TOO_LONG:
                report.problems.append(f"{cell.where}: a build cell of {lines} lines; {TOO_LONG} is the most")
            elif lines > LONG:
                report.warnings.append(f"{cell.where}: a build cell of {lines} lines; {LONG} is long")


# ---- package to cells

def weave(book: Book, chapters: list[Chapter]) -> list[str]:
    """Refresh the build cells from the package. One line for each cell changed or not to be refreshed."""
    from .refresh import prepare

    defined = package(book)
    said: list[str] = []
    for chapter in chapters:
        prepare(chapter)
        for cell in chapter.build_cells:
            try:
                text, unknown = _woven(cell, defined)
            except (SyntaxError, ValueError) as error:
                said.append(f"{cell.where}: left alone, {error}")
                continue
            said += [f"{cell.where}: {cell.options['filename']} has no {name}; left as it is" for name in unknown]
            if text != cell.source:
                cell.node.source = text
                said.append(f"{cell.where}: refreshed from {cell.options['filename']}")
        chapter.write()
    return said


def _woven(cell: Cell, defined: dict[tuple[str, str], source.Definition]) -> tuple[str, list[str]]:
    lines = cell.source.splitlines()
    unknown = []
    for one in reversed(source.definitions(cell.source, cell.options.get("class", ""))):
        mine = defined.get((cell.options["filename"], one.name))
        if mine is None:
            unknown.append(one.name)
        elif mine.text != one.text:
            lines[one.first - 1 : one.last] = _indented(mine.text, one.indent)
    return "\n".join(lines), unknown[::-1]


def _indented(text: str, indent: int) -> list[str]:
    return [" " * indent + line if line else "" for line in text.splitlines()]


# ---- cells to package

def tangle(book: Book, chapters: list[Chapter]) -> list[str]:
    """Write edited build cells back into the package. One line for each definition changed or added."""
    cells, said = shown(chapters)
    texts = dict(book.sources())
    after: dict[str, str] = {}
    for one in cells:
        path = one.path
        text = texts.get(path)
        if text is None:
            text = texts[path] = f'"""{path}."""\n\nfrom __future__ import annotations\n'
            said.append(f"{path}: a new module (its docstring and imports are yours to write)")
        known = {d.name: d for d in source.definitions(text)}
        mine = known.get(one.definition.name)
        if mine is None:
            texts[path] = _added(text, one.definition, known, after.get(path, ""))
            said.append(f"{path}: {one.definition.name} added, from {one.cell.where}")
        elif mine.text != one.definition.text:
            lines = text.splitlines()
            lines[mine.first - 1 : mine.last] = _indented(one.definition.text, mine.indent)
            texts[path] = "\n".join(lines) + "\n"
            said.append(f"{path}: {one.definition.name} changed, from {one.cell.where}")
        after[path] = one.definition.name
    for path, text in texts.items():
        file = book.labs / path
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    return said


def _added(text: str, new: source.Definition, known: dict[str, source.Definition], after: str) -> str:
    """The module with one definition more: after the one that the cells tell before it, else at the end."""
    lines = text.splitlines()
    owner = new.name.partition(".")[0] if "." in new.name.split(" ")[0] else ""
    if owner and owner in known:
        members = [d for name, d in known.items() if name == owner or name.startswith(owner + ".")]
        before = known[after] if known.get(after) in members else max(members, key=lambda d: d.last)
        indent, gap = known[owner].indent + 4, [""] if new.lines > 1 else []
    else:
        indent, gap = 0, ["", ""] if new.lines > 1 else [""]
        group = [d for name, d in known.items() if after and name.split(".")[0] == after.split(".")[0]]
        before = max(group, key=lambda d: d.last) if group else source.Definition("", 1, len(lines), 0, "")
    lines[before.last : before.last] = [*gap, *_indented(new.text, indent)]
    return "\n".join(lines) + "\n"


# ---- to start a chapter from

def skeleton(book: Book, path: str) -> list[str]:
    """Build cells for a whole module, in its order: short ones together, classes spread where they are long."""
    text = (book.labs / path).read_text("utf-8")
    cells: list[str] = []
    pending: list[source.Definition] = []
    found = source.definitions(text)
    heads = {d.name for d in found if any(o.name.startswith(d.name + ".") for o in found)}

    def flush() -> None:
        if pending:
            cells.append(_cell(path, "", "\n".join(d.text for d in pending)))
            pending.clear()

    position = 0
    while position < len(found):
        one = found[position]
        if one.name in heads:
            flush()
            members = [d for d in found[position + 1 :] if d.name.startswith(one.name + ".")]
            cells += _class_cells(path, text, one, members)
            position += 1 + len(members)
            continue
        if one.text.lstrip("#@ ").startswith(("def ", "async def ", "class ")) or one.lines > 3:
            flush()
            cells.append(_cell(path, "", one.text))
        else:
            pending.append(one)
        position += 1
    flush()
    return cells


def _class_cells(path: str, text: str, head: source.Definition, members: list[source.Definition]) -> list[str]:
    lines = text.splitlines()
    last = members[-1].last
    if last - head.first < LONG:
        return [_cell(path, "", "\n".join(lines[head.first - 1 : last]))]
    with_head, rest = [], list(members)
    while rest and (not _is_function(rest[0]) or rest[0].name.endswith((".__init__", ".__post_init__"))):
        if _is_function(rest[0]) and rest[0].last - head.first >= LONG:
            break
        with_head.append(rest.pop(0))
    end = with_head[-1].last if with_head else head.last
    if not with_head and rest and _needs_body(head):
        end = rest.pop(0).last
    name = head.name
    return [_cell(path, "", "\n".join(lines[head.first - 1 : end])), *(_cell(path, name, d.text) for d in rest)]


def _needs_body(head: source.Definition) -> bool:
    """A head of nothing but `class Name:` is no statement yet; it needs its first member."""
    try:
        source.definitions(head.text)
    except SyntaxError:
        return True
    return False


def _is_function(one: source.Definition) -> bool:
    return bool(re.search(r"^(async )?def ", one.text, re.M))


def _cell(path: str, class_name: str, text: str) -> str:
    option = f"#| class: {class_name}\n" if class_name else ""
    return f"#| filename: {path}\n{option}{text}\n"


def as_myst(cells: list[str]) -> str:
    """The cells as MyST text, for a chapter that is written as text."""
    return "\n".join(f"```{{code-cell}} ipython3\n{cell}```\n" for cell in cells)


# ---- how big it is

def sizes(book: Book) -> dict[str, int]:
    """Lines of code of tinykube by seat: what Python runs, without blank lines, comments and docstrings."""
    found: defaultdict[str, int] = defaultdict(int)
    for path, text in book.sources():
        parts = path.split("/")
        found[parts[1] if len(parts) > 2 else "(top)"] += source.code_lines(text)
    return dict(found)
