"""`bookkit` on the command line (also `python -m bookkit`)."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from .book import Book

Command = Callable[[argparse.Namespace], int]
ELSEWHERE = {  # commands that live in a module of their own, with `main(arguments) -> int`
    "lint": "ruff and mypy over package, tests and chapters",
    "pages": "check the built HTML pages",
    "soak": "run the chapters many times with both cores busy",
    "vendor": "bring the scripts that the pages carry themselves",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in ELSEWHERE:
        run = importlib.import_module(f"bookkit.{arguments[0]}").main
        return int(run(arguments[1:]) or 0)
    chosen = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.command
    try:
        return command(chosen)
    except (LookupError, FileNotFoundError, ValueError) as error:
        print(f"bookkit: {error.args[0] if isinstance(error, LookupError) else error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bookkit", description="The book's own machinery.",
                                     epilog="also: " + "; ".join(f"{k}: {v}" for k, v in ELSEWHERE.items()))
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, command: Command, text: str, chapters: bool = False) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        if chapters:
            one.add_argument("chapters", nargs="*", help="paths or numbers; all without any")
        return one

    add("weave", _weave, "refresh build cells from the package", chapters=True)
    add("tangle", _tangle, "write edited build cells back into the package", chapters=True)
    gate = add("gate", _gate, "are cells and package one? are the chapters whole?", chapters=True)
    gate.add_argument("--module", default="", help="only what is missing of modules whose path begins so")
    add("sizes", _sizes, "lines of tinykube by seat")
    skeleton = add("skeleton", _skeleton, "print build cells for a module, to start a chapter from")
    skeleton.add_argument("module", help="such as tinykube/store/mvcc.py")
    refresh = add("refresh", _refresh, "run chapters and store their outputs", chapters=True)
    refresh.add_argument("--timeout", type=int, default=300, help="seconds that one cell may take")
    add("doctor", _doctor, "what this machine can run, and what would make it run more")
    md = add("md", _md, "write a chapter as MyST text")
    md.add_argument("notebook", type=Path)
    md.add_argument("-o", "--output", type=Path, help="where (default: beside the notebook)")
    ipynb = add("ipynb", _ipynb, "make a chapter from MyST text, keeping outputs of unchanged cells")
    ipynb.add_argument("text", type=Path)
    ipynb.add_argument("-o", "--output", type=Path, help="where (default: book/NAME.ipynb)")
    add("guard", _guard, "let every kernel of this environment refuse build cells until bookkit is loaded")
    add("glossary", _glossary, "write the glossary from the chapters' Words")
    return parser


def _weave(chosen: argparse.Namespace) -> int:
    from .weave import weave

    book = Book.here()
    said = weave(book, book.chapters(chosen.chapters))
    print("\n".join(said) or "every build cell says what the package says")
    return int(any("left a" in line for line in said))


def _tangle(chosen: argparse.Namespace) -> int:
    from .weave import tangle

    book = Book.here()
    print("\n".join(tangle(book, book.chapters(chosen.chapters))) or "the package says what every build cell says")
    return 0


def _gate(chosen: argparse.Namespace) -> int:
    from . import hygiene, prose
    from .weave import gate

    book = Book.here()
    report = gate(book)
    chapters = book.chapters(chosen.chapters)
    wanted = {chapter.name for chapter in chapters}
    for chapter in chapters:
        report.problems += hygiene.problems(chapter, book) + prose.problems(chapter, book)
    if chosen.chapters:
        report.problems = [p for p in report.problems if any(name in p for name in wanted)]
        report.warnings = [w for w in report.warnings if any(name in w for name in wanted)]
    for path, missing in report.missing.items():
        if path.startswith(chosen.module):
            lines = sum(one.lines for one in missing)
            names = ", ".join(one.name for one in missing)
            print(f"{path}: {len(missing)} definitions ({lines} lines) in no build cell: {names}")
    for line in report.warnings:
        print(f"long: {line}")
    for line in report.problems:
        print(line)
    print(f"{sum(map(len, report.missing.values()))} definitions not shown, {len(report.problems)} problems")
    return int(bool(report.problems) or (not chosen.chapters and bool(report.missing)))


def _sizes(chosen: argparse.Namespace) -> int:
    from .weave import GOAL, LIMITS, sizes

    found = sizes(Book.here())
    for seat, lines in found.items():
        print(f"{seat:12} {lines:6} of {LIMITS.get(seat, 0)}")
    total = sum(found.values())
    print(f"{'together':12} {total:6} of {GOAL}" + f", and {total - GOAL} too many" * (total > GOAL))
    return int(any(lines > LIMITS.get(seat, 0) for seat, lines in found.items()))


def _skeleton(chosen: argparse.Namespace) -> int:
    from .weave import as_myst, skeleton

    module = chosen.module.removeprefix("labs/")
    print(as_myst(skeleton(Book.here(), module)), end="")
    return 0


def _refresh(chosen: argparse.Namespace) -> int:
    from .refresh import refresh

    book = Book.here()
    return refresh(book, book.chapters(chosen.chapters), chosen.timeout)


def _doctor(chosen: argparse.Namespace) -> int:
    from .checkup import doctor

    print(doctor())
    return 0


def _md(chosen: argparse.Namespace) -> int:
    from .convert import to_text

    print(to_text(chosen.notebook, chosen.output))
    return 0


def _ipynb(chosen: argparse.Namespace) -> int:
    from .convert import to_notebook

    target = chosen.output or Book.here().folder / f"{chosen.text.stem}.ipynb"
    print(to_notebook(chosen.text, target))
    return 0


def _glossary(chosen: argparse.Namespace) -> int:
    from .glossary import write

    book = Book.here()
    print(f"{write(book)} words in book/glossary.md")
    return 0


def _guard(chosen: argparse.Namespace) -> int:
    from .guard import install

    print(install())
    return 0
