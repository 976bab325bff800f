"""The picture on the front page: each part of the cluster, linked to its chapter, solid where it is built.

    python -m bookkit.front     # writes book/_static/cluster.html anew
"""

from __future__ import annotations

from pathlib import Path

from bookkit.figures import PARTS, front_html
from bookkit.pages import expected

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "book" / "_static" / "cluster.html"


def picture() -> str:
    """The HTML of the picture: a part is built when its chapter is in the table of contents."""
    chapters = {Path(name).name for name in expected()}
    return front_html(part[0] for part in PARTS if part[2] in chapters) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture())
