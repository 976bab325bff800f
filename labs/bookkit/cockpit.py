"""The cockpit: a private tmux server with one pane a component, driven from cells.

    with Cockpit("control-plane", panes={"api": "tinykube logs api", "kubectl": None}) as cockpit:
        cockpit["kubectl"].run("kubectl get nodes")      # type, wait for the prompt, return what came
        cockpit["api"].wait("GET /api/v1/nodes")         # wait for a text or a compiled regular expression
        cockpit.show()                                   # the whole window: HTML on a page, text elsewhere

Across cells: `cockpit = Cockpit(...).start()` in one, `cockpit.close()` in a later one.

Nothing stays behind: a watchdog process holds one end of a pipe whose other end only this Python process has.
When that end closes, by `close()` or because the process was killed, the watchdog ends the tmux server and
everything that was started in its panes, and removes the socket.
"""

from __future__ import annotations

import contextlib
import html
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PROMPT = "$"
MARK = "BOOKKIT_COCKPIT"     # in the environment of all that a cockpit starts; the watchdog goes by it
PLACEHOLDER = "exec tail -f /dev/null"
OLDEST = (3, 2)              # `new-session -e` and libtmux need it

THEME = TerminalTheme(
    (27, 31, 39), (226, 230, 236),
    [(110, 118, 129), (255, 123, 114), (126, 211, 133), (227, 179, 65), (121, 184, 255), (210, 168, 255),
     (118, 214, 222), (210, 216, 224)],
    [(139, 148, 158), (255, 161, 152), (152, 230, 158), (242, 204, 96), (165, 214, 255), (226, 197, 255),
     (160, 232, 238), (255, 255, 255)])

DEFAULT_RULES = {"", f"color: {THEME.foreground_color.hex}", f"text-decoration-color: {THEME.foreground_color.hex}",
                 f"background-color: {THEME.background_color.hex}"}


class CockpitError(Exception):
    """What the cockpit could not do, and what would help."""


class CockpitTimeout(CockpitError, TimeoutError):
    """What was waited for, for how long, and the last lines that the pane showed."""


def tmux_missing() -> str | None:
    """Why there is no usable tmux here, with the command that installs it; None when there is one."""
    path = shutil.which("tmux")
    if path is None:
        return f"tmux is not installed here. Install it with `{install_command()}`."
    said = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=10).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        return (f"{said.strip()} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest that the cockpit works with. "
                f"Upgrade it with `{install_command()}`.")
    return None


def install_command() -> str:
    """The command that installs tmux on this machine, by the package manager that is there."""
    managers = {"apt-get": "sudo apt-get install -y tmux", "dnf": "sudo dnf install -y tmux",
                "pacman": "sudo pacman -S tmux", "zypper": "sudo zypper install tmux", "apk": "sudo apk add tmux",
                "brew": "brew install tmux"}
    for manager, command in managers.items():
        if shutil.which(manager):
            return command
    return "conda install -c conda-forge tmux"


def clean_shell(mark: str) -> str:
    """The shell that every pane runs: no configuration of the machine's owner, prompt `$ `, no history file."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    wanted = {"PATH": path, "HOME": os.environ.get("HOME", "/"), "TERM": "screen-256color",
              "LANG": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8", "PS1": f"{PROMPT} ", "PS2": "> ",
              "HISTFILE": "", "INPUTRC": "/dev/null", "BASH_SILENCE_DEPRECATION_WARNING": "1", MARK: mark}
    for name in ("KUBECONFIG", "DOCKER_HOST", "TMPDIR", "TMUX_TMPDIR", "KUBEBUILDER_ASSETS", "KIND_NODE_IMAGE"):
        if name in os.environ:
            wanted[name] = os.environ[name]
    settings = " ".join(shlex.quote(f"{name}={value}") for name, value in wanted.items())
    return f'exec env -i TMUX="$TMUX" TMUX_PANE="$TMUX_PANE" {settings} bash --norc --noprofile'


@dataclass(frozen=True)
class Place:
    """Where a pane is in its window, in character cells, and what it shows (lines with terminal escapes)."""

    name: str
    left: int
    top: int
    width: int
    height: int
    ansi: tuple[str, ...]
    cursor: tuple[int, int] | None = None

    @property
    def lines(self) -> list[str]:
        """What the pane shows, without colors and without the blank lines at its end."""
        lines = [Text.from_ansi(line).plain.rstrip() for line in self.ansi]
        while lines and not lines[-1]:
            lines.pop()
        return lines


@dataclass(frozen=True)
class Picture:
    """A tmux window as it was at one moment. Shows itself: HTML on pages and in JupyterLab, text elsewhere."""

    title: str
    places: tuple[Place, ...]
    width: int
    height: int
    caption: str = ""

    def __str__(self) -> str:
        return "\n".join(["\n".join([f"┌─ {p.name}", *(f"│ {line}".rstrip() for line in p.lines)])
                          for p in self.places])

    __repr__ = __str__

    def label(self) -> str:
        """One sentence a pane, for those who hear the page."""
        said = [f"{p.name}: {p.lines[-1] if p.lines else 'empty'}" for p in self.places]
        many = f"{len(said)} panes" if len(said) != 1 else "one pane"
        return f"A tmux window, {self.title}, with {many}. Last lines. " + ". ".join(said)

    def html(self) -> str:
        """The window as a self-contained piece of HTML: panes as tmux lays them out, one below the other on a phone."""
        across = sorted({p.left for p in self.places})
        down = sorted({p.top for p in self.places})
        columns = _tracks(across, self.width)
        rows = _tracks(down, self.height)
        panes = "".join(_pane_html(p, across, down) for p in self.places)
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        grid = (f"--kbh-cols:{self.width};grid-template-columns:{' '.join(f'{c}fr' for c in columns)};"
                f"grid-template-rows:{' '.join('auto' for _ in rows)}")
        return (f'<figure class="kbh-term"><style>{CSS}</style>'
                f'<div class="kbh-win" role="img" aria-label="{html.escape(self.label(), quote=True)}">'
                f'<div class="kbh-bar"><span></span><span></span><span></span><b>{html.escape(self.title)}</b></div>'
                f'<div class="kbh-box"><div class="kbh-grid" style="{grid}">{panes}</div></div></div>'
                f'{caption}</figure>')

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}


CSS = (
    ".kbh-term{margin:1em 0;width:100%;max-width:100%}"
    ".kbh-term .kbh-win{background:#1b1f27;color:#e2e6ec;border:1px solid #3d444d;border-radius:8px;overflow:hidden;"
    "box-shadow:0 2px 8px #0003}"
    ".kbh-term .kbh-bar{display:flex;gap:6px;align-items:center;padding:7px 12px;background:#2d333d;"
    "font:13px sans-serif}"
    ".kbh-term .kbh-bar span{width:10px;height:10px;border-radius:50%;background:#ff7b72}"
    ".kbh-term .kbh-bar span+span{background:#e3b341}.kbh-term .kbh-bar span+span+span{background:#7ed385}"
    ".kbh-term .kbh-bar b{margin-left:6px;font-weight:600;color:#e2e6ec}"
    ".kbh-term .kbh-box{container-type:inline-size}"
    ".kbh-term .kbh-grid{display:grid;gap:1px;background:#4a525e;"
    "font-size:clamp(7px,calc((100cqw - 1.6em - 24px)/var(--kbh-cols)/.605),13.5px)}"
    ".kbh-term .kbh-pane{background:#1b1f27;min-width:0;display:flex;flex-direction:column}"
    ".kbh-term .kbh-name{font:600 1em sans-serif;padding:3px 8px;color:#9ecbff;background:#232934}"
    ".kbh-term pre{margin:0!important;padding:4px 8px 7px!important;border:0!important;border-radius:0!important;"
    "box-shadow:none!important;background:#1b1f27!important;color:#e2e6ec!important;font-size:inherit!important;"
    "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace!important;"
    "line-height:1.35!important;white-space:pre;overflow:hidden;text-align:left}"
    ".kbh-term .kbh-cur{background:#e2e6ec;color:#1b1f27}"
    ".kbh-term figcaption{font-size:.9em;margin-top:.4em}"
    "@container (max-width:560px){.kbh-term .kbh-grid .kbh-pane{grid-column:1/-1!important;grid-row:auto!important}"
    ".kbh-term .kbh-grid pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:11px!important}"
    ".kbh-term .kbh-grid .kbh-art{white-space:pre;"
    "font-size:max(5px,calc((100cqw - 16px)/var(--kbh-cols)/.605))!important}"
    ".kbh-term .kbh-grid .kbh-name{font-size:12px}}"
)


def _tracks(starts: list[int], end: int) -> list[int]:
    return [b - a for a, b in zip(starts, [*starts[1:], end], strict=True)]


def _span(start: int, size: int, starts: list[int]) -> str:
    first = starts.index(start)
    last = max(i for i, s in enumerate(starts) if s < start + size)
    return f"{first + 1}/{last + 2}"


def _pane_html(place: Place, across: list[int], down: list[int]) -> str:
    shown = place.ansi[:max(len(place.lines), 1)]
    if place.cursor is not None and place.cursor[1] == len(shown):
        shown = (*shown, "")
    body = "\n".join(_line_html(line, place.cursor[0] if place.cursor and place.cursor[1] == n else None)
                     for n, line in enumerate(shown))
    art = ' class="kbh-art"' if any("\u2500" <= c <= "\u257f" for line in place.lines for c in line) else ""
    where = f"grid-column:{_span(place.left, place.width, across)};grid-row:{_span(place.top, place.height, down)}"
    return (f'<div class="kbh-pane" style="{where}"><div class="kbh-name">{html.escape(place.name)}</div>'
            f"<pre{art}>{body}</pre></div>")


def _line_html(ansi: str, cursor: int | None = None) -> str:
    text = Text.from_ansi(ansi.rstrip())
    plain = text.plain
    if cursor is not None:
        text.pad_right(max(0, cursor + 1 - len(plain)))
        plain = text.plain
    styles: list[str] = [""] * len(plain)
    for span in text.spans:
        style = span.style if isinstance(span.style, Style) else Style.parse(str(span.style))
        css = "; ".join(rule for rule in style.get_html_style(THEME).split("; ") if rule not in DEFAULT_RULES)
        for i in range(span.start, min(span.end, len(plain))):
            styles[i] = css
    out, start = [], 0
    for i in range(1, len(plain) + 1):
        at_cursor = cursor is not None and (i == cursor or start == cursor)
        if i == len(plain) or styles[i] != styles[start] or at_cursor:
            piece = html.escape(plain[start:i], quote=False)
            if start == cursor:
                out.append(f'<span class="kbh-cur">{piece}</span>')
            else:
                out.append(f'<span style="{styles[start]}">{piece}</span>' if styles[start] else piece)
            start = i
    return "".join(out).rstrip()


class CockpitPane:
    """One pane: type into it, wait for what it shows, read it."""

    def __init__(self, cockpit: Cockpit, pane_id: str, name: str) -> None:
        self.cockpit, self.id, self.name = cockpit, pane_id, name
        self._mark = 0

    def __repr__(self) -> str:
        return f"<pane {self.name}>"

    def type(self, line: str, *, enter: bool = True) -> None:
        """Type `line`, to the letter, and press Enter. Later waits look at what comes after it."""
        if enter:
            self._mark = self._line_after(line)
        if line:
            self._tmux("send-keys", "-l", "--", line)
        if enter:
            self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: press("C-c"), press("Up", "Enter")."""
        self._tmux("send-keys", *keys)

    def run(self, line: str, timeout: float = 15) -> str:
        """Type a command, wait until the prompt is back; what the command showed."""
        self.wait_prompt(timeout)
        self.type(line)
        self.wait_prompt(timeout)
        lines = self._since_mark()
        while lines and not lines[-1]:
            lines.pop()
        if lines and lines[-1] == PROMPT:
            lines.pop()
        return "\n".join(lines)

    def wait(self, wanted: str | re.Pattern[str], timeout: float = 15) -> str:
        """Wait for a text or a compiled regular expression to come after the last typed line; the line it is in.

        Raises CockpitTimeout with the pane's last lines when it does not come in `timeout` seconds, at once when
        the pane's process has ended without it.
        """
        what = repr(wanted) if isinstance(wanted, str) else f"/{wanted.pattern}/"
        for _ in self._patiently(what, timeout):
            for line in self._since_mark():
                if wanted in line if isinstance(wanted, str) else wanted.search(line):
                    return line
        raise AssertionError("unreachable: _patiently ends by raising")

    def wait_prompt(self, timeout: float = 15) -> None:
        """Wait until the shell asks for the next command: the cursor stands behind `$`, below the last typed line."""
        for _ in self._patiently("the prompt", timeout):
            x, y, history = map(int, self._ask("#{cursor_x} #{cursor_y} #{history_size}").split())
            if x != len(PROMPT) + 1 or history + y < self._mark:
                continue
            rows = self._capture(start=y, end=y)
            if rows and rows[0].rstrip() == PROMPT:
                return

    @property
    def text(self) -> str:
        """What the pane shows now, colors and trailing blanks taken off."""
        return "\n".join(self.place().lines)

    @property
    def history(self) -> str:
        """All that the pane has shown, what has scrolled away included."""
        return "\n".join(self._trimmed(self._capture(start="-")))

    @property
    def pid(self) -> int:
        """The process that runs in the pane."""
        return int(self._ask("#{pane_pid}"))

    @property
    def dead(self) -> bool:
        """Whether the pane's process has ended. The pane stays, with its last lines and its status."""
        for _ in range(10):
            dead, status, by_signal = self._ask("#{pane_dead},#{pane_dead_status},#{pane_dead_signal}").split(",")
            if dead != "1" or status or by_signal:
                break
            # tmux (3.3a) now and then misses that a child has ended, until the next one does: give it one
            self.cockpit.tmux("run-shell", "true")
            time.sleep(0.02)
        return dead == "1"

    def place(self, cursor: bool = False) -> Place:
        """The pane's place in its window and its lines, with colors."""
        left, top, width, height, x, y = map(int, self._ask(
            "#{pane_left} #{pane_top} #{pane_width} #{pane_height} #{cursor_x} #{cursor_y}").split())
        lines = tuple(self._capture("-e"))
        return Place(self.name, left, top, width, height, lines, (x, y) if cursor else None)

    def show(self, caption: str = "") -> Picture:
        """This pane alone, as a picture."""
        place = self.place()
        return Picture(self.name, (place,), place.width, place.height, caption)

    def _tmux(self, command: str, *args: str) -> list[str]:
        return self.cockpit.tmux(command, "-t", self.id, *args)

    def _ask(self, template: str) -> str:
        return "".join(self._tmux("display-message", "-p", template))

    def _capture(self, *flags: str, start: int | str | None = None, end: int | None = None) -> list[str]:
        limits = ([] if start is None else ["-S", str(start)]) + ([] if end is None else ["-E", str(end)])
        return self._tmux("capture-pane", "-p", *flags, *limits)

    @staticmethod
    def _trimmed(lines: list[str]) -> list[str]:
        return [line.rstrip() for line in lines]

    def _line_after(self, line: str) -> int:
        x, y, history, width = map(int, self._ask(
            "#{cursor_x} #{cursor_y} #{history_size} #{pane_width}").split())
        return history + y + 1 + max(x + len(line) - 1, 0) // width

    def _since_mark(self) -> list[str]:
        """What came after the last typed line; what the pane's width has broken into several lines is one again."""
        history, height, alternate = map(int, self._ask("#{history_size} #{pane_height} #{alternate_on}").split())
        cleared = self._mark > history + height
        start = "-" if alternate or cleared else str(self._mark - history)
        return self._trimmed(self._capture("-J", start=start))

    def _patiently(self, what: str, timeout: float) -> Iterator[None]:
        end, pause = time.monotonic() + timeout, 0.02
        while True:
            dead = self.dead
            yield
            last = "\n".join(f"  | {line}" for line in self.history.rstrip().splitlines()[-12:]) or "  (nothing)"
            if dead:
                raise CockpitTimeout(f"pane {self.name!r}: its process has ended, and {what} has not come. "
                                     f"Its last lines:\n{last}")
            if time.monotonic() > end:
                raise CockpitTimeout(f"pane {self.name!r}: waited {timeout:g} s for {what}, it has not come. "
                                     f"Its last lines:\n{last}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)


@dataclass
class Cockpit:
    """A tmux session on a private server, one pane a component.

    `panes` maps a pane's name to the command line that is typed into its shell (None: nothing is typed).
    `layout` is one of tmux's: tiled, even-horizontal, even-vertical, main-horizontal, main-vertical.
    Starting prints the one command by which you attach from a terminal of your own; `quiet=True` doesn't.
    `commands` holds the tmux commands that were run, the last ten thousand.
    """

    name: str
    panes: Mapping[str, str | None] = field(default_factory=lambda: {"shell": None})
    width: int = 110
    height: int = 30
    layout: str = "tiled"
    directory: str | os.PathLike[str] | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise CockpitError(f"A cockpit's name is made of letters, digits and dashes; {self.name!r} is not.")
        if not self.panes:
            raise CockpitError(f"Cockpit {self.name!r} has no panes: give at least one, as in panes={{'shell': None}}.")
        self.socket = ""
        self.mark = ""
        self.commands: deque[tuple[str, ...]] = deque(maxlen=10_000)
        self._panes: dict[str, CockpitPane] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None

    # Begin and end

    def start(self) -> Self:
        """Start the server, its watchdog, and the panes; print how to attach."""
        if self._watchdog is not None:
            raise CockpitError(f"Cockpit {self.name!r} is running already: {self.attach_command}")
        missing = tmux_missing()
        if missing:
            raise CockpitError(missing)
        self.mark = uuid.uuid4().hex
        self._start_server()
        try:
            self._fill()
        except BaseException:
            self.close()
            raise
        if not self.quiet:
            print(f"Watch it from a terminal of your own: {self.attach_command}")
        return self

    def _start_server(self) -> None:
        """One server, whose name nobody else has: tmux itself refuses a second session of that name."""
        for number in range(1, 100):
            self.socket = f"kbh-{self.name}" + (f"-{number}" if number > 1 else "")
            self._watchdog = start_watchdog(self.socket_path(), self.mark)
            done = self._call(
                "-f", os.devnull, "start-server", ";", "set-option", "-g", "history-limit", "50000", ";",
                "new-session", "-d", "-s", self.name, "-n", self.name, "-x", str(self.width), "-y", str(self.height),
                *self._where(), "-e", f"{MARK}={self.mark}", PLACEHOLDER)
            if done.returncode == 0:
                return
            stand_down(self._watchdog)
            self._watchdog = None
            if "duplicate session" not in done.stderr:
                raise CockpitError(f"tmux did not start: {done.stderr.strip() or 'it said nothing'}")
        raise CockpitError(f"There are 99 cockpits named {self.name!r}. End some: tmux -L kbh-{self.name} kill-server")

    def _fill(self) -> None:
        for option in (("-g", "remain-on-exit", "on"), ("-g", "status", "off"),
                       ("-g", "default-command", clean_shell(self.mark)), ("-g", "allow-rename", "off"),
                       ("-g", "automatic-rename", "off"), ("-g", "mouse", "on"),
                       ("-g", "pane-border-status", "top"), ("-g", "pane-border-format", " #{@component} ")):
            self.tmux("set-option", *option)
        with contextlib.suppress(CockpitError):     # since tmux 3.3
            self.tmux("set-option", "-g", "remain-on-exit-format",
                      "Process ended#{?#{!=:#{pane_dead_status},},: status #{pane_dead_status},}"
                      "#{?#{!=:#{pane_dead_signal},},: signal #{pane_dead_signal},}")
        first, *others = self.panes
        pane = self._adopt(self.tmux("list-panes", "-t", f"{self.name}:", "-F", "#{pane_id}")[0], first)
        self._split_into(pane, others)
        for name, command in self.panes.items():
            self[name].wait_prompt()
            if command:
                self[name].type(command)

    def _split_into(self, pane: CockpitPane, others: list[str]) -> None:
        """Split until every pane has its size, then start the shells: none sees a resize, which would draw twice."""
        panes = [pane]
        for name in others:
            made = self.tmux("split-window", "-d", "-t", panes[-1].id, *self._where(), "-P", "-F", "#{pane_id}", PLACEHOLDER)
            panes.append(self._adopt(made[0], name))
            self.tmux("select-layout", "-t", pane.id, "tiled")
        self.tmux("select-layout", "-t", pane.id, self.layout)
        for each in panes:
            self.tmux("respawn-pane", "-k", "-t", each.id, *self._where(), clean_shell(self.mark))

    def _adopt(self, pane_id: str, name: str) -> CockpitPane:
        self.tmux("set-option", "-p", "-t", pane_id, "@component", name)
        self._panes[name] = CockpitPane(self, pane_id, name)
        return self._panes[name]

    def _where(self) -> list[str]:
        return ["-c", os.fspath(self.directory)] if self.directory is not None else []

    def close(self) -> None:
        """End the server and all that runs in it. Harmless when it has ended already."""
        if self._watchdog is None:
            return
        watchdog, self._watchdog = self._watchdog, None
        assert watchdog.stdin is not None
        watchdog.stdin.close()
        try:
            watchdog.wait(timeout=20)
        except subprocess.TimeoutExpired:
            watchdog.kill()
            watchdog.wait()
        if watchdog.returncode != 0:        # somebody ended the watchdog: its work is ours
            bring_down(self.socket_path(), self.mark)
        self._panes.clear()

    def __enter__(self) -> Self:
        return self if self._watchdog is not None else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    # Use

    @property
    def running(self) -> bool:
        """Whether the tmux server answers."""
        return self._watchdog is not None and self._call("has-session", "-t", self.name).returncode == 0

    @property
    def attach_command(self) -> str:
        """What to type in a terminal of your own to be in the same session."""
        return f"tmux -L {self.socket} attach"

    def __getitem__(self, name: str) -> CockpitPane:
        if name not in self._panes:
            known = ", ".join(self._panes) or "none, it is not running"
            raise CockpitError(f"Cockpit {self.name!r} has no pane {name!r}. Its panes: {known}.")
        return self._panes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._panes)

    def window(self, name: str, panes: Mapping[str, str | None]) -> None:
        """Open one more window of that name, with its own panes, and make it the current one."""
        taken = [p for p in panes if p in self._panes]
        if taken:
            raise CockpitError(f"Pane {taken[0]!r} is there already; panes have different names in all windows.")
        first, *others = panes
        made = self.tmux("new-window", "-t", f"{self.name}:", "-n", name, *self._where(), "-P", "-F", "#{pane_id}",
                         PLACEHOLDER)
        self._split_into(self._adopt(made[0], first), others)
        for pane, command in panes.items():
            self[pane].wait_prompt()
            if command:
                self[pane].type(command)

    def tmux(self, *arguments: str) -> list[str]:
        """Run one tmux command on this cockpit's server; the lines that it printed. Raises with tmux's own words."""
        if self._watchdog is None:
            raise CockpitError(f"Cockpit {self.name!r} is not running. Start it: cockpit.start()")
        self.commands.append(arguments)
        done = self._call(*arguments)
        if done.returncode:
            raise CockpitError(f"tmux {shlex.join(arguments)}: {done.stderr.strip() or 'failed'}")
        return done.stdout.splitlines()

    @property
    def text(self) -> str:
        """The current window as text, pane after pane."""
        return str(self.show())

    def show(self, window: str | None = None, *, cursor: bool = False, caption: str = "") -> Picture:
        """A window as it is now (the current one, or by name), as a picture and as text."""
        target = f"{self.name}:{window or ''}"
        title, width, height = self.tmux("display-message", "-p", "-t", target,
                                         "#{window_name}\t#{window_width}\t#{window_height}")[0].split("\t")
        ids = self.tmux("list-panes", "-t", target, "-F", "#{pane_id}")
        by_id = {p.id: p for p in self._panes.values()}
        found = [by_id.get(i) or CockpitPane(self, i, f"pane {n}") for n, i in enumerate(ids, 1)]
        places = sorted((p.place(cursor) for p in found), key=lambda p: (p.top, p.left))
        return Picture(title, tuple(places), int(width), int(height), caption)

    def socket_path(self) -> str:
        """The server's socket, where tmux puts it for `-L`."""
        return str(Path(os.environ.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}" / self.socket)

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
        return subprocess.run(["tmux", "-u", "-L", self.socket, *arguments], capture_output=True, text=True,
                              encoding="utf-8", env=environment, timeout=30, stdin=subprocess.DEVNULL)


# The watchdog. A process of its own; the functions are used by close() too, should the watchdog be gone.

def start_watchdog(socket_path: str, mark: str) -> subprocess.Popen[bytes]:
    """Start the process that ends the server when the other end of its standard input closes."""
    return subprocess.Popen([sys.executable, "-I", str(Path(__file__).with_name("watchdog.py")), socket_path, mark],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True, cwd="/")


def stand_down(watchdog: subprocess.Popen[bytes]) -> None:
    """End a watchdog that has nothing to guard, without touching the server of that name (it is another's)."""
    watchdog.kill()
    watchdog.wait()
    if watchdog.stdin:
        watchdog.stdin.close()


def bring_down(socket_path: str, mark: str) -> None:
    """End the server at that socket and all processes that carry the mark."""
    from bookkit.watchdog import bring_down as do_it
    do_it(socket_path, mark)
