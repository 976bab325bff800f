"""Players: widgets that flip through frames made before, so that they work on a page without a kernel.

    player([drawing1, drawing2, "text"], labels=["before", "after"])

A frame is a Drawing, a Picture, anything with `html()`, or text. Print or show one frame in a cell of its own too:
nbval compares that, and a reader without scripts still sees it.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

CSS = (
    ".kbh-play{width:100%}.kbh-play p{margin:.3em 0;line-height:1.4;color:inherit}"
    ".kbh-play pre{margin:.5em 0;line-height:1.35;white-space:pre-wrap}"
    # the theme paints what it takes for a picture white in the dark; a player brings its own colors
    "html[data-theme=dark] .bd-content div.cell_output .widget-subarea:has(.kbh-play),"
    "html[data-theme=dark] .bd-content div.cell_output :has(>.jupyter-widgets .kbh-play)"
    "{background:none!important;color:var(--pst-color-text-base)!important}"
    "html[data-theme=dark] .jupyter-widgets:has(.kbh-play),html[data-theme=dark] .kbh-play,"
    "html[data-theme=dark] .jupyter-widgets:has(.kbh-play) .widget-label"
    "{color:var(--pst-color-text-base)!important}"
    "html[data-theme=dark] .jupyter-widgets:has(.kbh-play) .jupyter-button{background:#3b4450;color:#fff}"
    ".kbh-play .kbh-fig,.kbh-play .kbh-term{box-sizing:border-box}"
)


def frame_html(frame: Any) -> str:
    """The HTML of one frame."""
    made = getattr(frame, "html", None)
    if callable(made):
        return str(made())
    if isinstance(frame, str) and frame.lstrip().startswith("<"):
        return frame
    return f"<pre>{html.escape(str(frame))}</pre>"


def player(frames: Sequence[Any], labels: Sequence[str] | None = None, interval: int = 1500) -> ipywidgets.VBox:
    """A Play button and a slider that step through `frames`; `labels`, if given, stand above each frame."""
    if not frames:
        raise ValueError("player: there are no frames to show")
    if labels is not None and len(labels) != len(frames):
        raise ValueError(f"player: {len(frames)} frames and {len(labels)} labels; give a label a frame")
    last = len(frames) - 1
    titles = [f"<b>{n} of {last + 1}.</b> {html.escape(label)}" if label else f"<b>{n} of {last + 1}</b>"
              for n, label in enumerate(labels or [""] * len(frames), 1)]
    full = ipywidgets.Layout(width="100%")
    pages = [ipywidgets.HTML(f'<div class="kbh-play"><p>{title}</p>{frame_html(frame)}</div>', layout=full)
             for title, frame in zip(titles, frames, strict=True)]
    style = ipywidgets.HTML(f"<style>{CSS}</style>")     # a Stack keeps only the chosen page in the document
    play = ipywidgets.Play(min=0, max=last, value=0, interval=interval, show_repeat=False)
    slider = ipywidgets.IntSlider(min=0, max=last, value=0, readout=False, description="step",
                                  layout=ipywidgets.Layout(width="min(320px, 55%)"))
    stack = ipywidgets.Stack(pages, selected_index=0, layout=full)
    ipywidgets.jslink((play, "value"), (slider, "value"))
    ipywidgets.jslink((slider, "value"), (stack, "selected_index"))
    return ipywidgets.VBox([ipywidgets.HBox([play, slider, style]), stack], layout=full)
