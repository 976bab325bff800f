"""nbval over the chapters: cells of a missing tier are skipped with their reason, later cells go on."""

from __future__ import annotations

from bookkit.nbval_plugin import pytest_collection_modifyitems, pytest_terminal_summary  # noqa: F401
