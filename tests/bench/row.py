"""A row of the table: what was measured, on both sides, and whether it is what we set out to reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What, ours, beside what it is compared with; `form` shows a number; `met` is None where there is no target."""

    what: str
    tiny: float | None
    genuine: float | None = None
    form: str = "{:,.0f}"
    target: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        """The texts of the row."""
        shown = ["–" if value is None else self.form.format(value) for value in (self.tiny, self.genuine)]
        return [self.what, *shown, self.target or "–", {True: "yes", False: "**no**", None: "–"}[self.met]]


def at_least(what: str, pairs: Sequence[tuple[float, float]], share: float, beside: str = "the genuine one's",
             form: str = "{:,.0f}") -> Row:
    """A row of rates that were measured in pairs, ours and then the other: the median of their ratios has to reach `share`."""
    ours, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / its for mine, its in pairs)
    wanted = f"{share:.0%} of {beside}; it is {ratio:.0%}"
    return Row(what, ours, other, form, wanted, ratio >= share)


def at_most(what: str, value: float, limit: float, genuine: float | None = None, form: str = "{:.2f} s") -> Row:
    """A row of something that has to stay below a limit."""
    return Row(what, value, genuine, form, "at most " + form.format(limit), value <= limit)


def pairs_of(ours: Callable[[], float], other: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """Measure both in turn, round by round, so that both meet the same machine."""
    return [(ours(), other()) for _ in range(rounds)]
