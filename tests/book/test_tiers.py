"""Tiers, recordings, refresh and the shell: in real kernels where it matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bookkit import guard, recordings, shell, tiers
from bookkit.book import Chapter
from bookkit.refresh import one, refresh
from bookkit.sphinx_ext import caption_of

from .conftest import SmallBook


def outputs(path: Path) -> list[str]:
    found = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            found.append("".join(o.get("text") or o.get("data", {}).get("text/plain", o.get("evalue", "")) for o in cell.outputs))
    return found


def test_forced_tiers_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKKIT_TIERS", "anywhere,docker")
    assert tiers.available() == ["anywhere", "docker"]
    assert "leaves kind out" in tiers.reason("kind")
    with pytest.raises(ValueError, match="no tier is called 'dokcer'"):
        tiers.has("dokcer")


def test_refresh_records_and_a_machine_without_the_tier_plays(small: SmallBook, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small.chapter("01-a.ipynb", "%load_ext bookkit", "#| tier: linux-root\nprint('deep')\n6 * 7", "1 + 1")
    monkeypatch.setenv("BOOKKIT_ROOT", str(small.root))
    monkeypatch.setenv("BOOKKIT_TIERS", "linux-root")
    assert refresh(small.book, [Chapter(path)]) == 0
    assert outputs(path) == ["", "deep\n42", "2"]
    record = next(iter(recordings.load(small.book.recordings / "01-a.json").values()))
    assert (record.tier, record.command) == ("linux-root", "bookkit refresh book/01-a.ipynb")
    before = path.read_bytes()
    assert not one(small.book, Chapter(path)), "the second time changes nothing"
    monkeypatch.setenv("BOOKKIT_TIERS", "anywhere")
    assert not one(small.book, Chapter(path)), "nor does a machine without the tier"
    assert path.read_bytes() == before
    code = ("from IPython.core.interactiveshell import InteractiveShell as S\ns = S.instance()\n"
            "s.run_line_magic('load_ext', 'bookkit')\ns.run_cell(\"#| tier: linux-root\\nprint('deep')\\n6 * 7\")\n"
            "s.run_cell(\"#| tier: linux-root\\nopen('ran', 'w')\")\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=small.root)
    assert "This cell was not run: tier linux-root is missing: BOOKKIT_TIERS=anywhere" in done.stdout, done.stderr
    assert "Below is a recording, made on" in done.stdout
    assert "deep" in done.stdout
    assert "42" in done.stdout
    assert "There is no recording of it" in done.stdout
    assert not (small.root / "ran").exists()


def test_a_cell_that_raises_leaves_the_file_as_it_was(small: SmallBook, capsys: pytest.CaptureFixture[str]) -> None:
    path = small.chapter("01-a.ipynb", "1 / 0")
    before = path.read_bytes()
    assert refresh(small.book, [Chapter(path)]) == 1
    assert path.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_error_that_was_promised_has_to_come(small: SmallBook) -> None:
    good = small.chapter("01-a.ipynb", "#| raises: ZeroDivisionError\n1 / 0")
    assert refresh(small.book, [Chapter(good)]) == 0
    bad = small.chapter("02-b.ipynb", "#| raises: ZeroDivisionError\n1 / 1")
    assert refresh(small.book, [Chapter(bad)]) == 1


def test_what_differs_only_in_time_stays_as_it_was(small: SmallBook) -> None:
    (small.root / "sanitize.cfg").write_text("[t]\nregex: \\d{4}-\\d\\d-\\d\\dT\\S+\nreplace: <T>\n")
    path = small.chapter("01-a.ipynb", "import datetime; print(datetime.datetime.now().isoformat())")
    one(small.book, Chapter(path))
    first = path.read_bytes()
    assert not one(small.book, Chapter(path))
    assert path.read_bytes() == first


def test_nbval_skips_what_the_machine_lacks_and_goes_on(small: SmallBook, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small.chapter("01-a.ipynb", "%load_ext bookkit", "#| tier: kind\n1 / 0", "x = 3\nx",
                         tags={1: ["tier:kind"]})
    notebook = json.loads(path.read_text())
    for number, cell in enumerate(notebook["cells"], 1):
        cell["execution_count"] = number
    notebook["cells"][2]["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "3"}, "metadata": {},
                                        "execution_count": 3}]
    path.write_text(json.dumps(notebook))
    (small.book.folder / "conftest.py").write_text(
        "from bookkit.nbval_plugin import pytest_collection_modifyitems, pytest_terminal_summary\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-rs", "-p", "no:cacheprovider", str(path)],
        capture_output=True, text=True, timeout=100, cwd=small.root, env={**os.environ, "BOOKKIT_TIERS": "anywhere"})
    assert "2 passed, 1 skipped" in done.stdout, done.stdout
    assert "1 cells not run: tier kind is missing" in done.stdout


def test_without_bookkit_a_build_cell_says_so(tmp_path: Path) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    bare = InteractiveShell()
    bare.run_line_magic("load_ext", "bookkit.guard")
    cells = sys.modules.get("bookkit.cells")
    if cells:
        cells.loaded = False  # type: ignore[attr-defined]
    done = bare.run_cell("#| filename: tinykube/machinery/clock.py\ndef stray(): ...")
    with pytest.raises(RuntimeError, match="%load_ext bookkit"):
        done.raise_error()
    assert "stray" not in bare.user_ns
    assert guard.install(str(tmp_path)).read_text().count("bookkit.guard") == 1


def test_run_prints_and_returns(capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run("echo out; echo err >&2; exit 3")
    assert capsys.readouterr() == ("out\n", "err\n")
    assert (done, done.lines, done.status, done.stderr) == ("out\n", ["out"], 3, "err\n")
    assert shell.run("cat", input="x", quiet=True) == "x"
    with pytest.raises(shell.CommandFailed, match="ended with status 3: bad"):
        shell.run("echo bad; exit 3", check=True)
    with pytest.raises(TimeoutError, match=r"did not end within 0\.2 seconds"):
        shell.run("sleep 60 & sleep 60", timeout=0.2)
    with pytest.raises(ValueError, match="which cluster"):
        shell.kubectl("get pods")


def test_kubectl_is_the_real_one(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n")
    assert "127.0.0.1:1" in shell.kubectl("config view", cluster=config, quiet=True)


def test_captions_name_file_class_and_tier() -> None:
    text = caption_of({"filename": "tinykube/a.py", "class": "B<", "tier": "docker"})
    assert "tinykube/a.py" in text
    assert "more of class B&lt;" in text
    assert "tier docker" in text
    assert caption_of({"tier": "anywhere"}) == ""
