"""A picture of who did what at which tick: one lane for each actor, one square for each tick.

The chapter on architectures draws its simulations with it. A square's letter is its meaning, so that the picture
can be read without colors, and the same picture exists as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

CELL, GAP, LABEL, TOP = 18, 2, 92, 22
STYLE = """
.lanes{font:12px ui-monospace,Menlo,Consolas,monospace;fill:currentColor;max-width:100%}
.lanes rect{stroke:currentColor;stroke-opacity:.25}
.lanes .good{fill:#2f8f5b}.lanes .bad{fill:#c0392b}.lanes .lead{fill:#b9770e}
.lanes .idle{fill:currentColor;fill-opacity:.07}
.lanes .down{fill:currentColor;fill-opacity:.35}.lanes .mark{fill:#fff;font-weight:700}.lanes .plain{fill:currentColor}
"""


@dataclass(frozen=True)
class Lanes:
    """Rows of one-letter marks, with a key that says what each letter means and how it is colored.

    `rows` maps an actor's name to a string, one letter a tick. `key` maps a letter to (style, meaning), where style
    is one of good, bad, lead, idle, down.
    """

    title: str
    rows: Mapping[str, str]
    key: Mapping[str, tuple[str, str]]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def ticks(self) -> int:
        """How many ticks the longest row has."""
        return max((len(row) for row in self.rows.values()), default=0)

    def __repr__(self) -> str:
        width = max(map(len, self.rows), default=0)
        ruler = "".join(str(tick // 5 * 5)[-2:].ljust(5) for tick in range(0, self.ticks, 5))
        used = [f"{letter} {meaning}" for letter, (_, meaning) in self.key.items()
                if any(letter in row for row in self.rows.values())]
        lines = [self.title, f"{'':{width}}  {ruler}".rstrip()]
        lines += [f"{name:{width}}  {row}" for name, row in self.rows.items()]
        return "\n".join([*lines, f"{'':{width}}  {', '.join(used)}", *self.notes])

    def svg(self) -> str:
        """The picture; its text equivalent is its description."""
        step = CELL + GAP
        width = LABEL + self.ticks * step + 8
        height = TOP + len(self.rows) * (step + 4) + 24
        parts = [f'<svg class="lanes" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                 f'width="{width}" role="img" aria-label="{escape(self.title, quote=True)}"><style>{STYLE}</style>'
                 f"<title>{escape(self.title)}</title><desc>{escape(repr(self))}</desc>"]
        for tick in range(0, self.ticks, 5):
            parts.append(f'<text class="plain" x="{LABEL + tick * step + 2}" y="14">{tick}</text>')
        for place, (name, row) in enumerate(self.rows.items()):
            y = TOP + place * (step + 4)
            parts.append(f'<text class="plain" x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
            for tick, letter in enumerate(row):
                if letter == " ":
                    continue
                style, x = self.key[letter][0], LABEL + tick * step
                parts.append(f'<rect class="{style}" x="{x}" y="{y}" width="{CELL}" height="{CELL}" rx="3"/>')
                if style not in ("idle", "down"):
                    parts.append(f'<text class="mark" x="{x + CELL / 2:g}" y="{y + 13}" text-anchor="middle">'
                                 f"{escape(letter)}</text>")
        used = [f"{letter if style not in ('idle', 'down') else '▢'} {meaning}" for letter, (style, meaning)
                in self.key.items() if any(letter in row for row in self.rows.values())]
        parts.append(f'<text class="plain" x="{LABEL}" y="{height - 8}">{escape(" · ".join(used))}</text></svg>')
        return "".join(parts)

    def html(self) -> str:
        """The picture with its caption; players show it."""
        return self._repr_html_()

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return f'<figure style="margin:0">{self.svg()}<figcaption>{escape(self.title)}{notes}</figcaption></figure>'
