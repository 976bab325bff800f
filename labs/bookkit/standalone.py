"""Drawings as files of their own, for pages that no kernel and no style sheet reaches, such as the README.

    python -m bookkit.standalone        # runs the tiny cluster, draws the pod's way, writes book/_static/one-pod.svg
"""

from __future__ import annotations

import re
from pathlib import Path

from bookkit.figures import BOOK, DARK, STYLE, Drawing
from bookkit.trace import Trace


def standalone(drawing: Drawing) -> str:
    """The SVG of a drawing with its colors inside, for light and dark."""
    light = re.search(r"\.kbh-fig\{(--[^}]*?);margin", STYLE)
    assert light, "figures.STYLE has no colors"
    rules = "".join(re.findall(r"\.kbh-fig (svg text\.halo\{[^}]*\}|svg[^{]*\{[^}]*\})", STYLE))
    rules = re.sub(r"svg \.", ".", rules).replace("svg text", "text")
    rules = rules.replace("svg{display:block;max-width:none;margin:0 auto;", "svg{")
    style = (f"<style>svg{{{light[1]}}}@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}{rules}</style>"
             '<rect width="100%" height="100%" rx="8" fill="var(--paper)"/>')
    head, mark, body = drawing.svg.partition("</desc>")
    return f"{head}{mark}{style}{body}\n"


def one_pod() -> Drawing:
    """A pod's way to Running, from a run of the tiny cluster with the real kubectl."""
    from tinykube.cluster import Cluster, background

    from bookkit.shell import kubectl

    with background(Cluster(nodes=1)) as cluster:
        manifest = BOOK.parent / "labs" / "manifests" / "pod-web.yaml"
        kubectl(f"apply -f {manifest}", cluster, check=True, quiet=True)
        cluster.wait("pod/web Running")
        trace = Trace.from_log(cluster.log).about("pods/web").writes()
    return trace.sequence("One pod, from kubectl apply to Running: who wrote what, in order")


def write(target: Path = BOOK / "_static" / "one-pod.svg") -> Path:
    """Run, draw, and write the picture."""
    target.write_text(standalone(one_pod()), "utf-8")
    return target


if __name__ == "__main__":
    print(f"wrote {write()}")
