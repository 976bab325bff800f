"""From what people write (YAML text, a file, dicts) to objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tinykube.machinery.objects import Object

Manifest = str | Path | Object | list[Any]


def documents(manifest: Manifest) -> list[Object]:
    """The objects in a manifest: YAML or JSON text, the path of a file, a dict, a List, or a list of these."""
    if isinstance(manifest, Path):
        return documents(manifest.read_text())
    if isinstance(manifest, str):
        return documents(parse(manifest))
    if isinstance(manifest, list):
        return [obj for each in manifest for obj in documents(each)]
    if not isinstance(manifest, dict):
        raise TypeError(f"a manifest is YAML text, a path, a dict or a list of these, not {type(manifest).__name__}")
    return documents(manifest["items"]) if manifest.get("kind") == "List" else [manifest]


def parse(text: str) -> list[Any]:
    """The documents of a YAML text; a single line that ends in .yaml, .yml or .json is the path of a file."""
    if "\n" not in text and text.endswith((".yaml", ".yml", ".json")):
        text = Path(text).read_text()
    try:
        found = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise ValueError(f"this is not YAML: {error}") from None
    strays = [each for each in found if not isinstance(each, (dict, list))]
    if strays:
        raise ValueError(f"expected objects with apiVersion, kind and metadata, found {strays[0]!r:.60}")
    return found
