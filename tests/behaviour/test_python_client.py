"""The official Python client: its typed, dynamic and watch interfaces, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Target

kubernetes = pytest.importorskip("kubernetes")


@pytest.fixture
def api(target: Target) -> Iterator[Any]:
    """A client with the target's kubeconfig."""
    with kubernetes.config.new_client_from_config(target.kubeconfig, context=target.context) as client:
        yield client


def test_typed(api: Any, ns: Namespace) -> None:
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    made = core.create_namespaced_config_map(ns.name, {"metadata": {"name": "colors"}, "data": {"sky": "blue"}})
    assert (made.data, made.metadata.name) == ({"sky": "blue"}, "colors")
    core.patch_namespaced_config_map("colors", ns.name, {"data": {"grass": "green"}})
    assert core.read_namespaced_config_map("colors", ns.name).data == {"sky": "blue", "grass": "green"}
    container = kubernetes.client.V1Container(name="main", image="box:1")
    labels = {"app": "shop"}
    apps.create_namespaced_deployment(ns.name, kubernetes.client.V1Deployment(
        metadata=kubernetes.client.V1ObjectMeta(name="shop"), spec=kubernetes.client.V1DeploymentSpec(
            replicas=0, selector=kubernetes.client.V1LabelSelector(match_labels=labels),
            template=kubernetes.client.V1PodTemplateSpec(
                metadata=kubernetes.client.V1ObjectMeta(labels=labels),
                spec=kubernetes.client.V1PodSpec(containers=[container])))))
    assert [each.metadata.name for each in apps.list_namespaced_deployment(ns.name).items] == ["shop"]
    apps.delete_namespaced_deployment("shop", ns.name)
    with pytest.raises(kubernetes.client.ApiException) as missing:
        core.read_namespaced_config_map("nothing", ns.name)
    assert missing.value.status == 404


def test_what_there_is(api: Any) -> None:
    groups = {group.name for group in kubernetes.client.ApisApi(api).get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io", "resource.k8s.io"} <= groups
    names = {each.name for each in kubernetes.client.CoreV1Api(api).get_api_resources().resources}
    assert {"pods", "pods/status", "services", "serviceaccounts/token"} <= names
    assert kubernetes.client.VersionApi(api).get_code().major == "1"


def test_dynamic(api: Any, ns: Namespace) -> None:
    """It finds each kind by discovery: all resources are listed once before the first call."""
    dynamic = kubernetes.dynamic.DynamicClient(api)
    roles = dynamic.resources.get(api_version="rbac.authorization.k8s.io/v1", kind="Role")
    roles.create({"metadata": {"name": "reader"}, "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, namespace=ns.name)
    assert roles.get(name="reader", namespace=ns.name).rules[0].verbs == ["get"]
    events = dynamic.resources.get(api_version="events.k8s.io/v1", kind="Event")
    assert events.get(namespace=ns.name).kind == "EventList"
    with pytest.raises(kubernetes.dynamic.exceptions.ResourceNotFoundError):
        dynamic.resources.get(api_version="v1", kind="Unicorn")


def test_watch(api: Any, ns: Namespace) -> None:
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespaced_secret(ns.name, {"metadata": {"name": "a"}})
    core.create_namespaced_secret(ns.name, {"metadata": {"name": "b"}})
    core.delete_namespaced_secret("a", ns.name)
    seen = [(event["type"], event["object"].metadata.name)
            for event in kubernetes.watch.Watch().stream(core.list_namespaced_secret, ns.name, timeout_seconds=1)]
    assert ("ADDED", "b") in seen
    assert all(name in ("a", "b") for _, name in seen)
