"""The gates on the book itself: cells and package are one, chapters are whole, words hold."""

from __future__ import annotations

import pytest
from bookkit import glossary, hygiene, prose
from bookkit.book import Book, Chapter
from bookkit.weave import gate

from .conftest import SmallBook

BOOK = Book.here()
CHAPTERS = BOOK.chapters()


def test_every_definition_stands_in_exactly_one_build_cell() -> None:
    report = gate(BOOK)
    missing = [f"{path}: {', '.join(one.name for one in found)}" for path, found in report.missing.items()]
    assert not report.problems, "\n".join(report.problems)
    assert not missing, "in no build cell (`bookkit skeleton MODULE` prints them as cells):\n" + "\n".join(missing)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.path.stem)
def test_the_chapter_is_whole(chapter: Chapter) -> None:
    assert not hygiene.problems(chapter, BOOK)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.path.stem)
def test_the_words_hold(chapter: Chapter) -> None:
    assert not prose.problems(chapter, BOOK)


def test_the_glossary_is_what_the_chapters_say() -> None:
    assert not glossary.problems(BOOK)


# ---- the gates themselves

GOOD = ("md: # Title\n\n## Try it\n\n## Beside the genuine one\n\n## Break it\n\n## Exercises\n\n## What we built\n\n## Words")


def said(small: SmallBook, *cells: str, tags: dict[int, list[str]] | None = None, counts: bool = True) -> str:
    path = small.chapter("05-store.ipynb", *cells, tags=tags)
    chapter = Chapter(path)
    for cell in chapter.code_cells:
        cell.node.execution_count = cell.number if counts else None
    return "\n".join(hygiene.problems(chapter, small.book) + prose.problems(chapter, small.book))


def test_a_good_chapter_passes(small: SmallBook) -> None:
    assert said(small, GOOD, "%load_ext bookkit", "1 + 1") == ""


@pytest.mark.parametrize(("cell", "message"), [
    ("md: You simply run it.", "“simply” tells a reader nothing"),
    ("md: It is `tinykube.stor` that runs.", "`tinykube.stor` does not exist"),
    ("md: See `tinykube/nothing.py`.", "there is no file `tinykube/nothing.py`"),
    ("md: `Thing.other()` runs.", "`Thing` has no `other`"),
    ("md: [there](06-nowhere.ipynb)", "the link to 06-nowhere.ipynb leads nowhere"),
    ("md: [there](#no-such-section)", "has no section #no-such-section"),
    ("md: ![](picture.svg)", "a picture without alt text"),
    ("md: ```{figure} a.svg\n:width: 3\n```", "a picture without `:alt:`"),
    ("md: <img src='x'>", "an <img> without alt text"),
    ("# NBVAL_SKIP\n1", "say it as an option line"),
    ("#| teir: docker\n1", "no option is called 'teir'"),
    ("#| tier: dokcer\n1", "no tier is called 'dokcer'"),
    ("#| tier: docker\n1", "tier 'docker' by its option line, [] by its tags"),
    ("#| class: A\n1", "`#| class:` without `#| filename:`"),
    ("1\n#| tier: docker", "is not at the top of the cell"),
    ("", "an empty code cell"),
])
def test_what_is_wrong_is_named(small: SmallBook, cell: str, message: str) -> None:
    small.module("tinykube/thing.py", "class Thing:\n    size: int\n    def f(self): self.x = 1\n")
    assert message in said(small, GOOD, "%load_ext bookkit", cell)


@pytest.mark.parametrize("cell", [
    "md: `Thing.f()`, `Thing.x`, `Thing.size`, `tinykube.thing.Thing`, `tinykube/thing.py`, `kubectl.x`",
    "md: <!-- allow: just -->\njust so", "md: ```\nsimply\n```\nand `simply` and “simply” and [a](#title)",
    "md: ![words](x.svg)", "md: ```{figure} a.svg\n:alt: words\n```", "md: [it](05-store.ipynb#title)",
])
def test_what_is_right_passes(small: SmallBook, cell: str) -> None:
    small.module("tinykube/thing.py", "class Thing:\n    size: int\n    def f(self): self.x = 1\n")
    assert said(small, GOOD, "%load_ext bookkit", cell) == ""


def test_skips_need_reasons_and_are_few(small: SmallBook) -> None:
    found = said(small, GOOD, "%load_ext bookkit", "1", tags={2: ["nbval-skip"]})
    assert "tagged nbval-skip without a reason" in found
    assert "1 of 2 cells are skipped or not compared" in found


def test_a_chapter_that_was_not_run_is_told(small: SmallBook) -> None:
    assert "execution count None, not 1" in said(small, GOOD, "%load_ext bookkit", counts=False)


def test_a_first_cell_without_bookkit_and_a_missing_section(small: SmallBook) -> None:
    found = said(small, GOOD.replace("## Break it", ""), "import os")
    assert "the first code cell has to load the machinery" in found
    assert "has no section `## Break it`" in found


def test_words_are_gathered_and_mean_one_thing(small: SmallBook) -> None:
    table = "| Word | Meaning | In our code | Genuine name |\n| --- | --- | --- | --- |\n"
    small.chapter("01-a.ipynb", f"md: ## Words\n\n{table}| **lease** | A promise | `Lease` | Lease |")
    small.chapter("02-b.ipynb", f"md: ## Words\n\n{table}| Binding | A name on a pod. | - | Binding |\n\n## More\n| a | b |")
    assert [word.word for word in glossary.collect(small.book)] == ["Binding", "lease"]
    assert "run `bookkit glossary`" in glossary.problems(small.book)[0]
    assert glossary.write(small.book) == 2
    assert glossary.problems(small.book) == []
    assert "lease\n: A promise. In our code: `Lease`. Genuine: Lease." in (small.book.folder / "glossary.md").read_text()
    small.chapter("03-c.ipynb", f"md: ## Words\n\n{table}| Lease | Another | - | - |")
    assert "“Lease” is defined in 01-a and in 03-c" in glossary.problems(small.book)[0]
