"""Where the book's parts lie, and how its chapters are read and written.

A chapter is a notebook `book/NN-name.ipynb`. Its code cells may begin with option lines such as
`#| filename: tinykube/store/mvcc.py`; `options` reads them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

OPTION = re.compile(r"#\|\s*([a-z][a-z-]*):[ \t]*(.*?)\s*$")
OPTIONS = ("filename", "class", "experiment", "tier", "ignore-output", "skip", "raises")


def options(source: str) -> dict[str, str]:
    """The option lines at the top of a cell, by name."""
    found: dict[str, str] = {}
    for line in source.splitlines():
        match = OPTION.match(line)
        if not match:
            break
        found[match[1]] = match[2]
    return found


def without_options(source: str) -> str:
    """The cell's text below its option lines."""
    lines = source.splitlines(keepends=True)
    while lines and OPTION.match(lines[0].rstrip("\n")):
        lines.pop(0)
    return "".join(lines)


def source_key(source: str) -> str:
    """Names a cell by what it does: the same for the same text, whatever its trailing blanks."""
    text = "\n".join(line.rstrip() for line in source.strip().splitlines())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Cell:
    """One cell of a chapter and where it stands; `number` counts code cells from 1, as execution counts do."""

    chapter: Chapter
    index: int
    number: int
    node: Any

    @property
    def source(self) -> str:
        return str(self.node.source)

    @property
    def is_code(self) -> bool:
        return bool(self.node.cell_type == "code")

    @cached_property
    def options(self) -> dict[str, str]:
        return options(self.source) if self.is_code else {}

    @property
    def tags(self) -> list[str]:
        return list(self.node.metadata.get("tags", []))

    @property
    def is_build(self) -> bool:
        """Whether the cell defines a part of the package (an experiment changes it for a while, and is no part)."""
        return "filename" in self.options and "experiment" not in self.options

    @property
    def where(self) -> str:
        """The place to name in a message."""
        kind = f"code cell {self.number}" if self.is_code else f"cell {self.index + 1} (markdown)"
        return f"{self.chapter.name}, {kind}"


class Chapter:
    """One notebook of the book."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @cached_property
    def notebook(self) -> Any:
        """The notebook as nbformat reads it."""
        import nbformat

        return nbformat.read(self.path, as_version=4)  # type: ignore[no-untyped-call]

    @property
    def cells(self) -> list[Cell]:
        found, number = [], 0
        for index, node in enumerate(self.notebook.cells):
            number += node.cell_type == "code"
            found.append(Cell(self, index, number, node))
        return found

    @property
    def code_cells(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.is_code]

    @property
    def build_cells(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.is_build]

    def write(self) -> bool:
        """Store the notebook; False when the file already says the same."""
        import nbformat

        text = nbformat.writes(self.notebook)  # type: ignore[no-untyped-call]
        text = text.rstrip("\n") + "\n"
        if self.path.exists() and self.path.read_text("utf-8") == text:
            return False
        fresh = self.path.with_suffix(".ipynb.new")
        fresh.write_text(text, "utf-8")
        fresh.replace(self.path)
        return True


@dataclass(frozen=True)
class Book:
    """A checkout of the book: its root folder and what lies where in it."""

    root: Path

    @classmethod
    def here(cls) -> Book:
        """BOOKKIT_ROOT if set, else the checkout around the working folder, else the one that bookkit is part of."""
        if root := os.environ.get("BOOKKIT_ROOT"):
            return cls(Path(root).resolve())
        for folder in (Path.cwd(), *Path.cwd().parents):
            if (folder / "book").is_dir() and (folder / "labs").is_dir():
                return cls(folder)
        return cls(Path(__file__).resolve().parents[2])

    @property
    def folder(self) -> Path:
        return self.root / "book"

    @property
    def labs(self) -> Path:
        return self.root / "labs"

    @property
    def recordings(self) -> Path:
        return self.folder / "_recordings"

    @property
    def sanitize(self) -> Path:
        return self.root / "sanitize.cfg"

    def chapters(self, names: list[str] | None = None) -> list[Chapter]:
        """The chapters in order, or those named (a path, a file name, or its number such as "05")."""
        every = [Chapter(path) for path in sorted(self.folder.glob("[0-9][0-9]-*.ipynb"))]
        if not names or names == ["book"]:
            return every
        return [self._chapter(name, every) for name in names]

    def _chapter(self, name: str, every: list[Chapter]) -> Chapter:
        if Path(name).is_file():
            return Chapter(Path(name).resolve())
        wanted = Path(name).name.removesuffix(".ipynb")
        for chapter in every:
            stem = chapter.path.stem
            if wanted in {stem, stem.split("-")[0]}:
                return chapter
        there = ", ".join(chapter.path.stem for chapter in every) or "none yet"
        raise LookupError(f"no chapter is called {name!r}; there are: {there}")

    def modules(self, package: str = "tinykube") -> list[str]:
        """Every module of the package as a path below labs/, such as "tinykube/store/mvcc.py"."""
        files = sorted((self.labs / package).rglob("*.py"))
        return [path.relative_to(self.labs).as_posix() for path in files]

    def sources(self, package: str = "tinykube") -> Iterator[tuple[str, str]]:
        """Path and text of every module of the package."""
        for name in self.modules(package):
            yield name, (self.labs / name).read_text("utf-8")
