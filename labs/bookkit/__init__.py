"""The book's own machinery: build cells, tiers, the shell beside the cells, panes, traces, exercise checks.

`%load_ext bookkit` in the first cell of a chapter; then `from bookkit import kubectl, run, use, ...`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cells import restore
    from .checkup import doctor
    from .shell import Result, kubectl, run, use
    from .tiers import available, has

_HOMES = {
    "available": "tiers",
    "doctor": "checkup",
    "has": "tiers",
    "kubectl": "shell",
    "restore": "cells",
    "Result": "shell",
    "run": "shell",
    "use": "shell",
}
_SHOW = ("cockpit", "exercises", "trace", "figures", "widgets", "lanes")  # whatever they define can be imported from here

__all__ = ["Result", "available", "doctor", "has", "kubectl", "restore", "run", "use"]


def __getattr__(name: str) -> Any:
    """Names are looked up when they are first asked for, so that importing bookkit costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"bookkit.{_HOMES[name]}"), name)
    if not name.startswith("_") and name not in _SHOW:
        for home in _SHOW:
            if importlib.util.find_spec(f"bookkit.{home}"):
                found = vars(importlib.import_module(f"bookkit.{home}")).get(name)
                if getattr(found, "__module__", "") == f"bookkit.{home}":
                    return found
    raise AttributeError(f"module 'bookkit' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext bookkit`."""
    from .cells import load_ipython_extension as load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext bookkit`."""
    from .cells import unload_ipython_extension as unload

    unload(shell)
