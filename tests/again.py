"""A second look: run what failed once more, alone, with a quiet machine, and say plainly that it had to be done.

    python -m tests.again code|chapters

Tests run with both processors busy on purpose. One that fails then and passes alone depends on time, which is a
defect of its own: it is named here and belongs mended, but it says nothing about the change under test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
MOST = 8                                     # more than these are no accident
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=240", "--timeout=600", "--nbval-sanitize-with=sanitize.cfg"]


def failed() -> list[str]:
    """What the last run reported as failed: tests, or whole chapters (their cells need the ones before)."""
    try:
        names = list(json.loads(FAILED.read_text()))
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(name.partition("::")[0] if ".ipynb" in name else name for name in names))


def main(what: str) -> int:
    """Run what failed again; 0 if all of it passes now."""
    names = failed()
    if not names or len(names) > MOST:
        print(f"{len(names)} failures: too many (or too few) for a second look")
        return 1
    print(f"a second look, alone, at {len(names)}: {', '.join(names)}", flush=True)
    options = NBVAL if what == "chapters" else []
    status = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rs", *options, *names], cwd=ROOT, check=False).returncode
    if status == 0:
        print(f"PASSED ONLY ALONE, to be mended: {', '.join(names)}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
