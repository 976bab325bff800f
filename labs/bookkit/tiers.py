"""Tiers: what a cell needs of the machine. `#| tier: docker` as a cell's first line says so.

Where the tier is missing, the cell is not run: it says what is missing and how to get it, and shows what it
printed where the tier was there, as a recording. `BOOKKIT_TIERS=anywhere,docker` decides instead of looking.
"""

from __future__ import annotations

import functools
import os
from typing import Any

TIERS = {
    "anywhere": "Python alone: a laptop, Binder, CI",
    "tmux": "tmux, in which the cockpit shows many programs at once",
    "linux-root": "root on Linux: namespaces, cgroups, nftables",
    "docker": "a Docker daemon",
    "genuine": "genuine etcd and kube-* binaries",
    "kind": "genuine Kubernetes in Docker",
}
FORCED = "BOOKKIT_TIERS"


def check(tier: str) -> None:
    """Raises ValueError, naming the tiers there are, when `tier` is none of them."""
    if tier not in TIERS:
        raise ValueError(f"no tier is called {tier!r}; there are {', '.join(TIERS)}")


def missing(tier: str) -> list[str]:
    """What this machine lacks for `tier` and how to get it, a sentence each; [] when it can run it."""
    check(tier)
    forced = os.environ.get(FORCED)
    if forced is not None:
        wanted = [name.strip() for name in forced.split(",") if name.strip()]
        for name in wanted:
            check(name)
        return [] if tier in wanted or tier == "anywhere" else [f"{FORCED}={forced} leaves {tier} out"]
    return list(_looked_for(tier))


@functools.cache
def _looked_for(tier: str) -> tuple[str, ...]:
    from genuine.find import tier_problems

    return tuple(tier_problems(tier))


def available() -> list[str]:
    """The tiers that this machine can run, in their order."""
    return [tier for tier in TIERS if not missing(tier)]


def has(tier: str) -> bool:
    """Whether this machine can run cells of `tier`."""
    return not missing(tier)


def forget() -> None:
    """Look again, after something was installed or started."""
    _looked_for.cache_clear()


def reason(tier: str) -> str:
    """Why cells of `tier` are skipped here, in one line."""
    return f"tier {tier} is missing: {'; '.join(missing(tier))}"


def stand_in(tier: str, source: str) -> None:
    """What a cell of a missing tier does: say what is missing, and show the recording."""
    from IPython.display import display

    from . import recordings

    check(tier)
    record = recordings.find(source)
    lines = [f"This cell was not run: {reason(tier)}."]
    if record is None:
        lines.append("There is no recording of it (was the cell edited?).")
    else:
        lines.append(f"Below is a recording, {record.provenance}.")
    text = "\n".join(lines)
    display(_Note(text, recordings.banner(tier, lines)))  # type: ignore[no-untyped-call]
    if record:
        record.replay()


class _Note:
    """A text with its HTML form."""

    def __init__(self, text: str, html: str) -> None:
        self.text, self.html = text, html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self.html}
