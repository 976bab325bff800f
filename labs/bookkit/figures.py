"""Pictures for the chapters: SVG that is readable in light and dark, each with its text.

    cluster_picture(nodes, pods)          boxes: nodes, and in them their pods, from live objects
    bar_chart({"ant": (512, 1024)})       how full each node is
    Drawing(svg, text, title)             any SVG of your own, shown as HTML with a text equivalent

A Drawing is the last expression of a cell. It shows itself as inline SVG (so that it follows the page's theme)
with a caption, and as text where there is no page, which is also what nbval compares.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOOK = Path(__file__).resolve().parents[2] / "book"
Object = dict[str, Any]

DARK = ("--ink:#e6edf3;--soft:#aab4c0;--line:#76828f;--paper:#161b22;--fill:#222a35;"
        "--a:#79b8ff;--b:#7ed385;--c:#e3b341;--d:#ff8f87;--e:#d2a8ff")
STYLE = (
    ".kbh-fig{--ink:#1f2328;--soft:#515a65;--line:#77818c;--paper:#ffffff;--fill:#f1f4f8;"
    "--a:#0a58ca;--b:#1a7431;--c:#8a5a00;--d:#b3261e;--e:#7435b8;"
    "margin:1em 0;max-width:100%;background:var(--paper);color:var(--ink);border:1px solid #8884;border-radius:8px;"
    "padding:8px}"
    "@media(prefers-color-scheme:dark){html:not([data-theme=light]) "
    "body:not([data-jp-theme-light=true]):not(.vscode-light) .kbh-fig{" + DARK + "}}"
    "html[data-theme=dark] .kbh-fig,body[data-jp-theme-light=false] .kbh-fig,body.vscode-dark .kbh-fig{" + DARK + "}"
    ".kbh-fig .kbh-scroll{overflow-x:auto}"
    ".kbh-fig svg{display:block;max-width:none;margin:0 auto;font-family:system-ui,sans-serif}"
    ".kbh-fig svg text{fill:var(--ink);font-size:13px}.kbh-fig svg .s{fill:var(--soft);font-size:11.5px}"
    ".kbh-fig svg .m{text-anchor:middle}.kbh-fig svg .r{text-anchor:end}.kbh-fig svg .h{font-weight:600}"
    ".kbh-fig svg .code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px}"
    ".kbh-fig svg .box{fill:var(--fill);stroke:var(--line)}.kbh-fig svg .line{stroke:var(--line);fill:none}"
    ".kbh-fig svg .dash{stroke:var(--line);stroke-dasharray:3 4;fill:none}"
    ".kbh-fig svg .paper{fill:var(--paper)}.kbh-fig svg .band{fill:var(--fill)}"
    + "".join(f".kbh-fig svg .{c}{{stroke:var(--{c})}}.kbh-fig svg .f{c}{{fill:var(--{c});stroke:none}}"
              f".kbh-fig svg text.t{c}{{fill:var(--{c});stroke:none}}" for c in "abcde")
    + ".kbh-fig svg text.halo{paint-order:stroke;stroke:var(--paper);stroke-width:5px;stroke-linejoin:round}"
    ".kbh-fig figcaption,.kbh-fig summary{color:var(--soft);font-size:.88em}"
    ".kbh-fig details table{font-size:.82em;border-collapse:collapse;color:var(--ink)}"
    ".kbh-fig details td,.kbh-fig details th{padding:2px 8px;text-align:left;border-bottom:1px solid #8883;"
    "background:none;color:var(--ink)}"
    ".kbh-fig details .kbh-scroll{max-height:24em;overflow:auto}"
)


@dataclass(frozen=True)
class Drawing:
    """An SVG with its title and its text equivalent. `rows` (the first one is the head) becomes a folded table."""

    svg: str
    text: str
    title: str
    caption: str = ""
    rows: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def html(self) -> str:
        """The drawing as a self-contained figure."""
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return (f'<figure class="kbh-fig"><style>{STYLE}</style>'
                f'<div class="kbh-scroll" tabindex="0" role="group" aria-label="{esc(self.title)}">{self.svg}</div>'
                f"{caption}{self._table()}</figure>")

    def _table(self) -> str:
        if not self.rows:
            return ""
        head, *body = self.rows
        heads = "".join(f"<th scope='col'>{html.escape(c)}</th>" for c in head)
        lines = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in body)
        return (f'<details><summary>The same as a table</summary><div class="kbh-scroll" tabindex="0" role="group" '
                f'aria-label="Table"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div></details>')

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self.html()}


def esc(text: object) -> str:
    """Text, fit for SVG and attributes."""
    return html.escape(str(text), quote=True)


def svg(width: float, height: float, body: Iterable[str], title: str, desc: str = "") -> str:
    """An SVG element that names itself to those who hear the page."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{esc(title)}">'
            f"<title>{esc(title)}</title><desc>{esc(desc)}</desc>{''.join(body)}</svg>")


def text(x: float, y: float, words: object, classes: str = "") -> str:
    """One line of text in an SVG."""
    kind = f' class="{classes}"' if classes else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{esc(words)}</text>'


def box(x: float, y: float, width: float, height: float, classes: str = "box", radius: float = 6) -> str:
    """A box with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{classes}"/>'


def line(x1: float, y1: float, x2: float, y2: float, classes: str = "line", width: float = 1) -> str:
    """A straight line."""
    return (f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{classes}" '
            f'stroke-width="{width:g}"/>')


def arrow(x1: float, y1: float, x2: float, y2: float, color: str = "a") -> str:
    """An arrow, its head drawn as a shape of its own; colors are the letters a to e."""
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 or 1
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    bx, by = x2 - 8 * ux, y2 - 8 * uy
    head = f"{x2:g},{y2:g} {bx - 4 * uy:.4g},{by + 4 * ux:.4g} {bx + 4 * uy:.4g},{by - 4 * ux:.4g}"
    return line(x1, y1, bx, by, color, 1.6) + f'<polygon points="{head}" class="f{color}"/>'


def text_width(words: str, size: float = 13) -> float:
    """About how wide a text is. Generous: fonts differ."""
    return sum(0.34 if c in "iljtf.,:;|!'()[] /" else 0.86 if c in "mwMW" else 0.6 for c in words) * size


def shorten(words: str, most: int) -> str:
    """The text, cut in its middle when it is longer than `most` characters."""
    if len(words) <= most:
        return words
    keep = most - 1
    return words[:keep - keep // 2] + "…" + words[len(words) - keep // 2:]


# The cluster

PHASE_COLORS = {"Running": "b", "Succeeded": "a", "Pending": "c", "Failed": "d", "Unknown": "e"}


def pod_state(pod: Object) -> str:
    """A pod's state in a word: a container's waiting reason if it has one, else the phase, as kubectl shows it."""
    status = pod.get("status", {})
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return "Terminating"
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason"):
            return str(waiting["reason"])
    return str(status.get("reason") or status.get("phase") or "Pending")


def cluster_picture(nodes: Sequence[Object], pods: Sequence[Object], title: str = "The cluster",
                    caption: str = "") -> Drawing:
    """Nodes as boxes, in them their pods, below them those that no node has yet. Takes objects or their names.

    `nodes` and `pods` are API objects as the api-server gives them; both are drawn in the order of their names.
    """
    names = sorted(n["metadata"]["name"] for n in nodes)
    by_node: dict[str, list[Object]] = {n: [] for n in names}
    waiting: list[Object] = []
    for pod in sorted(pods, key=lambda p: (p["metadata"].get("namespace", ""), p["metadata"]["name"])):
        by_node.get(pod.get("spec", {}).get("nodeName") or "", waiting).append(pod)
    columns = [*((n, by_node[n]) for n in names), *([("no node yet", waiting)] if waiting else [])]
    wide, gap, tall = 168, 14, 40
    most = max((len(p) for _, p in columns), default=0)
    per_row = min(len(columns) or 1, 4)
    height_of_column = 42 + max(most, 1) * (tall + 8) + 6
    rows = -(-len(columns) // per_row) if columns else 1
    body, said = [], []
    for n, (name, here) in enumerate(columns):
        x, y = gap + (n % per_row) * (wide + gap), gap + (n // per_row) * (height_of_column + gap)
        homeless = name == "no node yet"
        body.append(box(x, y, wide, height_of_column, "dash" if homeless else "box"))
        body.append(text(x + 12, y + 24, name if homeless else shorten(name, 20), "h"))
        for m, pod in enumerate(here):
            state = pod_state(pod)
            color = PHASE_COLORS.get(pod.get("status", {}).get("phase", "Pending"), "e")
            color = "c" if state == "Terminating" else "d" if "BackOff" in state or "Err" in state else color
            top = y + 40 + m * (tall + 8)
            body += [box(x + 8, top, wide - 16, tall, "paper"), box(x + 8, top, 5, tall, f"f{color}", 2),
                     text(x + 20, top + 17, shorten(pod["metadata"]["name"], 20)),
                     text(x + 20, top + 33, shorten(state, 24), "s")]
        said.append(f"{name}: " + (", ".join(f"{p['metadata']['name']} ({pod_state(p)})" for p in here) or "no pods"))
    width = gap + per_row * (wide + gap)
    height = gap + rows * (height_of_column + gap)
    return Drawing(svg(width, height, body, title, ". ".join(said)), "\n".join(said), title, caption)


def bar_chart(values: Mapping[str, tuple[float, float] | float], title: str = "How full each node is",
              unit: str = "", caption: str = "") -> Drawing:
    """One bar a name: `{"ant": (used, of)}`, or `{"ant": value}` where the longest value fills its bar."""
    pairs = {k: v if isinstance(v, tuple) else (v, None) for k, v in values.items()}
    top = max((v[1] if v[1] is not None else v[0] for v in pairs.values()), default=1) or 1
    left = 24 + max((text_width(k) for k in pairs), default=40)
    full, body, said = 340, [], []
    for n, (name, (used, of)) in enumerate(pairs.items()):
        y = 12 + n * 32
        over = of is not None and used > of
        words = f"{used:g}{unit}" + (f" of {of:g}{unit}" if of is not None else "") + (", too much" if over else "")
        body.append(text(left - 10, y + 16, name, "r"))
        if of is not None:
            body.append(box(left, y, max(full * of / top, 1), 22, "box", 3))
        body.append(box(left, y, max(full * min(used, top) / top, 1), 22, "fd" if over else "fa", 3))
        if over and of is not None:
            body.append(line(left + full * of / top, y - 3, left + full * of / top, y + 25, "line", 2))
        body.append(text(left + full + 10, y + 16, words, "s"))
        said.append(f"{name}: {words}")
    width = left + full + 24 + max((text_width(s, 11.5) for s in said), default=60)
    return Drawing(svg(width, 20 + 32 * len(pairs), body, title, ". ".join(said)), "\n".join(said), title, caption)


# The front page

PARTS: tuple[tuple[str, str, str, float, float, float, float], ...] = (
    # key, words, chapter, x, y, width, height
    ("kubectl", "kubectl", "27-kubectl", 20, 70, 120, 56),
    ("rest", "REST", "04-rest", 20, 160, 120, 44),
    ("store", "store", "05-store", 226, 264, 130, 56),
    ("api", "api-server", "08-api-objects", 226, 70, 290, 56),
    ("watch", "list and watch", "09-api-watch", 226, 160, 290, 44),
    ("scheduler", "scheduler", "15-scheduler", 386, 264, 130, 56),
    ("kubelet", "kubelet", "21-kubelet", 606, 70, 150, 56),
    ("runtime", "runtime", "21-kubelet", 606, 160, 150, 44),
    ("pods", "pods", "28-one-pod", 606, 264, 150, 56),
    ("controllers", "controllers", "17-controllers", 226, 340, 290, 44),
    ("network", "Services", "24-services", 606, 340, 150, 44),
)


def front_picture(built: Iterable[str], title: str = "The cluster that this book builds") -> str:
    """The SVG of the front page: each part links to its chapter; parts in `built` are solid, the others dashed.

    `built` holds keys of PARTS (kubectl, rest, store, api, watch, scheduler, kubelet, runtime, pods, controllers, network).
    """
    done = set(built)
    unknown = done - {p[0] for p in PARTS}
    if unknown:
        raise ValueError(f"front_picture: no part is called {sorted(unknown)[0]!r}; there are "
                         f"{', '.join(p[0] for p in PARTS)}")
    body = [box(206, 20, 330, 380, "line", 10), text(221, 46, "control plane", "h"),
            box(586, 20, 190, 380, "line", 10), text(601, 46, "worker node", "h"), text(20, 46, "client", "h"),
            arrow(140, 98, 226, 98), arrow(291, 264, 291, 204), arrow(451, 264, 451, 204), arrow(606, 98, 516, 98),
            line(371, 126, 371, 160), line(681, 126, 681, 160), line(681, 204, 681, 264), line(80, 126, 80, 160)]
    for key, words, chapter, x, y, wide, tall in PARTS:
        ready = key in done
        shape = box(x, y, wide, tall, "box a" if ready else "dash", 8)
        state = "built" if ready else "not yet"
        label = text(x + wide / 2, y + tall / 2 + 5, words, "m h" if ready else "m s")
        inside = f"<title>{esc(words)}: {state}</title>{shape}{label}"
        body.append(f'<a href="{chapter}.html" aria-label="{esc(words)}, {state}">{inside}</a>')
    listed = ", ".join(p[1] for p in PARTS if p[0] in done) or "nothing"
    picture = svg(796, 420, body, title, f"Built so far: {listed}. Each part links to its chapter.")
    return picture.replace('role="img"', 'role="group"').replace('width="796" height="420" ', 'width="100%" ')


def front_html(built: Iterable[str]) -> str:
    """The front page's picture as raw HTML: the SVG, and on a phone the same parts as a list of links."""
    done = set(built)
    style = STYLE + (
        ".kbh-front svg{width:100%;height:auto}.kbh-front a:hover rect{stroke-width:3}"
        ".kbh-front ul{display:none;list-style:none;margin:0;padding:0;grid-template-columns:1fr 1fr;gap:8px}"
        ".kbh-front li{margin:0}.kbh-front li a{display:block;padding:10px;border:1px dashed var(--line);"
        "border-radius:8px;color:var(--ink);text-decoration:none}"
        ".kbh-front li a.a{border:1px solid var(--a);background:var(--fill);font-weight:600}"
        "@media(max-width:600px){.kbh-front svg{display:none!important}.kbh-front ul{display:grid}}")
    parts = "".join(f'<li><a href="{chapter}.html"{" class=a" * (key in done)}>{esc(words)}'
                    f'{"" if key in done else ", not yet"}</a></li>' for key, words, chapter, *_ in PARTS)
    return (f'<figure class="kbh-fig kbh-front"><style>{style}</style>{front_picture(done)}<ul>{parts}</ul></figure>')


def write_front(book: Path = BOOK) -> Path:
    """Write the front page's picture, `_static/cluster.html`: a part is built when its chapter is there."""
    target = book / "_static" / "cluster.html"
    target.write_text(front_html(key for key, _, chapter, *_ in PARTS if (book / f"{chapter}.ipynb").exists()) + "\n")
    return target


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first one is the head."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


if __name__ == "__main__":
    print(f"wrote {write_front()}")
