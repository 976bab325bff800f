"""For kernels without bookkit: a build cell says that it needs it, instead of quietly defining something else.

IPython loads this from etc/ipython/ipython_kernel_config.py of the environment (see `install`), so it costs one
import of nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

CONFIG = '''"""Installed by kubernetes-by-hand: a build cell without `%load_ext bookkit` says so."""
c = get_config()  # noqa: F821
c.InteractiveShellApp.extensions.append("bookkit.guard")
'''
SAY = ("RuntimeError('This is a build cell: it becomes part of the file that its first line names, and for that "
       "`%load_ext bookkit` has to run first (the first code cell of the chapter does it).')")


def load_ipython_extension(shell: Any) -> None:
    """Called by IPython at the start of a kernel."""
    shell.input_transformers_cleanup.insert(0, refuse)


def refuse(lines: list[str]) -> list[str]:
    """Input transformer: option lines that nobody handles become an error. (With bookkit loaded none arrive here.)"""
    loaded = getattr(sys.modules.get("bookkit.cells"), "loaded", False)
    if not loaded and lines and lines[0].startswith(("#| filename:", "#| tier:")):
        return [f"raise {SAY}\n"]
    return lines


def install(prefix: str = sys.prefix) -> Path:
    """Write the configuration that loads the guard in every kernel of this environment; where it is."""
    path = Path(prefix) / "etc" / "ipython" / "ipython_kernel_config.py"
    if not path.exists() or path.read_text("utf-8") != CONFIG:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIG, "utf-8")
    return path
