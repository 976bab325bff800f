"""Cells and package stay one: definition by definition, both ways, and twice the same."""

from __future__ import annotations

from typing import Any

import pytest
from bookkit import source
from bookkit.book import Book, Chapter
from bookkit.source import code_lines
from bookkit.weave import GOAL, LIMITS, gate, sizes, skeleton, tangle, weave

from .conftest import SmallBook

MODULE = '''
"""A queue."""
from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Queue"]

# how many
# it holds
LIMIT = 3  # three

NAMES: list[str] = [
    "a",
]


@decorated
# a comment between
def first(x: int) -> int:
    """Doc."""
    return x


class Queue(Base[int], metaclass=Meta):
    """Holds things.

    In order.
    """

    size: int = 0

    # why a list
    def __init__(self) -> None:
        self.items = []

    @property
    def full(self) -> bool:
        """Whether."""
        return False

    @full.setter
    def full(self, value: bool) -> None: ...


class Empty(Exception): ...


for name in NAMES:
    print(name)
'''
WHOLE = ["LIMIT", "NAMES", "first", "Queue", "Queue.size", "Queue.__init__", "Queue.full", "Queue.full.setter", "Empty",
         "`for name in NAMES:`"]


def names(text: str, class_name: str = "") -> list[str]:
    return [one.name for one in source.definitions(text, class_name)]


def cells_of(small: SmallBook, path: str = "tinykube/q.py") -> list[str]:
    return skeleton(small.book, path)


def test_definitions_are_found_with_their_comments() -> None:
    found = {one.name: one.text for one in source.definitions(MODULE)}
    assert list(found) == WHOLE
    assert found["LIMIT"] == "# how many\n# it holds\nLIMIT = 3  # three"
    assert found["first"].startswith("@decorated\n# a comment between\ndef first")
    assert found["Queue"] == 'class Queue(Base[int], metaclass=Meta):\n    """Holds things.\n\n    In order.\n    """'
    assert found["Queue.__init__"].splitlines()[:2] == ["# why a list", "def __init__(self) -> None:"]
    assert found["Empty"] == "class Empty(Exception): ..."


def test_overloads_are_told_apart() -> None:
    text = "@overload\ndef f(x: int): ...\n@overload\ndef f(x: str): ...\ndef f(x): return x\n"
    assert names(text) == ["f", "f (2)", "f (3)"]


def test_a_string_left_of_its_class_is_named() -> None:
    with pytest.raises(ValueError, match=r"C\.f: line 3 starts left of its definition"):
        source.definitions('class C:\n    def f(self): return """\nleft"""\n')


def test_a_skeleton_passes_the_gate(small: SmallBook) -> None:
    small.module("tinykube/q.py", MODULE)
    small.chapter("01-q.ipynb", *cells_of(small))
    report = gate(small.book)
    assert (report.problems, report.missing) == ([], {})


def test_every_module_of_the_package_has_a_skeleton_that_passes(small: SmallBook) -> None:
    real = Book.here()
    cells = []
    for path, text in real.sources():
        small.module(path, text)
        if source.definitions(text):
            cells += skeleton(real, path)
    assert len(cells) > 100
    small.chapter("01-all.ipynb", *cells)
    report = gate(small.book)
    assert [p for p in report.problems if "lines" not in p] == []
    assert report.missing == {}


def test_the_gate_names_what_is_wrong(small: SmallBook) -> None:
    small.module("tinykube/q.py", MODULE)
    cells = cells_of(small)
    small.chapter(
        "01-q.ipynb", *[cell.replace("return x", "return x + 1") for cell in cells if "Empty" not in cell], cells[0],
        "#| filename: tinykube/q.py\ndef stranger(): ...",
        "#| filename: tinykube/q.py\ndef broken(:",
        "#| filename: tinykube/q.py\nimport os",
        "#| filename: tinykube/q.py\n" + "\n".join(["def long():", *["    x = 1"] * 45]))
    report = gate(small.book)
    said = "\n".join(report.problems)
    assert [one.name for one in report.missing["tinykube/q.py"]] == ["Empty"]
    assert "tinykube/q.py: stranger is in 01-q.ipynb, code cell" in said
    assert "tinykube/q.py: LIMIT is shown 2 times" in said
    assert "tinykube/q.py: first differs in 01-q.ipynb" in said
    assert "+    return x + 1" in said
    assert "a build cell without a definition" in said
    assert "a build cell of 46 lines; 40 is the most" in said
    assert "invalid syntax" in said


def test_an_experiment_is_no_part_of_the_package(small: SmallBook) -> None:
    small.module("tinykube/q.py", "A = 1\n")
    small.chapter("01-q.ipynb", "#| filename: tinykube/q.py\nA = 1",
                  "#| filename: tinykube/q.py\n#| experiment: two\nA = 2")
    assert gate(small.book).ok
    assert tangle(small.book, small.book.chapters()) == []


def test_weave_brings_the_package_into_the_cells_and_keeps_the_rest(small: SmallBook) -> None:
    small.module("tinykube/q.py", MODULE)
    path = small.chapter("01-q.ipynb", *cells_of(small), "LIMIT + 1", "md: text")
    changed = (MODULE.replace("LIMIT = 3  # three", "LIMIT = 4").replace("return False", "return True")
               .replace("In order.", "In some order.").replace('"""Doc."""', '"""Doc."""\n\n    # why'))
    small.module("tinykube/q.py", changed)
    said = weave(small.book, small.book.chapters())
    assert len(said) == 3
    assert gate(small.book).ok
    before = path.read_bytes()
    assert weave(small.book, small.book.chapters()) == []
    assert path.read_bytes() == before


def test_weave_leaves_a_name_that_the_package_lost(small: SmallBook) -> None:
    small.module("tinykube/q.py", "A = 1\n")
    small.chapter("01-q.ipynb", "#| filename: tinykube/q.py\nA = 1\n\n\nB = 2")
    assert weave(small.book, small.book.chapters()) == [
        "01-q.ipynb, code cell 1: tinykube/q.py has no B; left as it is"]


def test_tangle_writes_edits_back_and_keeps_the_rest_of_the_file(small: SmallBook) -> None:
    file = small.module("tinykube/q.py", MODULE)
    cells = [cell.replace("LIMIT = 3  # three", "LIMIT = 5").replace("return False", "return not True")
             .replace("self.items = []", "self.items: list[int] = []") for cell in cells_of(small)]
    small.chapter("01-q.ipynb", *cells)
    said = tangle(small.book, small.book.chapters())
    assert len(said) == 3
    assert file.read_text() == (MODULE.lstrip("\n").replace("LIMIT = 3  # three", "LIMIT = 5")
                                .replace("return False", "return not True")
                                .replace("self.items = []", "self.items: list[int] = []"))
    assert tangle(small.book, small.book.chapters()) == []
    assert gate(small.book).ok


def test_tangle_adds_what_is_new_where_the_cells_tell_it(small: SmallBook) -> None:
    text = '"""Q."""\n\nA = 1\n\n\nclass C:\n    """C."""\n\n    def f(self): ...\n\n\ndef last(): ...\n'
    file = small.module("tinykube/q.py", text)
    small.chapter("01-q.ipynb", "#| filename: tinykube/q.py\nA = 1",
                  "#| filename: tinykube/q.py\ndef second():\n    return 2",
                  '#| filename: tinykube/q.py\nclass C:\n    """C."""\n\n    def f(self): ...',
                  "#| filename: tinykube/q.py\n#| class: C\ndef g(self):\n    return 3",
                  "#| filename: tinykube/q.py\ndef last(): ...",
                  "#| filename: tinykube/fresh.py\nB = 1")
    tangle(small.book, small.book.chapters())
    assert gate(small.book).ok, gate(small.book)
    assert names(file.read_text()) == ["A", "second", "C", "C.f", "C.g", "last"]
    compile(file.read_text(), "q", "exec")
    assert names((small.book.labs / "tinykube/fresh.py").read_text()) == ["B"]
    assert tangle(small.book, small.book.chapters()) == []


def test_weave_puts_the_tags_that_go_with_option_lines(small: SmallBook) -> None:
    small.chapter("01-q.ipynb", "#| tier: docker\n1", "#| ignore-output: random\n2", "3",
                  tags={2: ["tier:kind", "hide-input"]})
    weave(small.book, small.book.chapters())
    tags: list[Any] = [cell.tags for cell in Chapter(small.book.folder / "01-q.ipynb").cells]
    assert tags == [["tier:docker"], ["nbval-ignore-output"], ["hide-input"]]


def test_lines_of_code_are_neither_blank_nor_words() -> None:
    text = ('"""Module."""\n\n# why\nX = """not a\ndocstring"""\n\n'
            'def f():\n    """What.\n\n    More.\n    """\n    return 1  # one\n')
    assert code_lines(text) == 4


def test_tinykube_is_small_enough_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    found = sizes(Book.here())
    total = sum(found.values())
    with capsys.disabled():
        print(f"\ntinykube, lines of code: {', '.join(f'{seat} {lines}' for seat, lines in sorted(found.items()))}; "
              f"together {total}, left of {GOAL:,}: {GOAL - total:,}")
    assert total > 0
    assert not {seat: lines for seat, lines in found.items() if lines > LIMITS.get(seat, 0)}, LIMITS
