"""Every exercise is proved: the stub fails, the solution passes, wrong answers fail and are told why."""

from __future__ import annotations

from pathlib import Path

import pytest
from bookkit.exercises import (
    Answer,
    Cells,
    ExerciseError,
    exercise,
    exercise_cells,
    exercises,
    function_of,
    judge,
    wrong_answers,
)

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
FOUND = [cells for chapter in CHAPTERS for cells in exercise_cells(chapter)]
NAMES = [f"{c.chapter}:{c.name}" for c in FOUND]


@pytest.mark.parametrize("cells", FOUND, ids=NAMES)
def test_the_stub_is_not_yet_right(cells: Cells) -> None:
    verdict = judge(cells.name, function_of(cells, cells.stub))
    assert not verdict.right
    assert "still to be written" in verdict.message, f"let the stub raise NotImplementedError:\n{verdict.message}"


@pytest.mark.parametrize("cells", FOUND, ids=NAMES)
def test_the_solution_is_right(cells: Cells) -> None:
    verdict = judge(cells.name, function_of(cells, cells.solution))
    assert verdict.right, verdict.message
    assert verdict.cases >= 2


@pytest.mark.parametrize("cells", FOUND, ids=NAMES)
def test_wrong_answers_are_told_why(cells: Cells) -> None:
    wrongs = [w for w in wrong_answers() if w.exercise == cells.name]
    assert len(wrongs) >= 2, f"tests/book/wrong/ has {len(wrongs)} wrong answers to {cells.name}; two are needed"
    messages = []
    for w in wrongs:
        verdict = judge(cells.name, w.function)
        assert not verdict.right, f"{w.function.__name__} passes the check of {cells.name}"
        for word in ("given", "came", "expected", "hint"):
            assert f"  {word:<9} " in verdict.message, f"{w.function.__name__}: the verdict lacks {word!r}\n{verdict}"
        assert w.says in " ".join(verdict.message.split()), f"{w.function.__name__} is told:\n{verdict.message}"
        assert len(w.says) >= 8, f"{w.function.__name__}: says={w.says!r} proves little"
        messages.append(verdict.message)
    assert len(set(messages)) == len(messages), f"two wrong answers to {cells.name} are told the same"


def test_checks_and_cells_belong_together() -> None:
    in_chapters = {c.name for c in FOUND}
    assert set(exercises()) == in_chapters, "each check in book/_exercises needs its cells, and the reverse"
    assert {w.exercise for w in wrong_answers()} <= in_chapters


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_each_chapter_has_two(chapter: Path) -> None:
    if chapter.stem.startswith("00"):
        pytest.skip("the first chapter shows the machine, it asks nothing")
    assert len(exercise_cells(chapter)) >= 2


# The machinery itself

@pytest.fixture
def doubling() -> str:
    @exercise
    def probe_doubling(answer: Answer) -> None:
        """Double a number."""
        answer(2).gives(4, hint="two twos")
        answer([1, 2]).gives([2, 4], hint="lists go one by one").keeps_its_arguments()
        answer("x").raises(TypeError, mentions="number", hint="name the type")
        answer(0).satisfies(lambda n: n == 0, "nothing", hint="zero is a number")
    yield "probe_doubling"      # type: ignore[misc]
    from bookkit import exercises as module
    module._checks.pop("probe_doubling")


def right(x: object) -> object:
    if isinstance(x, list):
        return [right(i) for i in x]
    if not isinstance(x, int):
        raise TypeError("not a number")
    return x * 2


def test_right(doubling: str) -> None:
    assert judge(doubling, right).message == "right: probe_doubling, 4 cases"


def test_what_came_and_what_was_expected(doubling: str) -> None:
    assert judge(doubling, lambda x: x + 1).message.splitlines() == [
        "not yet: probe_doubling, case 1", "  given     probe_doubling(2)", "  came      3", "  expected  4",
        "  hint      two twos"]


def test_an_error_is_what_came(doubling: str) -> None:
    def broken(x: int) -> int:
        return {}[x]  # type: ignore[no-any-return]
    assert "came      KeyError: 2" in judge(doubling, broken).message


def test_a_changed_argument_is_seen(doubling: str) -> None:
    def changes(x: object) -> object:
        if isinstance(x, list):
            x[:] = [i * 2 for i in x]
            return x
        return right(x)
    assert "the arguments were changed" in judge(doubling, changes).message


def test_a_coroutine_is_awaited(doubling: str) -> None:
    async def slow(x: object) -> object:
        return right(x)
    assert judge(doubling, slow).right


def test_true_is_not_one() -> None:
    with pytest.raises(Exception, match="True"):
        Answer(lambda: 1, "f")().gives(True)


def test_unknown_exercise_and_called_function() -> None:
    with pytest.raises(ExerciseError, match="no exercise named 'nope'"):
        judge("nope", right)


def test_a_result_instead_of_a_function(doubling: str) -> None:
    with pytest.raises(ExerciseError, match="without calling it"):
        judge(doubling, right(2))  # type: ignore[arg-type]
