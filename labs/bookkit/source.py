"""Python text, definition by definition: the one measure by which cells and package are held together.

A definition is a function, an assignment or another statement at the top of a module, the head of a class
(decorators, name, bases, docstring) or one member of a class. Comments directly above belong to it.
Imports, the module's docstring, `__all__` and `if TYPE_CHECKING:` are no definitions.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Definition:
    """One definition: its name ("Queue", "Queue.push", "LIMIT"), its lines, and its text without indentation."""

    name: str
    first: int
    last: int
    indent: int
    text: str

    @property
    def lines(self) -> int:
        return self.last - self.first + 1


def definitions(text: str, class_name: str = "") -> list[Definition]:
    """All definitions in `text`, top to bottom; with `class_name`, they are members of that class.

    Raises SyntaxError like the compiler.
    """
    tree = ast.parse(text)
    lines = text.splitlines()
    found = list(_body(tree.body, lines, class_name, 0, docstring=not class_name))
    return _numbered(found)


def _body(body: list[ast.stmt], lines: list[str], owner: str, floor: int, docstring: bool) -> list[Definition]:
    """The definitions of one body; `floor` is the last line that belongs to what comes before it."""
    found: list[Definition] = []
    for position, node in enumerate(body):
        start = _start(node, lines, floor)
        floor = node.end_lineno or node.lineno
        if (docstring and position == 0 and _is_docstring(node)) or _is_plumbing(node, owner):
            continue
        name = f"{owner}.{_name(node, lines)}" if owner else _name(node, lines)
        if isinstance(node, ast.ClassDef) and not owner:
            found += _class(node, name, start, lines)
        else:
            found.append(_definition(name, start, floor, node.col_offset, lines))
    return found


def _class(node: ast.ClassDef, name: str, start: int, lines: list[str]) -> list[Definition]:
    """The head of a class, then its members. A body of nothing but a docstring, `...` or `pass` is head."""
    end = _head_end(node)
    members = node.body[1:] if _is_docstring(node.body[0]) else node.body
    if all(isinstance(member, ast.Pass) or _is_ellipsis(member) for member in members):
        end, members = node.end_lineno or node.lineno, []
    head = _definition(name, start, end, node.col_offset, lines)
    return [head, *_body(members, lines, name, end, docstring=False)]


def _head_end(node: ast.ClassDef) -> int:
    first = node.body[0]
    if _is_docstring(first):
        return first.end_lineno or first.lineno
    parts: list[Any] = [*node.bases, *node.keywords]
    ends = [part.end_lineno or part.lineno for part in parts]
    return int(max([node.lineno, *ends]))


def _start(node: ast.stmt, lines: list[str], floor: int) -> int:
    """The node's first line, with its decorators and the comments directly above."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    while line - 1 > floor and _is_comment(lines[line - 2], node.col_offset):
        line -= 1
    return line


def _is_comment(line: str, indent: int) -> bool:
    return line.startswith(" " * indent + "#") and not line.lstrip().startswith("#|")


def _definition(name: str, first: int, last: int, indent: int, lines: list[str]) -> Definition:
    text = [line.rstrip() for line in lines[first - 1 : last]]
    for number, line in enumerate(text, first):
        if line and line[:indent].strip():
            raise ValueError(f"{name}: line {number} starts left of its definition (a string over several lines?); "
                             "such a text cannot be shown apart from its class")
    return Definition(name, first, last, indent, "\n".join(line[indent:] for line in text))


def _name(node: ast.stmt, lines: list[str]) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Attribute) and decorator.attr in {"setter", "deleter", "getter"}:
                return f"{node.name}.{decorator.attr}"
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]).strip("()")
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    if isinstance(node, ast.AugAssign):
        return f"{ast.unparse(node.target)} (changed)"
    type_alias = getattr(node, "name", None)
    if isinstance(type_alias, ast.Name):
        return type_alias.id
    return f"`{lines[node.lineno - 1].strip()}`"


def code_lines(text: str) -> int:
    """How many lines of `text` hold code: not blank, not only a comment, not part of a docstring."""
    words: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and _is_docstring(body[0]):
            words |= set(range(body[0].lineno, (body[0].end_lineno or body[0].lineno) + 1))
    return sum(number not in words and bool(line.strip()) and not line.lstrip().startswith("#")
               for number, line in enumerate(text.splitlines(), 1))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is Ellipsis


def _is_plumbing(node: ast.stmt, owner: str) -> bool:
    """Imports and what serves them: not part of what the book tells."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if owner:
        return False
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return _name(node, []) == "__all__"
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if isinstance(node, ast.Try):
        inner = [*node.body, *node.orelse, *node.finalbody, *(s for handler in node.handlers for s in handler.body)]
        return all(isinstance(s, ast.Import | ast.ImportFrom | ast.Pass) for s in inner)
    return False


def _numbered(found: list[Definition]) -> list[Definition]:
    """A name that comes back (overloads) is told apart by a count: `f`, `f (2)`."""
    seen: Counter[str] = Counter()
    result = []
    for one in found:
        seen[one.name] += 1
        name = one.name if seen[one.name] == 1 else f"{one.name} ({seen[one.name]})"
        result.append(Definition(name, one.first, one.last, one.indent, one.text))
    return result
