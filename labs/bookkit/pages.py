"""Check the built HTML: is every page of the table of contents there, and is something on it?"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def expected(root: Path = ROOT) -> list[str]:
    """The pages that _toc.yml promises, without their ending."""
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def faults(html: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with the pages below `html`, a sentence each; empty if nothing is."""
    found = []
    for name in expected(root):
        page = html / f"{name}.html"
        if not page.exists():
            found.append(f"{name} is in _toc.yml, but {page} was not built")
        elif "<h1" not in page.read_text():
            found.append(f"{page} has no title: an empty page?")
    if not (html / "index.html").exists():
        found.append(f"{html / 'index.html'} is missing: the book has no front page")
    return found


def main(arguments: list[str]) -> int:
    """`bookkit pages [FOLDER]`: 0 if all pages are there, else 1 and what is wrong."""
    html = Path(arguments[0]) if arguments else ROOT / "_build" / "html"
    wrong = faults(html)
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"{len(expected())} pages are there")
    return 1 if wrong else 0
