"""What the server says of itself, beside what the genuine one says of itself; tier genuine."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from tinykube.client.kubeconfig import load

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def ask(tiny: Path, plane: Any, path: str, accept: str = "application/json") -> tuple[Any, Any]:
    """(ours, theirs): the JSON answers to one question."""
    ours = requests.get(load(tiny).url + path, headers={"Accept": accept}, timeout=30)
    with plane.session() as session:
        theirs = session.get(plane.url + path, headers={"Accept": accept}, timeout=30)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
    return ours.json(), theirs.json()


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_aggregated_discovery(path: str, tiny: Path, plane: Any) -> None:
    ours, theirs = ask(tiny, plane, path, AGGREGATED)
    assert ours == theirs


def test_plain_discovery(tiny: Path, plane: Any) -> None:
    ours, theirs = ask(tiny, plane, "/apis")
    assert ours == theirs
    core = ask(tiny, plane, "/api/v1")
    assert core[0] == core[1]
    for group in theirs["groups"]:
        ours_group, theirs_group = ask(tiny, plane, f"/apis/{group['name']}")
        assert ours_group == theirs_group
        for version in group["versions"]:
            ours_list, theirs_list = ask(tiny, plane, f"/apis/{version['groupVersion']}")
            assert ours_list == theirs_list


def test_the_document_of_documents(tiny: Path, plane: Any) -> None:
    ours, theirs = ask(tiny, plane, "/openapi/v3")
    documents = [path for path in theirs["paths"] if path == "api/v1" or (path.startswith("apis/") and path.count("/") == 2)]
    assert [path for path in ours["paths"] if path in documents] == documents
    assert all("?hash=" in each["serverRelativeURL"] for each in ours["paths"].values())


def test_a_document_is_fetched_once(tiny: Path) -> None:
    url = load(tiny).url
    where = requests.get(f"{url}/openapi/v3", timeout=30).json()["paths"]["apis/apps/v1"]["serverRelativeURL"]
    first = requests.get(url + where, timeout=30)
    assert first.status_code == 200
    again = requests.get(url + where, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert again.status_code == 304
    moved = requests.get(f"{url}/openapi/v3/apis/apps/v1?hash=OLD", timeout=30, allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (301, where)


def test_paths_methods_and_bodies(tiny: Path, plane: Any) -> None:
    """Where the genuine server takes or gives a schema, ours names the same. (Left out: watch and proxy paths.)"""
    for version in ("apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1", "policy/v1", "storage.k8s.io/v1"):
        ours, theirs = ask(tiny, plane, f"/openapi/v3/apis/{version}")
        genuine = theirs["components"]["schemas"]
        assert all(schema == genuine[name] for name, schema in ours["components"]["schemas"].items()
                   if not name.endswith(("v1.DeleteOptions", "v1.WatchEvent")))        # these say which group asks
        for path, found in ours["paths"].items():
            for method, operation in found.items():
                if method == "parameters":
                    continue
                genuine = theirs["paths"][path][method]
                assert operation["x-kubernetes-action"] == genuine["x-kubernetes-action"]
                names = {each["name"] for each in genuine.get("parameters", [])}
                assert {each["name"] for each in operation["parameters"]} <= names, (path, method)
                assert body(operation) == body(genuine), (path, method)


def body(operation: dict[str, Any]) -> Any:
    """The name of the schema of what a method takes."""
    kinds = [each["schema"].get("$ref") for each in operation.get("requestBody", {}).get("content", {}).values()]
    return kinds[0] if kinds else None
