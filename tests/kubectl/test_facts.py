"""The tables of facts are still what a genuine api-server says; tier genuine."""
from __future__ import annotations

import json
from typing import Any

import pytest
from genuine.schema import DATA, fetcher, from_server
from tinykube.api.protobuf import decode

RICH_POD: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "rich", "labels": {"a": "b"}, "annotations": {"x": "y"}, "ownerReferences": [
        {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": True}]},
    "spec": {
        "terminationGracePeriodSeconds": 0, "hostNetwork": True,
        "initContainers": [{"name": "i", "image": "box", "restartPolicy": "Always"}],
        "containers": [{
            "name": "c", "image": "box", "command": ["sh"], "env": [
                {"name": "A"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "envFrom": [{"configMapRef": {"name": "q"}}], "ports": [{"containerPort": 80, "hostPort": 80}],
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "2"}},
            "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 3},
            "livenessProbe": {"tcpSocket": {"port": 80}}, "lifecycle": {"preStop": {"sleep": {"seconds": 0}}},
            "securityContext": {"runAsUser": 0, "privileged": False, "capabilities": {"add": ["X"]}},
            "volumeMounts": [{"name": "e", "mountPath": "/e"}]}],
        "volumes": [{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}},
                    {"name": "p", "projected": {"sources": [{"configMap": {"name": "z", "optional": False}}]}},
                    {"name": "h", "hostPath": {"path": "/", "type": ""}}],
        "tolerations": [{"key": "q", "operator": "Exists", "tolerationSeconds": 0, "effect": "NoExecute"}],
        "securityContext": {"supplementalGroups": [1, 2], "fsGroup": 0}, "hostAliases": [
            {"ip": "1.2.3.4", "hostnames": ["h"]}]}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {"taints": [
    {"key": "k", "effect": "NoSchedule"}]}, "status": {"capacity": {"cpu": "1"}, "conditions": [
        {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1", "b": ""},
          "binaryData": {"x": "AAE="}, "immutable": False}
LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {
    "holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000001Z"}}
EVENT = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "R", "message": "m", "count": 3,
         "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "type": "Normal",
         "firstTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "me"}}
CORE = "/api/v1/namespaces/default"


@pytest.mark.parametrize("name", ["resources.json", "schemas.json", "columns.json"])
def test_the_data_is_what_the_server_says(name: str, plane: Any) -> None:
    assert json.loads(from_server(fetcher(plane.kubeconfig), plane.kubeconfig)[name]) == json.loads((DATA / name).read_text()), (
        "out of date: run `python -m genuine.schema`")


@pytest.mark.parametrize(("path", "obj"), [
    (f"{CORE}/pods", RICH_POD), ("/api/v1/nodes", NODE), (f"{CORE}/configmaps", CONFIG), (f"{CORE}/events", EVENT),
    ("/apis/coordination.k8s.io/v1/namespaces/default/leases", LEASE)])
def test_we_read_protobuf_as_the_server_writes_it(path: str, obj: dict[str, Any], plane: Any) -> None:
    with plane.session() as session:
        made = session.post(plane.url + path, json=obj, timeout=30)
        assert made.status_code == 201, made.text
        url = f"{plane.url}{path}/{obj['metadata']['name']}"
        encoded = session.get(url, headers={"Accept": "application/vnd.kubernetes.protobuf"}, timeout=30).content
        assert decode(encoded) == without_nulls(session.get(url, timeout=30).json())
        session.delete(url, timeout=30)


def without_nulls(value: Any) -> Any:
    """A null and an absent field mean the same in Kubernetes."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
