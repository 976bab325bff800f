"""What the HTML pages make of option lines: the file name as a caption above the cell, tiers as badges.

The looks are in book/_static/book.css. The option lines do not show in the code. The copy button still gives the
cell as it runs: the lines are there, hidden from the eye alone.
"""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]

from .book import options
from .tiers import TIERS

OPTION_LINES = re.compile(r'(<pre><span></span>)((?:<span class="c1">#\|[^\n]*</span>\n)+)')


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("doctree-resolved", _captions)
    app.connect("html-page-context", _style)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _style(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    if "#|" in (context.get("body") or ""):
        context["body"] = OPTION_LINES.sub(r'\1<span class="bookkit-options">\2</span>', context["body"])


def _captions(app: Any, doctree: nodes.document, docname: str) -> None:
    """Put a caption above every code cell that has option lines."""
    for block in list(doctree.findall(nodes.literal_block)):
        caption = caption_of(options(block.astext()))
        if caption:
            block.parent.insert(block.parent.index(block), nodes.raw("", caption, format="html"))


def caption_of(found: dict[str, str]) -> str:
    """The line above a cell: file and class, experiment, tier. "" when there is nothing to say."""
    parts = []
    if "filename" in found:
        parts.append(f'<span class="bookkit-file">{html.escape(found["filename"])}</span>')
    if "class" in found:
        parts.append(f'<span class="bookkit-of">more of class {html.escape(found["class"])}</span>')
    if "experiment" in found:
        parts.append(f'<span class="bookkit-experiment">an experiment: {html.escape(found["experiment"])}</span>')
    if (tier := found.get("tier", "anywhere")) != "anywhere":
        needs = html.escape(TIERS.get(tier, ""))
        parts.append(f'<span class="bookkit-tier" title="needs {needs}">tier {html.escape(tier)}</span>')
    return f'<div class="bookkit-caption">{" ".join(parts)}</div>' if parts else ""
