"""What the tests of the book's machinery share: a small book of their own, and a live shell."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bookkit.book import Book
from IPython.core.interactiveshell import InteractiveShell


class SmallBook:
    """A checkout with one package and the chapters that a test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "book").mkdir()
        (root / "labs" / "tinykube").mkdir(parents=True)
        (root / "labs" / "tinykube" / "__init__.py").write_text("")
        self.book = Book(root)

    def module(self, path: str, text: str) -> Path:
        """Write a module below labs/."""
        file = self.book.labs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"))
        return file

    def chapter(self, name: str, *cells: str, tags: dict[int, list[str]] | None = None) -> Path:
        """Write a chapter; a cell that begins with "md:" is markdown. Tags by the number of the cell."""
        notebook = nbformat.v4.new_notebook()
        for number, text in enumerate(cells):
            text = textwrap.dedent(text).strip("\n")
            node: Any = (nbformat.v4.new_markdown_cell(text.removeprefix("md:").lstrip()) if text.startswith("md:")
                         else nbformat.v4.new_code_cell(text))
            if tags and number in tags:
                node.metadata["tags"] = tags[number]
            notebook.cells.append(node)
        path = self.book.folder / name
        nbformat.write(notebook, path)
        return path


@pytest.fixture
def small(tmp_path: Path) -> SmallBook:
    """An empty small book."""
    return SmallBook(tmp_path)


class Live:
    """A shell with bookkit loaded and a package of three modules, two of which import from the first."""

    def __init__(self, folder: Path, package: str) -> None:
        self.folder, self.package = folder, package
        self.shell = InteractiveShell()
        self.shell.run_line_magic("load_ext", "bookkit")

    def module(self, name: str, text: str) -> Any:
        """Write and import a module of the package."""
        (self.folder / self.package).mkdir(exist_ok=True)
        (self.folder / self.package / "__init__.py").touch()
        (self.folder / self.package / f"{name}.py").write_text(textwrap.dedent(text).lstrip("\n"))
        importlib.invalidate_caches()
        return importlib.import_module(f"{self.package}.{name}")

    def build(self, name: str, text: str, *more: str) -> Any:
        """Run a build cell for module `name`; `more` are further option lines. What it raises is raised here."""
        head = [f"#| filename: {self.package}/{name}.py", *more]
        return self.run("\n".join([*head, textwrap.dedent(text).strip("\n")]))

    def run(self, text: str) -> Any:
        """Run a cell as a kernel would; its result."""
        done = self.shell.run_cell(text)
        done.raise_error()
        return done.result


_count = 0


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A shell to run build cells in, in this process."""
    global _count
    _count += 1
    monkeypatch.syspath_prepend(str(tmp_path))
    package = f"livepackage{_count}"
    yield Live(tmp_path, package)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
    InteractiveShell.clear_instance()
