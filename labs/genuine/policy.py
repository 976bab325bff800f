"""Makes tinykube's table of roles and bindings from those with which a genuine api-server begins.

    python -m genuine.policy            asks a genuine api-server, writes labs/tinykube/api/data/policy.json
    python -m genuine.policy --check    asks it too, and says whether the file is still what it answers
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "tinykube" / "api" / "data" / "policy.json"
PATH = "/apis/rbac.authorization.k8s.io/v1/"
PLURALS = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")
BOOTSTRAPPED = "?labelSelector=kubernetes.io%2Fbootstrapping%3Drbac-defaults"
KINDS = {"clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding", "roles": "Role",
         "rolebindings": "RoleBinding"}


def policy(fetch: Callable[[str], Any]) -> list[dict[str, Any]]:
    """The roles and bindings that the server made by itself, as one would write them into a manifest."""
    return [manifest(KINDS[plural], item) for plural in PLURALS for item in fetch(PATH + plural + BOOTSTRAPPED)["items"]]


def manifest(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """An object without what the server wrote down about it. What a controller aggregated goes, too."""
    kept = {key: obj["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in obj["metadata"]}
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "kind", "apiVersion")}
    if "aggregationRule" in rest:
        rest["rules"] = None
    return {"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": kept, **rest}


def main() -> int:
    """Ask, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    from genuine import control_plane
    with control_plane(["apiserver"]) as plane:
        found = policy(lambda path: plane.request("GET", path)[1])
        version = plane.request("GET", "/version")[1]["gitVersion"]
    if arguments.check:
        same = json.loads(FILE.read_text())["items"] == found
        print(f"{FILE.name} is {'what' if same else 'NOT what'} kube-apiserver {version} begins with")
        return 0 if same else 1
    origin = f"kube-apiserver {version}: the roles and bindings with which it begins; python -m genuine.policy"
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in found)
    FILE.write_text(f'{{"origin": {json.dumps(origin)}, "items": [\n{lines}\n]}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
