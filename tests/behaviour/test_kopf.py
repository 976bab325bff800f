"""An operator written with kopf, a framework of others, works on the target unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.target import Namespace, Target, wait
from tests.behaviour.test_custom_resources import CRDS, MERGE, definition, establish, fields, version

OPERATOR = """
import kopf
import kubernetes

kubernetes.config.load_kube_config()
core = kubernetes.client.CoreV1Api()


@kopf.on.create("book.example", "v1", "{plural}")
def bake(spec, name, namespace, patch, body, **_):
    loaf = {{"metadata": {{"name": "loaf-of-" + name}}, "data": {{"bread": spec["bread"]}}}}
    kopf.adopt(loaf)
    core.create_namespaced_config_map(namespace, loaf)
    kopf.info(body, reason="Baked", message="it smells good")
    patch.status["baked"] = 1


@kopf.on.update("book.example", "v1", "{plural}", field="spec.bread")
def change(old, new, patch, **_):
    patch.status["was"] = old + " before " + new


@kopf.on.delete("book.example", "v1", "{plural}")
def eat(name, namespace, **_):
    core.delete_namespaced_config_map("loaf-of-" + name, namespace)
"""


@pytest.fixture
def ovens(target: Target, ns: Namespace, tmp_path: Path) -> Iterator[str]:
    """The path of a kind whose objects an operator looks after."""
    plural = f"ovens{uuid.uuid4().hex[:6]}"
    kept = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = fields(spec=fields(bread={"type": "string"}), status=kept)
    establish(target, definition(plural, plural.capitalize(), versions=[version(schema=schema, subresources={"status": {}})]))
    (tmp_path / "operator_of_ovens.py").write_text(OPERATOR.format(plural=plural))
    program = str(tmp_path / "operator_of_ovens.py")
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", ns.name, program]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "KUBECONFIG": target.kubeconfig})
        try:
            yield f"/apis/book.example/v1/namespaces/{ns.name}/{plural}"
        finally:
            running.terminate()
            running.wait(30)
            print((tmp_path / "log").read_text())
            target.call("DELETE", f"{CRDS}/{plural}.book.example")


def test_an_operator_of_others(target: Target, ns: Namespace, ovens: str) -> None:
    oven, body = f"{ovens}/big", {"apiVersion": "book.example/v1", "kind": ovens.rpartition("/")[2].capitalize(),
                                  "metadata": {"name": "big"}, "spec": {"bread": "rye"}}

    def status(field: str) -> object:
        return target.call("GET", oven).json().get("status", {}).get(field)
    assert target.call("POST", ovens, body).status_code == 201
    wait(lambda: status("baked") == 1, "the operator to start, and to bake", 90)
    loaf = ns.get("configmaps", "loaf-of-big")
    assert (loaf["data"], loaf["metadata"]["ownerReferences"][0]["name"]) == ({"bread": "rye"}, "big")
    assert target.call("GET", oven).json()["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
    wait(lambda: "Baked" in [each["reason"] for each in ns.call("GET", "/events").json()["items"]], "its event")
    target.call("PATCH", oven, {"spec": {"bread": "wheat"}}, kind=MERGE)
    wait(lambda: status("was") == "rye before wheat", "the operator to see the change")
    target.call("DELETE", oven)
    wait(lambda: target.call("GET", oven).status_code == 404, "the operator to let the oven go")
    assert ns.call("GET", "/configmaps/loaf-of-big").status_code == 404
