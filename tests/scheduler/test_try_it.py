"""What the chapter promises under "Try it": edit the score's own cell, run it, and the next pod lands elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHAPTER = Path(__file__).parents[2] / "book" / "15-scheduler.ipynb"
SPREADING = "return float(sum(shares) // len(shares)) if shares else 0.0"
PACKING = "return 100.0 - sum(shares) // len(shares)"

PROGRAM = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()

def run(text):
    done = shell.run_cell(text)
    done.raise_error()
    return done.result

run("%load_ext bookkit")
run("from tinykube.cluster import Cluster, background")
run('c = background(Cluster({"ant": "1Gi", "bee": "4Gi"}, without={"kubelet"}))')
run(sys.argv[1])
try:
    first, second = run("lands_on('one')"), None
    run(sys.argv[2])
    second = run("lands_on('two')")
    run("from bookkit import restore; restore('tinykube/scheduler/plugins.py')")
    third = run("lands_on('three')")
    print(json.dumps([first, second, third]))
finally:
    run("c.stop()")
"""

HELPERS = """
for name, memory in {"ant": "1Gi", "bee": "4Gi"}.items():
    offers = {"cpu": "4", "memory": memory, "pods": "110"}
    c.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
             "status": {"allocatable": offers, "capacity": offers}})

def lands_on(name):
    c.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [
        {"name": "main", "image": "box", "resources": {"requests": {"cpu": "1m", "memory": "512Mi"}}}]}})
    return c.wait(f"pod/{name} bound")["spec"]["nodeName"]
"""


def test_an_edited_score_moves_the_next_pod() -> None:
    cells = ["".join(cell["source"]) for cell in json.loads(CHAPTER.read_text())["cells"] if cell["cell_type"] == "code"]
    cell = next(text for text in cells if text.startswith("#| filename") and "def least_allocated" in text)
    assert cell.count(SPREADING) == 1
    done = subprocess.run([sys.executable, "-c", PROGRAM, HELPERS, cell.replace(SPREADING, PACKING)],
                          capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["bee", "ant", "bee"]
