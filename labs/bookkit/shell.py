"""The shell beside the cells: `kubectl("get pods")` and `run("docker ps")` print what the real programs print."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_default: Any = None


class CommandFailed(RuntimeError):
    """A command that had to succeed did not; the message holds its exit status and what it said last."""


class Result(str):
    """What a command printed to stdout, as a string; with `.status`, `.stderr` and `.lines`. Shows as nothing."""

    status: int
    stderr: str

    def __new__(cls, stdout: str, stderr: str = "", status: int = 0) -> Result:
        result = super().__new__(cls, stdout)
        result.stderr, result.status = stderr, status
        return result

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.splitlines()

    @property
    def ok(self) -> bool:
        """Whether the command ended with status 0."""
        return self.status == 0

    def _ipython_display_(self) -> None:
        """A cell that ends with a call shows what was printed, once."""


def use(cluster: Any) -> None:
    """From here on, `kubectl(...)` without a cluster talks to this one (None: to none)."""
    global _default
    _default = cluster


def kubectl(command: str, cluster: Any = None, *, check: bool = False, timeout: float = 30, input: str | None = None,
            quiet: bool = False) -> Result:
    """Run the real kubectl against a cluster and print what it prints.

    `cluster` is anything with a `.kubeconfig`, or the path of a kubeconfig; without it, the one named by `use`.
    `input` is its stdin (for `apply -f -`). `check=True` raises CommandFailed when it fails; `quiet=True` prints
    nothing.
    """
    target = cluster if cluster is not None else _default
    if target is None:
        raise ValueError("which cluster? Say `kubectl(..., cluster=c)`, or once `use(c)`")
    kubeconfig = Path(getattr(target, "kubeconfig", target))
    # kubectl keeps a cache of what a server offers, by its address; clusters that come and go share addresses
    cache = kubeconfig.parent / "kubectl-cache"
    argv = [str(program("kubectl")), "--cache-dir", str(cache), *_split(command)]
    environment = {"KUBECONFIG": str(kubeconfig)}
    return _run(argv, f"kubectl {command}", environment, check, timeout, input, quiet)


def run(command: str, *, check: bool = False, timeout: float = 30, input: str | None = None,
        env: Mapping[str, str] | None = None, quiet: bool = False) -> Result:
    """Run a shell command and print what it prints; the same choices as `kubectl`."""
    return _run(["/bin/sh", "-c", command], command, dict(env or {}), check, timeout, input, quiet)


def program(name: str) -> Path:
    """Where the real program `name` is. Raises FileNotFoundError with the way to get it."""
    from genuine.find import find

    part = find(name)
    if part.path is None:
        raise FileNotFoundError(part.problem)
    return part.path


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ValueError(f"a quote is not closed in {command!r} ({error})") from None


def _run(argv: list[str], told: str, environment: dict[str, str], check: bool, timeout: float, input: str | None,
         quiet: bool) -> Result:
    """Run to the end or the limit; the whole process group goes when the limit is reached or the cell interrupted."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace", env={**os.environ, "PATH": path, **environment},
        process_group=0)
    try:
        stdout, stderr = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        stdout, stderr = _end(process)
        _print(stdout, stderr, quiet)
        raise TimeoutError(f"`{told}` did not end within {timeout:g} seconds") from None
    except BaseException:
        _end(process)
        raise
    _print(stdout, stderr, quiet)
    if check and process.returncode:
        last = (stderr or stdout).strip().splitlines()[-3:]
        raise CommandFailed(f"`{told}` ended with status {process.returncode}: {' / '.join(last) or 'it said nothing'}")
    return Result(stdout, stderr, process.returncode)


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End the whole group: politely, then not. What it had printed."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            return process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
    return "", ""


def _print(stdout: str, stderr: str, quiet: bool) -> None:
    if quiet:
        return
    sys.stdout.write(stdout)
    sys.stdout.flush()
    sys.stderr.write(stderr)
    sys.stderr.flush()
