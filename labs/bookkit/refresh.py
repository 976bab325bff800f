"""`bookkit refresh`: the one script that writes outputs.

It runs each chapter in a fresh kernel and stores what the cells print, the state of their widgets, the recordings
of the deeper tiers and a note on where the outputs come from. What is the same after sanitizing stays as it was,
so that running twice changes nothing.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import sys
import time
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from . import recordings, tiers
from .book import Book, Cell, Chapter, source_key
from .convert import KERNEL
from .exercises import fold_solutions

WIDGETS = "application/vnd.jupyter.widget-state+json"
NOTE = "provenance"
NOT_COMPARED = {"execution_count", "traceback"}
ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
TAG_OF = {"ignore-output": "nbval-ignore-output", "skip": "nbval-skip", "raises": "raises-exception"}


class RefreshFailed(Exception):
    """A chapter did not run through; nothing of it was written."""


class Client(NotebookClient):
    """Runs a chapter's cells, but for those whose tier is missing here and those that are skipped with a reason."""

    async def async_execute_cell(self, cell: Any, cell_index: int, execution_count: int | None = None,
                                 store_history: bool = True) -> Any:
        if cell.cell_type != "code" or skipped(cell):
            return cell
        expected = "raises-exception" in cell.metadata.get("tags", [])
        done = await super().async_execute_cell(cell, cell_index, execution_count, store_history)
        if expected and not any(output.output_type == "error" for output in cell.outputs):
            raise RefreshFailed(f"cell {cell_index + 1} is tagged raises-exception, but raised nothing:\n{cell.source}")
        return done


def skipped(cell: Any) -> bool:
    """Whether a cell is not run on this machine."""
    tags = cell.metadata.get("tags", [])
    tier = next((tag.removeprefix("tier:") for tag in tags if tag.startswith("tier:")), "anywhere")
    return "nbval-skip" in tags or not tiers.has(tier)


def refresh(book: Book, chapters: list[Chapter], timeout: int = 300) -> int:
    """Run the chapters and store their outputs; the number of those that failed (and were not written)."""
    failed = 0
    for chapter in chapters:
        start = time.monotonic()
        print(f"… {chapter.name}", end=" ", flush=True)
        try:
            changed = one(book, chapter, timeout)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RefreshFailed) as error:
            failed += 1
            print(f"failed, nothing written\n{error}", file=sys.stderr)
            continue
        print(f"{'written' if changed else 'as it was'}, {time.monotonic() - start:.0f} s")
    return failed


def one(book: Book, chapter: Chapter, timeout: int = 300) -> bool:
    """Run one chapter and store its outputs. Whether the file changed. Raises RefreshFailed and nbclient's errors."""
    prepare(chapter)
    notebook = chapter.notebook
    old = [list(cell.get("outputs", [])) for cell in notebook.cells]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code" and not skipped(cell):
            cell.outputs = []
    old_state = notebook.metadata.pop("widgets", None)
    os.environ["PYTHONHASHSEED"] = "0"
    client = Client(notebook, timeout=timeout, kernel_name="python3", record_timing=False, store_widget_state=True,
                    resources={"metadata": {"path": str(chapter.path.parent)}})
    client.execute()
    _finish(book, chapter, old, old_state)
    return chapter.write()


def prepare(chapter: Chapter) -> None:
    """What a chapter's file has to hold beside its text: tags that go with option lines, and ids that stay."""
    notebook = chapter.notebook
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata["kernelspec"] = dict(KERNEL)
    for cell in chapter.code_cells:
        sync_tags(cell)
    fold_solutions(notebook)
    taken: set[str] = set()
    for number, node in enumerate(notebook.cells):
        if not ID.match(node.get("id", "")) or node["id"] in taken:
            node["id"] = f"{chapter.path.stem[:40]}-{number:03}"
        while node["id"] in taken:
            node["id"] += "x"
        taken.add(node["id"])


def sync_tags(cell: Cell) -> None:
    """The option lines decide the tags that stand for them."""
    tags = [tag for tag in cell.tags if not tag.startswith("tier:")]
    if tier := cell.options.get("tier"):
        tiers.check(tier)
        tags.append(f"tier:{tier}")
    for option, tag in TAG_OF.items():
        if option in cell.options and tag not in tags:
            tags.append(tag)
    if tags:
        cell.node.metadata["tags"] = tags
    else:
        cell.node.metadata.pop("tags", None)


def _finish(book: Book, chapter: Chapter, old: list[list[Any]], old_state: Any) -> None:
    """Make what came out of the kernel stable, keep what is the same as before, and write down where it comes from."""
    notebook = _stable_widget_ids(chapter.notebook, chapter.name)
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["kernelspec"] = dict(KERNEL)
    vars(chapter)["notebook"] = notebook
    same = Sanitizer(book)
    changed: set[str] = set()
    count = 0
    for node, before in zip(notebook.cells, old, strict=True):
        if node.cell_type != "code":
            continue
        count += 1
        node.execution_count = count
        node.outputs = _merged(node.outputs)
        loose = "nbval-ignore-output" in node.metadata.get("tags", [])
        if not skipped(node) and _alike(same(node.outputs), same(before), loose):
            node.outputs = before
        elif not skipped(node):
            changed.add(_tier(node))
        for output in node.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    state = notebook.metadata.get("widgets")
    if state and old_state and same(state) == same(old_state):
        notebook.metadata["widgets"] = old_state
    if not (state or {}).get(WIDGETS, {}).get("state"):
        notebook.metadata.pop("widgets", None)
    _record(book, chapter)
    _provenance(chapter, changed)
    nbformat.validate(notebook)


def _alike(new: str, old: str, loose: bool) -> bool:
    """Whether two outputs say the same; where nobody compares them, whatever their numbers."""
    return new == old or (loose and re.sub(r"\d+", "0", new) == re.sub(r"\d+", "0", old))


def _tier(node: Any) -> str:
    return next((t.removeprefix("tier:") for t in node.metadata.get("tags", []) if t.startswith("tier:")), "anywhere")


def _merged(outputs: list[Any]) -> list[Any]:
    """Neighboring pieces of one stream are one piece, however the kernel cut it."""
    merged: list[Any] = []
    streams: dict[str, Any] = {}
    for output in outputs:
        if output.output_type == "stream" and output.name in streams:
            streams[output.name].text += output.text
            continue
        if output.output_type == "stream":
            streams[output.name] = output
        merged.append(output)
    return merged


def _stable_widget_ids(notebook: Any, salt: str) -> Any:
    """Random model ids become ids that follow from the order of creation."""
    state = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    if not state:
        return notebook
    text = json.dumps(notebook)
    for number, model in enumerate(state):
        text = text.replace(model, hashlib.sha256(f"{salt}:{number}".encode()).hexdigest()[:32])
    return nbformat.from_dict(json.loads(text))  # type: ignore[no-untyped-call]


class Sanitizer:
    """What nbval would compare: outputs with times, addresses and the like replaced as sanitize.cfg says."""

    def __init__(self, book: Book) -> None:
        text = book.sanitize.read_text("utf-8") if book.sanitize.exists() else ""
        self.rules = re.findall(r"^regex: (.*)$\n^replace: (.*)$", text, re.M)

    def __call__(self, thing: Any) -> str:
        """A text that is equal for equal outputs."""
        return json.dumps(self._clean(thing), sort_keys=True)

    def text(self, text: str) -> str:
        """One text, sanitized."""
        for pattern, replacement in self.rules:
            text = re.sub(pattern, replacement, text)
        return text

    def _clean(self, thing: Any) -> Any:
        if isinstance(thing, str):
            return self.text(thing)
        if isinstance(thing, list | tuple):
            return [self._clean(item) for item in thing]
        if isinstance(thing, dict):
            return {key: self._clean(value) for key, value in thing.items() if key not in NOT_COMPARED}
        return thing


# ---- where the outputs come from

def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _record(book: Book, chapter: Chapter) -> None:
    """Keep the outputs of cells of the deeper tiers apart, for machines that cannot run them."""
    path = book.recordings / f"{chapter.path.stem}.json"
    known, kept = recordings.load(path), {}
    same = Sanitizer(book)
    for cell in chapter.code_cells:
        tier = _tier(cell.node)
        if tier == "anywhere":
            continue
        key = source_key(cell.source)
        outputs = [dict(output) for output in json.loads(json.dumps(cell.node.outputs))]
        for output in outputs:
            output.pop("execution_count", None)
            output.pop("traceback", None)
        if skipped(cell.node) or (key in known and same(known[key].outputs) == same(outputs)):
            if key in known:
                kept[key] = known[key]
            continue
        command = f"bookkit refresh book/{chapter.name}"
        kept[key] = recordings.Record(tier, _today(), recordings.facts(tier), command, outputs)
    recordings.save(path, kept)


def _provenance(chapter: Chapter, changed: set[str]) -> None:
    """Say at the foot of the chapter which tiers its outputs come from and when they were made."""
    notebook = chapter.notebook
    known = dict(notebook.metadata.get("bookkit", {}).get("provenance", {}))
    used = {_tier(cell.node) for cell in chapter.code_cells}
    told: dict[str, Any] = {}
    for tier in [t for t in tiers.TIERS if t in used]:
        if tiers.has(tier) and (tier in changed or tier not in known):
            told[tier] = {"made": _today(), "with": recordings.facts(tier)}
        elif tier in known:
            told[tier] = known[tier]
    notebook.metadata["bookkit"] = {"provenance": told}
    lines = [f"- tier *{tier}*, {what['made']}: " + ", ".join(f"{name} {v}" for name, v in what["with"].items())
             for tier, what in told.items()]
    absent = [tier for tier in tiers.TIERS if tier in used and tier not in told]
    lines += [f"- tier *{tier}*: never run yet" for tier in absent]
    head = ":::{admonition} Where the outputs on this page come from\n:class: note dropdown"
    text = "\n".join([head, *lines, ":::"])
    cells = [cell for cell in notebook.cells if NOTE not in cell.metadata.get("tags", [])]
    note = nbformat.v4.new_markdown_cell(text, id=NOTE, metadata={"tags": [NOTE]})  # type: ignore[no-untyped-call]
    cells.append(note)
    notebook.cells = cells

