"""Exercises: a check runs the reader's own function and says what is wrong.

An exercise has four places:

1. The *check*, in `book/_exercises/NN_chapter.py`. It calls the reader's function on cases, with a hint each:

       from bookkit.exercises import Answer, exercise

       @exercise
       def smallest_fit(answer: Answer) -> None:
           answer(3, [2, 4, 8]).gives(4, hint="A node of exactly the size asked for would do, too.")
           answer(9, [2, 4, 8]).gives(None, hint="What if no node is large enough?")
           answer(1, []).raises(ValueError, hint="...")
           answer(3, [4, 8]).satisfies(lambda got: got in (4, 8), "one of the nodes that were given", hint="...")

2. The *stub*, a cell of the chapter tagged `exercise:smallest_fit`; the reader fills it in. The stub raises
   NotImplementedError. The next cell is the check: `check("smallest_fit", smallest_fit)`. It prints a verdict and
   never raises, so a notebook with unsolved exercises still runs from top to bottom.
3. The *solution*, a cell tagged `solution:smallest_fit` and `hide-cell`: it defines the function of the same
   name and calls `check` again. It is folded on the page and in JupyterLab.
4. *Wrong answers*, in `tests/book/wrong/NN_chapter.py`: at least two that people would write, each with words
   that the verdict must contain:

       from bookkit.exercises import wrong

       @wrong("smallest_fit", says="exactly the size")
       def forgets_equal(wanted, sizes): ...

`tests/book/test_exercises.py` proves each exercise both ways, from the very cells of the notebook. Stub and
solution cells must stand on their own: what they use, they import or define.
"""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import inspect
import pprint
import sys
import textwrap
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHECKS = ROOT / "book" / "_exercises"
WRONG = ROOT / "tests" / "book" / "wrong"

Check = Callable[["Answer"], None]
NOTHING = object()


class ExerciseError(Exception):
    """A mistake in how an exercise was set or called, not in an answer to it."""


@dataclass(frozen=True)
class Verdict:
    """What a check found: right or not, after how many cases, and the message for the reader."""

    name: str
    right: bool
    cases: int
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Exercise:
    """One exercise: its name, what is asked (the first line of the check's docstring), and the check."""

    name: str
    asked: str
    run: Check


@dataclass(frozen=True)
class WrongAnswer:
    """An answer that people would write, and words that the verdict on it must contain."""

    exercise: str
    says: str
    function: Callable[..., Any]


class Wrong(Exception):
    """Ends a check: the answer is wrong, for the reason given."""

    def __init__(self, *, given: str, came: str, expected: str, hint: str, unwritten: bool = False) -> None:
        super().__init__(given, came, expected, hint)
        self.given, self.came, self.expected, self.hint, self.unwritten = given, came, expected, hint, unwritten


class Answer:
    """The reader's function, as a check sees it: call it, then say what must come."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, name
        self.cases = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Outcome:
        """Call the function with copies of the arguments; a coroutine is run to its end."""
        self.cases += 1
        given = call_text(self.name, args, kwargs)
        args, kwargs = _copies(args), _copies(kwargs)
        before = _copies((args, kwargs))
        try:
            result = _finished(self.function(*args, **kwargs))
        except Exception as error:
            return Outcome(self, given, NOTHING, error, False)
        return Outcome(self, given, result, None, _differ(before, (args, kwargs)))


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a result or an error. Its methods end the check when that is not what was asked."""

    answer: Answer
    given: str
    result: Any
    error: Exception | None
    changed: bool

    @property
    def came(self) -> str:
        """The result or the error, as the reader is shown it."""
        if self.error is not None:
            text = str(self.error)
            return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__
        return show(self.result)

    def gives(self, expected: Any, *, hint: str = "") -> Outcome:
        """The result must equal `expected` (True is not 1)."""
        same = self.error is None and self.result == expected
        if same and isinstance(expected, bool):
            same = isinstance(self.result, bool)
        return self if same else self._wrong(show(expected), hint)

    def satisfies(self, holds: Callable[[Any], bool], expected: str, *, hint: str = "") -> Outcome:
        """`holds(result)` must be true; `expected` tells in words what it asks for."""
        if self.error is not None:
            return self._wrong(expected, hint)
        try:
            good = holds(self.result)
        except Exception:       # a result of another shape than asked
            good = False
        return self if good else self._wrong(expected, hint)

    def raises(self, kind: type[Exception], *, mentions: str = "", hint: str = "") -> Outcome:
        """The call must raise `kind`, with `mentions` in its text."""
        if (isinstance(self.error, kind) and not isinstance(self.error, NotImplementedError)
                and mentions in str(self.error)):
            return self
        return self._wrong(f"{kind.__name__}" + (f" that mentions {mentions!r}" if mentions else ""), hint)

    def keeps_its_arguments(self, *, hint: str = "Work on a copy: the caller still needs what it gave you.") -> Outcome:
        """The call must leave the arguments as they were."""
        if not self.changed:
            return self
        raise Wrong(given=self.given, came="the arguments were changed", expected="arguments as they were", hint=hint)

    def _wrong(self, expected: str, hint: str) -> Outcome:
        raise Wrong(given=self.given, came=self.came, expected=expected, hint=hint,
                    unwritten=isinstance(self.error, NotImplementedError))


_checks: dict[str, Exercise] = {}
_wrongs: list[WrongAnswer] = []


def exercise(run: Check) -> Check:
    """Make a function the check of the exercise that has the function's name."""
    name = getattr(run, "__name__", "")
    asked = (inspect.getdoc(run) or "").split("\n")[0]
    if name in _checks and inspect.getsourcefile(_checks[name].run) != inspect.getsourcefile(run):
        raise ExerciseError(f"There are two exercises named {name!r}: in {inspect.getsourcefile(_checks[name].run)} "
                            f"and in {inspect.getsourcefile(run)}. Names are unique in the whole book.")
    _checks[name] = Exercise(name, asked, run)
    return run


def wrong(name: str, *, says: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Keep a wrong answer to the exercise `name`; the verdict on it must contain `says`."""
    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        _wrongs.append(WrongAnswer(name, says, function))
        return function
    return keep


def exercises() -> dict[str, Exercise]:
    """All exercises of the book, by name."""
    for path in sorted(CHECKS.glob("[0-9]*.py")):
        _load(path)
    return dict(_checks)


def wrong_answers() -> list[WrongAnswer]:
    """All wrong answers that the tests keep."""
    for path in sorted(WRONG.glob("[0-9]*.py")):
        _load(path)
    return list(_wrongs)


def judge(name: str, function: Callable[..., Any]) -> Verdict:
    """The verdict on a function: what `check` prints."""
    found = _checks.get(name) or exercises().get(name)
    if found is None:
        raise ExerciseError(f"There is no exercise named {name!r}. There are: {', '.join(sorted(_checks)) or 'none'}.")
    if not callable(function):
        raise ExerciseError(f"check({name!r}, ...) needs your function, and was given {show(function)}. "
                            f"Give the function itself, without calling it: check({name!r}, {name})")
    answer = Answer(function, name)
    try:
        found.run(answer)
    except Wrong as no:
        return Verdict(name, False, answer.cases, _message(name, answer.cases, no))
    if not answer.cases:
        raise ExerciseError(f"The check of {name!r} never called the answer.")
    return Verdict(name, True, answer.cases, f"right: {name}, {answer.cases} case{'s' * (answer.cases != 1)}")


def check(name: str, function: Callable[..., Any]) -> None:
    """Run the check `name` on your function and print the verdict: right, or what came and what was expected."""
    print(judge(name, function))


def _message(name: str, case: int, no: Wrong) -> str:
    if no.unwritten:
        lines = [f"not yet: {name} is still to be written. The first thing asked of it:"]
    else:
        lines = [f"not yet: {name}, case {case}"]
    facts = {"given": no.given, "came": no.came, "expected": no.expected, "hint": no.hint}
    for word, text in facts.items():
        if not text or (no.unwritten and word == "came"):
            continue
        width = 10_000 if word == "given" else 92
        wrapped = [part for line in text.splitlines() for part in (textwrap.wrap(line, width) or [""])] \
            if word == "hint" else text.splitlines()
        lines += [f"  {word if n == 0 else '':<9} {line}" for n, line in enumerate(wrapped)]
    return "\n".join(lines)


def show(value: Any) -> str:
    """A value as the reader would write it: short on one line, long over several."""
    text = repr(value)
    return text if len(text) <= 88 else pprint.pformat(value, width=88, sort_dicts=False)


def call_text(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The call as the reader would write it, over several lines when it is long."""
    parts = [show(a) for a in args] + [f"{k}={show(v)}" for k, v in kwargs.items()]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= 88 and "\n" not in line:
        return line
    return f"{name}(\n" + ",\n".join(textwrap.indent(p, "    ") for p in parts) + ")"


def _copies(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:       # something alive, such as a client: it is given as it is
        return value


def _differ(before: Any, after: Any) -> bool:
    try:
        return bool(before != after)
    except Exception:
        return False


def _finished(result: Any) -> Any:
    """The result, awaited in a loop of its own when the answer is a coroutine function (a kernel's loop is busy)."""
    if not inspect.iscoroutine(result):
        return result
    box: dict[str, Any] = {}

    def run() -> None:
        try:
            box["result"] = asyncio.run(result)
        except Exception as error:
            box["error"] = error
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in box:
        raise box["error"]
    return box["result"]


def _load(path: Path) -> ModuleType:
    name = f"bookkit_loaded_{path.parent.name}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


# What the proof in tests/book reads from the notebooks

@dataclass(frozen=True)
class Cells:
    """The cells of one exercise in its chapter."""

    chapter: str
    name: str
    stub: str
    solution: str


def exercise_cells(notebook: Path) -> list[Cells]:
    """The exercises of a chapter, with the source of their stub and solution cells (tags `exercise:`, `solution:`)."""
    import nbformat
    found: dict[str, dict[str, str]] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:  # type: ignore[no-untyped-call]
        for tag in cell.metadata.get("tags", []):
            kind, _, name = tag.partition(":")
            if kind in ("exercise", "solution") and name:
                if kind in found.setdefault(name, {}):
                    raise ExerciseError(f"{notebook.name}: two cells are tagged {tag!r}")
                found[name][kind] = cell.source
    for name, parts in found.items():
        for kind in ("exercise", "solution"):
            if kind not in parts:
                raise ExerciseError(f"{notebook.name}: no cell is tagged '{kind}:{name}'")
    return [Cells(notebook.stem, name, p["exercise"], p["solution"]) for name, p in found.items()]


def function_of(cells: Cells, source: str) -> Callable[..., Any]:
    """The function that a stub or solution cell defines, run in a namespace of its own."""
    space: dict[str, Any] = {"check": lambda *_: None, "__name__": "exercise"}
    code = "\n".join("" if line.startswith(("%", "!")) else line for line in source.splitlines())
    exec(compile(code, f"<{cells.chapter}: {cells.name}>", "exec"), space)
    if not callable(space.get(cells.name)):
        raise ExerciseError(f"{cells.chapter}: the cell of {cells.name!r} defines no function of that name")
    found: Callable[..., Any] = space[cells.name]
    return found


def fold_solutions(notebook: Any) -> None:
    """Fold the solution cells: on the page (tag hide-cell) and in JupyterLab. The refresh script calls this."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if any(t.startswith("solution:") for t in tags):
            if "hide-cell" not in tags:
                cell.metadata["tags"] = [*tags, "hide-cell"]
            cell.metadata.setdefault("jupyter", {}).update(source_hidden=True, outputs_hidden=True)
