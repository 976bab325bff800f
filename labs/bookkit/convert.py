"""Chapters as text for their authors: `bookkit md` and `bookkit ipynb`, through jupytext.

The text is MyST markdown. Coming back, a cell whose text did not change keeps its outputs, its id and its tags.
"""

from __future__ import annotations

from pathlib import Path

import nbformat

from .book import Chapter

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def to_text(notebook: Path, target: Path | None = None) -> Path:
    """Write the chapter as MyST text (beside the notebook unless told otherwise) and return where."""
    import jupytext  # type: ignore[import-untyped]

    target = target or notebook.with_suffix(".md")
    book = Chapter(notebook).notebook
    target.write_text(jupytext.writes(book, fmt="md:myst"), "utf-8")
    return target


def to_notebook(text: Path, target: Path) -> Path:
    """Make the notebook from MyST text; an existing notebook gives the outputs of the cells that are the same."""
    import jupytext

    fresh = jupytext.reads(text.read_text("utf-8"), fmt="md:myst")
    if target.exists():
        _keep(Chapter(target).notebook, fresh)
    fresh.metadata["kernelspec"] = KERNEL
    fresh.metadata["language_info"] = {"name": "python"}
    fresh.metadata.pop("jupytext", None)
    fresh.nbformat, fresh.nbformat_minor = 4, 5
    nbformat.validate(fresh)
    made = Chapter(target)
    vars(made)["notebook"] = fresh
    made.write()
    return target


def _keep(old: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> None:
    """Carry over what the text does not hold, cell by cell, in order."""
    left = list(old.cells)
    for key in ("widgets", "bookkit"):
        if key in old.metadata:
            fresh.metadata[key] = old.metadata[key]
    for cell in fresh.cells:
        same = next((c for c in left if (c.cell_type, c.source) == (cell.cell_type, cell.source)), None)
        if same is None:
            continue
        left.remove(same)
        cell["id"] = same.get("id", cell.get("id"))
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = same.outputs, same.execution_count
            for tag in same.metadata.get("tags", []):
                tags = cell.metadata.setdefault("tags", [])
                if tag not in tags:
                    tags.append(tag)
