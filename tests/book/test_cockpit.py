"""The cockpit drives a real tmux, and leaves nothing behind, whatever ends its owner."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from bookkit import cockpit as module
from bookkit.cockpit import Cockpit, CockpitError, CockpitTimeout, Picture, Place, tmux_missing
from bookkit.watchdog import marked

needs_tmux = pytest.mark.skipif(tmux_missing() is not None, reason=str(tmux_missing()))


def eventually(holds: Callable[[], bool], what: str, limit: float = 30) -> None:
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, f"after {limit} s still not so: {what}"
        time.sleep(0.05)


def gone(socket: str, mark: str) -> bool:
    return not Path(socket).exists() and not marked(mark)


@needs_tmux
def test_type_wait_read() -> None:
    with Cockpit("t-read", panes={"one": None, "two": "echo from the start"}, quiet=True) as c:
        assert c["one"].run("echo $((6 * 7)); echo grüße") == "42\ngrüße"
        assert c["two"].wait("from the start") == "from the start"
        c["one"].type("sleep 0.2; echo do''ne")
        assert c["one"].wait(re.compile("^done$")) == "done"
        assert list(c) == ["one", "two"]
        socket, mark = c.socket_path(), c.mark
    assert gone(socket, mark)


@needs_tmux
def test_a_wait_does_not_find_the_typed_line_itself() -> None:
    with Cockpit("t-echo", width=60, quiet=True) as c:
        c["shell"].wait_prompt()
        c["shell"].type("sleep 5  # the word is needle, and this line is longer than the pane is wide")
        with pytest.raises(CockpitTimeout, match=r"pane 'shell': waited 0\.3 s for 'needle'(.|\n)*\| \$ sleep 5"):
            c["shell"].wait("needle", timeout=0.3)


@needs_tmux
@pytest.mark.parametrize("spare", [-2, -1, 0, 1, 2])
def test_a_line_about_exactly_as_wide_as_the_pane(spare: int) -> None:
    with Cockpit("t-wide", width=40, quiet=True) as c:
        line = "echo ne''edle; : ".ljust(38 + spare, "x")
        assert c["shell"].run(line) == "needle"


@needs_tmux
def test_output_that_scrolled_away_is_found() -> None:
    with Cockpit("t-scroll", height=10, quiet=True) as c:
        out = c["shell"].run("seq 1 3000")
        assert out.splitlines()[0] == "1"
        assert len(out.splitlines()) == 3000
        assert c["shell"].wait(re.compile("^7$")) == "7"


@needs_tmux
def test_a_dead_pane_says_so_at_once() -> None:
    with Cockpit("t-dead", quiet=True) as c:
        c["shell"].type("exit 3")
        with pytest.raises(CockpitTimeout, match="its process has ended"):
            c["shell"].wait("never", timeout=60)
        assert c["shell"].dead


@needs_tmux
def test_the_status_is_there_when_the_pane_is_dead() -> None:
    with Cockpit("t-status", panes={str(n): "tail -f /dev/null | grep x" for n in range(6)}, quiet=True) as c:
        for n, name in enumerate(c):
            c[name].press("C-c")
            c[name].type(f"exit {n + 1}")
            eventually(lambda name=name: c[name].dead, "the pane is dead")      # type: ignore[misc]
        assert c.tmux("list-panes", "-F", "#{pane_dead_status}") == list("123456")


@needs_tmux
def test_picture_is_the_same_twice_and_names_its_panes() -> None:
    def run() -> Picture:
        with Cockpit("t-same", panes={"a<b": "printf '\\e[1;31mred\\e[0m & <plain>\\n'", "c": None}, quiet=True) as c:
            c["a<b"].wait("plain")
            c["a<b"].wait_prompt()
            return c.show()
    first, second = run(), run()
    assert first.html() == second.html()
    assert str(first) == ("┌─ a<b\n│ $ printf '\\e[1;31mred\\e[0m & <plain>\\n'\n│ red & <plain>\n│ $\n┌─ c\n│ $")
    assert "red</span> &amp; &lt;plain&gt;" in first.html()
    assert 'role="img" aria-label="A tmux window' in first.html()
    assert "a&lt;b" in first.html()


@needs_tmux
def test_windows() -> None:
    with Cockpit("t-win", panes={"a": None}, quiet=True) as c:
        c.window("more", {"b": "echo here", "d": None})
        c["b"].wait("here")
        assert c.tmux("list-windows", "-F", "#{window_name} #{window_panes}") == ["t-win 1", "more 2"]
        assert [p.name for p in c.show("t-win").places] == ["a"]
        assert [p.name for p in c.show().places] == ["b", "d"]
        with pytest.raises(CockpitError, match="'b' is there already"):
            c.window("again", {"b": None})


@needs_tmux
def test_two_of_one_name_do_not_meet() -> None:
    with Cockpit("t-twice", quiet=True) as a, Cockpit("t-twice", quiet=True) as b:
        assert a.socket != b.socket
        a["shell"].run("x=1")
        assert b["shell"].run("echo [$x]") == "[]"
        b.close()
        assert a.running


@needs_tmux
def test_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3")
    monkeypatch.setenv("PS1", "evil> ")
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    with Cockpit("t-env", quiet=True) as c:
        assert c["shell"].run("echo [$SECRET] $KUBECONFIG [$HISTFILE]") == "[] /somewhere []"


@needs_tmux
def test_what_ignores_hangup_is_ended_too() -> None:
    with Cockpit("t-nohup", quiet=True) as c:
        c["shell"].run("(setsid nohup sleep 1234 >/dev/null 2>&1 &)")
        c["shell"].run("(trap '' HUP TERM; setsid sh -c 'while :; do sleep 1; done' >/dev/null 2>&1 &)")
        socket, mark = c.socket_path(), c.mark
        assert len(marked(mark)) >= 3
    assert gone(socket, mark)


OWNER = """
import sys, time
from bookkit.cockpit import Cockpit
c = Cockpit("t-owner", panes={"a": None, "b": "sleep 4321"}, quiet=True).start()
print(c.socket_path(), c.mark, c._watchdog.pid, flush=True)
if sys.argv[1] == "raise":
    raise SystemExit(3)
time.sleep(600)
"""


@needs_tmux
@pytest.mark.parametrize("end", ["kill", "kill-group", "raise", "interrupt"])
def test_nothing_is_left_when_the_owner_is_gone(end: str) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, end], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, start_new_session=True)
    try:
        assert owner.stdout is not None
        said = owner.stdout.readline()
        assert said, f"it ended at once: {owner.communicate()[1]}"
        socket, mark, watchdog = said.split()
        if end != "raise":
            eventually(lambda: len(marked(mark)) >= 3, "two shells and the sleep run")
            assert Path(socket).exists()
            assert psutil.pid_exists(int(watchdog))
        if end == "kill":
            os.kill(owner.pid, signal.SIGKILL)
        elif end == "kill-group":
            os.killpg(owner.pid, signal.SIGKILL)
        elif end == "interrupt":
            os.kill(owner.pid, signal.SIGINT)
        owner.wait(timeout=30)
        eventually(lambda: gone(socket, mark), "the tmux server, its panes and its socket are gone")
        eventually(lambda: not psutil.pid_exists(int(watchdog)), "the watchdog is gone")
    finally:
        owner.kill()
        owner.communicate()


@needs_tmux
def test_closing_works_without_the_watchdog_and_twice() -> None:
    c = Cockpit("t-wd", quiet=True).start()
    assert c._watchdog is not None
    c._watchdog.kill()
    socket, mark = c.socket_path(), c.mark
    c.close()
    c.close()
    assert gone(socket, mark)
    with pytest.raises(CockpitError, match="not running"):
        c.tmux("list-panes")


@needs_tmux
def test_closing_after_somebody_ended_the_server() -> None:
    c = Cockpit("t-killed", quiet=True).start()
    c.tmux("kill-server")
    assert not c.running
    socket, mark = c.socket_path(), c.mark
    c.close()
    assert gone(socket, mark)


def test_clear_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CockpitError, match="letters, digits and dashes; 'a b' is not"):
        Cockpit("a b")
    with pytest.raises(CockpitError, match="has no panes"):
        Cockpit("a", panes={})
    with pytest.raises(CockpitError, match=r"no pane 'x'\. Its panes: none, it is not running"):
        Cockpit("a")["x"]
    monkeypatch.setattr(module.shutil, "which", lambda name: "/opt/brew" if name == "brew" else None)
    with pytest.raises(CockpitError, match=r"tmux is not installed here\. Install it with `brew install tmux`"):
        Cockpit("a").start()


def test_an_old_tmux_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "tmux"
    old.write_text("#!/bin/sh\necho tmux 2.9a\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "tmux 2.9a is older than 3.2" in str(tmux_missing())


def test_picture_of_places() -> None:
    picture = Picture("w", (Place("a", 0, 1, 10, 3, ("x", "", "")), Place("b", 11, 1, 10, 3, ("\x1b[32my",))), 21, 4)
    assert str(picture) == "┌─ a\n│ x\n┌─ b\n│ y"
    assert "grid-column:2/3" in picture.html()
    assert "Last lines. a: x. b: y" in picture.label()
