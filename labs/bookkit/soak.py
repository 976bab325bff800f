"""`bookkit soak`: every chapter under nbval many times, with every processor busy. A flake shows here first."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from .book import Book

BUSY = "import os\nwhile os.getppid() == {parent}: sum(range(10000))"


def main(arguments: list[str]) -> int:
    """Run the chapters `--times` times; the number of runs that failed."""
    parser = argparse.ArgumentParser("bookkit soak")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("chapters", nargs="*", help="paths or numbers; all without any")
    chosen = parser.parse_args(arguments)
    book = Book.here()
    paths = [str(chapter.path) for chapter in book.chapters(chosen.chapters)]
    busy = [subprocess.Popen([sys.executable, "-c", BUSY.format(parent=os.getpid())]) for _ in range(os.cpu_count() or 1)]
    failed = 0
    try:
        for number in range(1, chosen.times + 1):
            start = time.monotonic()
            status = subprocess.run(nbval(book, paths), cwd=book.root, check=False,
                                    env={**os.environ, "PYTHONHASHSEED": "0"}).returncode
            failed += bool(status)
            verdict = "failed" if status else "passed"
            print(f"run {number} of {chosen.times}: {verdict}, {time.monotonic() - start:.0f} s", flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"{chosen.times - failed} of {chosen.times} runs passed")
    return failed


def nbval(book: Book, paths: list[str]) -> list[str]:
    """The command that compares the chapters with their stored outputs."""
    return [sys.executable, "-m", "pytest", "-q", "-rs", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=240",
            "--timeout=600", f"--nbval-sanitize-with={book.sanitize}", "-n", "2", "--dist", "loadfile", *paths]
