"""Is a chapter whole? Execution counts, skips with reasons, the first cell, headings, tags."""

from __future__ import annotations

import re

from .book import OPTIONS, Book, Chapter
from .refresh import TAG_OF
from .tiers import TIERS

HEADINGS = ("## Try it", "## Beside the genuine one", "## Break it", "## Exercises", "## What we built", "## Words")
MOST_SKIPPED = 0.05


def problems(chapter: Chapter, book: Book) -> list[str]:
    """What is wrong with a chapter, one line each, with the cell and the way out."""
    return [*_first_cell(chapter), *_counts(chapter), *_option_lines(chapter), *_skips(chapter), *_headings(chapter)]


def _first_cell(chapter: Chapter) -> list[str]:
    code = chapter.code_cells
    if not code or "%load_ext bookkit" not in code[0].source.splitlines():
        return [f"{chapter.name}: the first code cell has to load the machinery: `%load_ext bookkit`"]
    return []


def _counts(chapter: Chapter) -> list[str]:
    found = []
    for number, cell in enumerate(chapter.code_cells, 1):
        if cell.node.execution_count != number:
            count = cell.node.execution_count
            found.append(f"{cell.where}: execution count {count}, not {number}; run `bookkit refresh`")
        for output in cell.node.outputs:
            if output.output_type == "error" and "raises-exception" not in cell.tags:
                found.append(f"{cell.where}: stored with an error ({output.ename}), but not tagged raises-exception")
        if not cell.source.strip():
            found.append(f"{cell.where}: an empty code cell")
    return found[:5]


def _option_lines(chapter: Chapter) -> list[str]:
    found = []
    for cell in chapter.code_cells:
        for name in cell.options:
            if name not in OPTIONS:
                found.append(f"{cell.where}: no option is called {name!r}; there are {', '.join(OPTIONS)}")
        tier = cell.options.get("tier")
        tagged = [tag.removeprefix("tier:") for tag in cell.tags if tag.startswith("tier:")]
        if tier is not None and tier not in TIERS:
            found.append(f"{cell.where}: no tier is called {tier!r}; there are {', '.join(TIERS)}")
        elif tagged != ([tier] if tier else []):
            found.append(f"{cell.where}: tier {tier!r} by its option line, {tagged} by its tags; run `bookkit weave`")
        if "class" in cell.options and "filename" not in cell.options:
            found.append(f"{cell.where}: `#| class:` without `#| filename:`")
        late = [line for line in cell.source.splitlines()[len(cell.options):] if re.match(r"#\|\s*[a-z-]+:", line)]
        found += [f"{cell.where}: the option line `{line}` is not at the top of the cell" for line in late]
    return found


def _skips(chapter: Chapter) -> list[str]:
    found, count = [], 0
    for cell in chapter.code_cells:
        if re.search(r"NBVAL_(SKIP|IGNORE_OUTPUT|RAISES)", cell.source):
            found.append(f"{cell.where}: say it as an option line with its reason (`#| ignore-output: why`)")
        for option, tag in TAG_OF.items():
            if option == "raises":
                continue
            if tag in cell.tags and not cell.options.get(option):
                found.append(f"{cell.where}: tagged {tag} without a reason; write `#| {option}: why` at its top")
            count += tag in cell.tags
    total = len(chapter.code_cells)
    if count > MOST_SKIPPED * total:
        found.append(f"{chapter.name}: {count} of {total} cells are skipped or not compared; at most 5 % may be")
    return found


def _headings(chapter: Chapter) -> list[str]:
    text = "\n".join(cell.source for cell in chapter.cells if not cell.is_code)
    lines = [line.rstrip() for line in text.splitlines()]
    found = [f"{chapter.name}: has no section `{heading}`" for heading in HEADINGS if heading not in lines]
    if sum(line.startswith("# ") for line in lines) != 1:
        found.append(f"{chapter.name}: needs exactly one title (`# ...`)")
    return found
