"""Who may import whom, and what the cores may import at all."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "labs" / "tinykube"
ARROWS = {
    "machinery": set(),
    "store": {"machinery"},
    "api": {"machinery", "store"},
    "client": {"machinery"},
    "scheduler": {"machinery", "client"},
    "controllers": {"machinery", "client"},
    "kubelet": {"machinery", "client", "runtime"},
    "kubectl": {"machinery", "client"},
    "metrics": {"machinery", "client"},
    "runtime": {"machinery"},
    "network": {"machinery", "client"},
    "cluster": {"machinery", "store", "api", "client", "scheduler", "controllers", "kubelet", "metrics", "runtime",
                "network"},
}
TRANSPORTS = {"api/http.py", "api/tls.py", "api/keys.py", "client/credentials.py", "client/http.py", "kubelet/http.py",
              "runtime/process.py", "store/directory.py", "runtime/docker.py", "runtime/shim.py"}
IMPURE = {"threading", "socket", "subprocess", "multiprocessing", "selectors", "socketserver", "http", "urllib.request"}
AMBIENT = {("time", "time"), ("time", "monotonic"), ("time", "sleep"), ("datetime", "now"), ("datetime", "utcnow"),
           ("random", "random"), ("random", "choice"), ("random", "randint"), ("random", "shuffle"),
           ("uuid", "uuid4"), ("os", "urandom")}
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def is_core(path: str) -> bool:
    return path not in TRANSPORTS and not path.startswith(("cluster/", "store/wire/"))


def wrong_imports(path: str, source: str) -> list[str]:
    """What a file of tinykube imports and must not."""
    package = path.split("/")[0]
    wrong = []
    for name in imports(ast.parse(source)):
        root, _, rest = name.partition(".")
        if root == "tinykube":
            seat = rest.split(".")[0]
            if seat and seat != package and seat not in ARROWS.get(package, set()):
                wrong.append(f"{path}: {package} must not import {name}")
        elif is_core(path) and (name in IMPURE or root in IMPURE - {"http"}):
            wrong.append(f"{path}: a core needs no {name}")
        elif is_core(path) and root not in sys.stdlib_module_names | {"yaml"}:
            wrong.append(f"{path}: a core imports the standard library and PyYAML, not {name}")
        elif root in ("bookkit", "genuine"):
            wrong.append(f"{path}: the cluster does not know the book")
    return wrong


def ambient_calls(path: str, source: str) -> list[str]:
    """Where a core reads a clock or draws lots by itself."""
    if not is_core(path) or path == "machinery/clock.py":
        return []
    tree = ast.parse(source)
    imported = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names}
    return [f"{path}:{node.lineno}: {node.func.value.id}.{node.func.attr}: clock and randomness are handed in"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name) and node.func.value.id in imported
            and (node.func.value.id, node.func.attr) in AMBIENT]


@pytest.mark.parametrize("path", MODULES)
def test_arrows_and_cores(path: str) -> None:
    source = (ROOT / path).read_text()
    assert not wrong_imports(path, source)
    assert not ambient_calls(path, source)


@pytest.mark.parametrize(("path", "source"), [
    ("scheduler/x.py", "from tinykube.api.server import ApiServer"),
    ("store/x.py", "import tinykube.client.rest"),
    ("kubelet/x.py", "def f():\n    import socket"),
    ("api/x.py", "import orjson"),
    ("machinery/x.py", "import bookkit"),
])
def test_a_wrong_import_is_found(path: str, source: str) -> None:
    assert wrong_imports(path, source)


@pytest.mark.parametrize("source", ["import time\ntime.time()", "import random\nrandom.choice([1])"])
def test_ambient_time_and_randomness_are_found(source: str) -> None:
    assert ambient_calls("scheduler/x.py", source)
    assert not ambient_calls("runtime/process.py", source)


def test_every_package_has_its_arrows() -> None:
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} <= set(ARROWS)
