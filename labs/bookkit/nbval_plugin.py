"""What pytest is told about chapters under nbval: tiers that are missing, and how many cells that leaves out.

book/conftest.py hands these hooks to pytest. The command:

    pytest --nbval --nbval-current-env --nbval-cell-timeout=240 --nbval-sanitize-with=sanitize.cfg \
        -n 2 --dist loadfile -rs book
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from . import tiers


def tier_of(item: Any) -> str:
    """The tier of the chapter cell that a test item runs; "" for other items."""
    cell = getattr(item, "cell", None)
    tags = cell.metadata.get("tags", []) if cell is not None else []
    return next((str(tag).removeprefix("tier:") for tag in tags if str(tag).startswith("tier:")), "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip cells whose tier is missing, and say why."""
    for item in items:
        tier = tier_of(item)
        if tier and not tiers.has(tier):
            item.add_marker(pytest.mark.skip(reason=tiers.reason(tier)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count what was left out, tier by tier."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "tier " in why:
            counts[why.removeprefix("Skipped: ")] += 1
    for why, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count} cells not run: {why}")
