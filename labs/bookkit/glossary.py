"""The glossary is made of the chapters' own words, so that nobody keeps a second list.

The section `## Words` of a chapter holds a table: word, meaning, name in our code, genuine name. `bookkit glossary`
gathers them into book/glossary.md; the gate holds it to that, and to one meaning a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .book import Book, Chapter

HEADER = ("Word", "Meaning", "In our code", "Genuine name")
TOP = """# Glossary

Every word that a chapter defines, with its place in our code and its name in the genuine one. The tables at the end
of the chapters are the source; `bookkit glossary` writes this page from them.

"""


@dataclass(frozen=True)
class Word:
    """One row of a chapter's table."""

    word: str
    meaning: str
    ours: str
    genuine: str
    chapter: str


def words(chapter: Chapter) -> list[Word]:
    """The words that a chapter defines. Raises ValueError when a row has other than four columns."""
    found = []
    for row in _rows(chapter):
        columns = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", row.strip().strip("|"))]
        if len(columns) != len(HEADER):
            raise ValueError(f"{chapter.name}: the table of words wants the columns {' | '.join(HEADER)}; this row has "
                             f"{len(columns)}: {row.strip()}")
        if tuple(columns) != HEADER and not set("".join(columns)) <= set("-: "):
            found.append(Word(columns[0].strip("*"), columns[1], columns[2], columns[3], chapter.path.stem))
    return found


def _rows(chapter: Chapter) -> list[str]:
    """The table rows of the section Words."""
    rows, inside = [], False
    for cell in chapter.cells:
        if cell.is_code:
            continue
        for line in cell.source.splitlines():
            if line.startswith("#"):
                inside = line.strip() == "## Words"
            elif inside and line.lstrip().startswith("|"):
                rows.append(line)
    return rows


def collect(book: Book) -> list[Word]:
    """The words of all chapters, in alphabetical order."""
    return sorted((word for chapter in book.chapters() for word in words(chapter)), key=lambda w: w.word.lower())


def text(book: Book) -> str:
    """The page, as it has to be."""
    entries = []
    for word in collect(book):
        rest = [f"In our code: {word.ours}." if word.ours not in {"", "-"} else "",
                f"Genuine: {word.genuine}." if word.genuine not in {"", "-"} else "",
                f"First in [chapter {word.chapter.split('-')[0]}]({word.chapter}.ipynb)."]
        said = " ".join(part for part in (word.meaning.rstrip(".") + ".", *rest) if part)
        entries.append(f"{word.word}\n: {said}\n")
    return TOP + "\n".join(entries)


def write(book: Book) -> int:
    """Write book/glossary.md; how many words it holds."""
    (book.folder / "glossary.md").write_text(text(book), "utf-8")
    return len(collect(book))


def problems(book: Book) -> list[str]:
    """Words defined twice, and a page that is not what the chapters say."""
    try:
        every = collect(book)
    except ValueError as error:
        return [str(error)]
    found = []
    seen: dict[str, Word] = {}
    for word in sorted(every, key=lambda w: w.chapter):
        first = seen.setdefault(word.word.lower(), word)
        if first is not word:
            found.append(f"“{word.word}” is defined in {first.chapter} and in {word.chapter}; the first one keeps it")
    page = book.folder / "glossary.md"
    if not page.exists() or page.read_text("utf-8") != text(book):
        found.append("book/glossary.md is not what the chapters' words say; run `bookkit glossary`")
    return found
