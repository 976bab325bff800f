"""`bookkit lint`: ruff and mypy over package, tests and chapters.

A chapter is checked as the program that it is: a build cell stands for the import of what it defines (its text is
checked in the package, which says the same), plain cells stay as they are, magics are left out. Messages name the
chapter, the code cell and the line in it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import source
from .book import Book, Cell, Chapter

# A reader's scratch code may leave types out, redefine what an earlier cell defined, and await at its top level.
MYPY_LEAVES = ("top-level-await", "no-redef", "no-untyped-def", "no-untyped-call", "type-arg", "import-untyped",
               "no-any-return", "import-not-found", "unused-ignore", "unused-coroutine", "func-returns-value", "attr-defined",
               "misc", "assignment", "union-attr", "var-annotated", "has-type", "operator", "index", "arg-type", "call-arg",
               "str-unpack", "call-overload", "return-value", "dict-item", "list-item", "valid-type", "comparison-overlap",
               "override", "used-before-def", "possibly-undefined", "import", "syntax")
# Imports stand where they are needed; a cell may end with a bare expression or compare a thing with itself.
RUFF_LEAVES = ("B905", "B007", "RUF007", "F402", "E402", "E501", "E701", "E702", "E731", "E741", "F401", "F811", "I001",
               "B015", "B018", "B023", "SIM", "RUF001",
               "RUF002", "RUF003", "RUF006", "RUF012", "RUF100", "ASYNC", "PT", "F704", "S", "UP")


@dataclass
class Script:
    """A chapter as one Python file, with the cell and line behind each of its lines."""

    chapter: Chapter
    lines: list[str] = field(default_factory=list)
    origin: list[str] = field(default_factory=list)

    def add(self, line: str, cell: Cell, number: int) -> None:
        """Append one line that comes from line `number` of `cell`."""
        self.lines.append(line)
        self.origin.append(f"{cell.where}, line {number}")


def script(chapter: Chapter) -> Script:
    """The chapter as a program."""
    made = Script(chapter)
    for cell in chapter.code_cells:
        if "filename" in cell.options:
            for line in _imports(cell):
                made.add(line, cell, 1)
            continue
        if re.match(r"(#\|.*\n)*%%", cell.source):
            continue
        for number, line in enumerate(cell.source.splitlines(), 1):
            indent = line[: len(line) - len(line.lstrip())]
            magic = re.match(r"\s*[%!?]", line) or re.search(r"\?\s*$", line) or re.match(r"\s*\w+ = [!%]", line)
            if magic and not line.strip().startswith("#"):
                line = f"{indent}pass  # {line.strip()}"
            made.add(line, cell, number)
        made.add("", cell, 1)
    return made


def _imports(cell: Cell) -> list[str]:
    """What a build cell gives to the cells after it."""
    module = cell.options["filename"].removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    if "class" in cell.options:
        return []
    try:
        names = [one.name for one in source.definitions(cell.source)]
    except (SyntaxError, ValueError):
        return []
    public = [name for name in names if name.isidentifier() and not name.startswith("__")]
    known = "  # type: ignore[attr-defined]" if "experiment" in cell.options else ""
    return [f"from {module} import {', '.join(public)}{known}"] if public else []


def main(arguments: list[str]) -> int:
    """`bookkit lint [chapters]`: with chapters, only those. 0 when there is nothing to say."""
    book = Book.here()
    status = 0
    if not arguments:
        status |= _call(book, "ruff", "check", "--quiet", "labs", "tests")
        status |= _call(book, "mypy", "labs")
    status |= _chapters(book, book.chapters(arguments))
    return int(bool(status))


def _call(book: Book, *argv: str) -> int:
    return subprocess.run([sys.executable, "-m", *argv], cwd=book.root, check=False).returncode


def _chapters(book: Book, chapters: list[Chapter]) -> int:
    """Check every chapter as a program; print what is wrong where a reader would look for it."""
    folder = book.root / "_build" / "lint"
    folder.mkdir(parents=True, exist_ok=True)
    scripts: dict[str, Script] = {}
    for chapter in chapters:
        made = script(chapter)
        name = f"chapter_{chapter.path.stem.replace('-', '_')}.py"
        (folder / name).write_text("\n".join(made.lines) + "\n", "utf-8")
        scripts[name] = made
    if not scripts:
        return 0
    files = [str(folder / name) for name in scripts]
    said = _output(book, "ruff", "check", "--quiet", "--no-cache", "--output-format=concise",
                   "--ignore", ",".join(RUFF_LEAVES), *files)
    leaves = [f"--disable-error-code={code}" for code in MYPY_LEAVES]
    for file in files:  # one by one: they are programs, not modules of one program
        said += _output(book, "mypy", "--no-error-summary", "--hide-error-context", *leaves, file)
    found = [placed for text in said if (placed := _placed(text, scripts))]
    print("\n".join(found) if found else f"{len(scripts)} chapters: nothing to say")
    return len(found)


def _output(book: Book, *argv: str) -> list[str]:
    done = subprocess.run([sys.executable, "-m", *argv], cwd=book.root, check=False, capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()


def _placed(text: str, scripts: dict[str, Script]) -> str:
    """A message about the program, said about the chapter."""
    match = re.match(r"(?:\S*/)?(chapter_\w+\.py):(\d+):(?:\d+:)? (.*)", text)
    if not match or match[3].startswith("note:"):
        return "" if not match or "note:" in match[3] else text
    origin = scripts[match[1]].origin
    line = min(int(match[2]), len(origin)) - 1
    return f"{origin[line]}: {match[3]}"


def chapter_program(path: Path) -> str:
    """The program that a chapter is checked as."""
    return "\n".join(script(Chapter(path)).lines) + "\n"
