"""What cells of the deeper tiers printed where they could run, kept in book/_recordings/NN-name.json.

Written by `bookkit refresh` alone; a cell finds its recording by its own text, so an edited cell has none.
"""

from __future__ import annotations

import html
import json
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .book import Book, source_key

WIDGET = "application/vnd.jupyter.widget"
BOX = "border-left:.25rem solid #b45309;padding:.4rem .8rem;margin:.3rem 0"


@dataclass
class Record:
    """The outputs of one cell, and where they come from."""

    tier: str
    made: str
    facts: dict[str, str]
    command: str
    outputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def provenance(self) -> str:
        """One phrase: when, with what, by which command."""
        with_what = ", ".join(f"{name} {version}" for name, version in self.facts.items())
        return f"made on {self.made} with {with_what}, by `{self.command}`"

    def replay(self) -> None:
        """Show the outputs again, as they were."""
        from IPython.display import display

        for output in self.outputs:
            kind = output["output_type"]
            if kind == "stream":
                stream = sys.stderr if output["name"] == "stderr" else sys.stdout
                stream.write(output["text"])
            elif kind in {"display_data", "execute_result"}:
                data = {mime: value for mime, value in output["data"].items() if not mime.startswith(WIDGET)}
                display(data, raw=True)  # type: ignore[no-untyped-call]
            elif kind == "error":
                sys.stderr.write(f"{output['ename']}: {output['evalue']}\n")


def find(source: str, folder: Path | None = None) -> Record | None:
    """The recording of the cell with this text, or None."""
    key = source_key(source)
    for path in sorted((folder or Book.here().recordings).glob("*.json")):
        kept = json.loads(path.read_text("utf-8"))
        if key in kept:
            return Record(**kept[key])
    return None


def load(path: Path) -> dict[str, Record]:
    """All recordings of one chapter, by the key of their cell."""
    if not path.exists():
        return {}
    return {key: Record(**value) for key, value in json.loads(path.read_text("utf-8")).items()}


def save(path: Path, records: dict[str, Record]) -> None:
    """Write the recordings of one chapter; none at all leaves no file."""
    if not records:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({key: vars(record) for key, record in records.items()}, indent=1, ensure_ascii=False) + "\n"
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def facts(tier: str) -> dict[str, str]:
    """The versions that matter for outputs of a tier on this machine."""
    from genuine import find as parts

    found = {"Python": platform.python_version(), platform.system(): platform.machine()}
    wanted = {
        "docker": ("docker",),
        "genuine": ("kube-apiserver", "etcd"),
        "kind": ("kind", "docker"),
    }.get(tier, ())
    for name in wanted:
        found[name] = parts.find(name).version or "(no version told)"
    if tier in {"kind", "genuine"} and parts.find("kubectl").found:
        found["kubectl"] = parts.find("kubectl").version
    return dict(sorted(found.items()))  # as the notebook keeps them


def banner(tier: str, lines: list[str]) -> str:
    """The same words as a box for notebooks; no style sheet needed."""
    said = "<br>".join(html.escape(line) for line in lines)
    return (f'<div class="bookkit-recording" style="{BOX}">'
            f"<strong>Recording, tier {html.escape(tier)}.</strong> {said}</div>")
