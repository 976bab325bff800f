"""Templates of pods: told apart, and given a short name that is the same each time.

Genuine counterpart: ComputeHash of kube-controller-manager, which hashes how Go prints the template. Ours hashes its
JSON, so the names differ from the genuine ones; both find a template again by comparing it, never by its name.
"""

from __future__ import annotations

import json

from tinykube.machinery.objects import SUFFIX_LETTERS, Object, dig

HASH_LABEL = "pod-template-hash"
FNV_OFFSET, FNV_PRIME = 2166136261, 16777619


def template_hash(template: object, collisions: int = 0) -> str:
    """A short name for a template, in letters that make no words: 32 bits of FNV-1a. Collisions so far lead to another."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":")) + (str(collisions) if collisions else "")
    value = FNV_OFFSET
    for byte in text.encode():
        value = (value ^ byte) * FNV_PRIME % 2**32
    return "".join(SUFFIX_LETTERS[ord(digit) % len(SUFFIX_LETTERS)] for digit in str(value))


def same_template(left: Object, right: Object) -> bool:
    """Whether two templates describe the same pod; the label with the hash is ours, and counts for nothing."""
    return plain(left) == plain(right)


def plain(template: Object) -> Object:
    """A template without the label that we put into it, and without what is empty."""
    meta = {field: value for field, value in (template.get("metadata") or {}).items() if value}
    kept = {key: value for key, value in dig(meta, "labels", default={}).items() if key != HASH_LABEL}
    meta.pop("labels", None)
    return {"metadata": {**meta, **({"labels": kept} if kept else {})}, "spec": template["spec"]}
