"""`bookkit doctor`: one table of what this machine can run, what is missing, and the command that would bring it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from html import escape
from pathlib import Path

from . import tiers

PARTS = {
    "anywhere": ("python", "kubectl"),
    "tmux": ("tmux",),
    "linux-root": (),
    "docker": ("docker", "busybox"),
    "genuine": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    "kind": ("kind",),
}
WITHOUT = {
    "anywhere": "",
    "tmux": "cells that watch programs in the cockpit",
    "linux-root": "cells that make namespaces, cgroups and network rules",
    "docker": "cells that start containers with Docker, and kind",
    "genuine": "cells that start genuine etcd and kube-* programs",
    "kind": "cells that talk to a genuine cluster",
}


@dataclass(frozen=True)
class Row:
    """One tier: whether it runs here, what was found, and what to do about what was not."""

    tier: str
    runs: bool
    found: list[str]
    missing: list[str]
    skipped: str


class Checkup:
    """What was found on this machine; shows as a table in notebooks, as text elsewhere."""

    def __init__(self, rows: list[Row], machine: dict[str, str]) -> None:
        self.rows, self.machine = rows, machine

    def __str__(self) -> str:
        lines = [f"{name:<8} {value}" for name, value in self.machine.items()]
        lines.append("")
        for row in self.rows:
            lines.append(f"{row.tier:<11} {'yes' if row.runs else 'no ':<4} {', '.join(row.found) or '-'}")
            lines += [f"{'':<16} missing: {problem}" for problem in row.missing]
            if not row.runs and row.skipped:
                lines.append(f"{'':<16} without it, these are shown as recordings: {row.skipped}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        head = "<tr><th>tier</th><th>runs here</th><th>found</th><th>to do</th></tr>"
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(text)}</td>" for text in (
                r.tier, "yes" if r.runs else "no", ", ".join(r.found) or "-", "; ".join(r.missing) or "-")) + "</tr>"
            for r in self.rows)
        told = "<br>".join(f"{escape(name)}: {escape(value)}" for name, value in self.machine.items())
        return {"text/plain": str(self), "text/html": f"<p>{told}</p><table>{head}{body}</table>"}


def doctor() -> Checkup:
    """Look at this machine, now: every tier with what it needs, memory, disk, Python."""
    tiers.forget()
    return Checkup([_row(tier) for tier in tiers.TIERS], machine())


def _row(tier: str) -> Row:
    missing = tiers.missing(tier)
    found, optional = [], []
    for name in PARTS[tier]:
        text, problem = _part(name)
        if text:
            found.append(text)
        elif problem:
            optional.append(problem)
    everything = list(dict.fromkeys([*missing, *(p for p in optional if p not in missing)]))
    return Row(tier, not missing, found, everything, WITHOUT[tier])


def _part(name: str) -> tuple[str, str]:
    """The program with its version if it is there, else what to do."""
    from genuine.find import find

    if name == "python":
        return f"Python {platform.python_version()}", ""
    part = find(name)
    return (f"{name} {part.version}".strip() if part.found else "", part.problem)


def machine() -> dict[str, str]:
    """The machine itself: system, processors, memory, disk."""
    free, total = memory()
    disk = shutil.disk_usage(Path.home() if Path.home().exists() else "/")
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} processors",
        "Python": platform.python_version(),
        "memory": f"{_gib(free)} free of {_gib(total)} (a kind cluster wants 2 GiB)",
        "disk": f"{_gib(disk.free)} free of {_gib(disk.total)} (Docker and kind want 5 GiB)",
    }


def memory() -> tuple[int, int]:
    """Free and total memory in bytes."""
    try:
        import psutil
    except ImportError:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return pages, pages
    seen = psutil.virtual_memory()
    return int(seen.available), int(seen.total)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
