"""Genuine components on the tiny api-server: verified TLS, their own identities, rights as in the genuine cluster."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from bookkit.tiers import missing
from genuine.find import need
from genuine.processes import GuardedProcesses, reserve_port
from tinykube.api.keys import key_pem, new_key

from tests.behaviour.target import wait
from tests.seats.access import Side, tiny_side

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-access")]

JSON = "--kube-api-content-type=application/json"


@pytest.fixture(scope="module")
def side() -> Iterator[Side]:
    with tiny_side() as tiny:
        yield tiny


def start(processes: GuardedProcesses, side: Side, name: str, *flags: str) -> None:
    """Start a genuine component with the kubeconfig of its own user."""
    config, held = side.kubeconfig(name), reserve_port()
    processes.start(name, [
        need(f"kube-{name}")[f"kube-{name}"], "--leader-elect=true", "--bind-address=127.0.0.1", "--permit-port-sharing",
        f"--secure-port={held.getsockname()[1]}", f"--cert-dir={processes.directory}", *flags,
        *(f"--{kind}kubeconfig={config}" for kind in ("", "authentication-", "authorization-"))])
    held.close()


def refused(side: Side) -> Counter[tuple[str, str, str]]:
    """What components asked for in vain, for want of a right: who, verb, resource."""
    return Counter((event["user"].get("username", ""), event["verb"],
                    (event.get("objectRef") or {}).get("resource", event["requestURI"]))
                   for event in side.audit() if event.get("responseStatus", {}).get("code") in (401, 403)
                   and event["user"].get("username") != "system:anonymous")


def asked(side: Side, user: str, verb: str, resource: str) -> bool:
    """Whether somebody did something, and it worked."""
    answered = [event for event in side.audit() if "responseStatus" in event]
    return any(event["user"].get("username") == user and event["verb"] == verb and event["responseStatus"]["code"] < 300
               and (event.get("objectRef") or {}).get("resource") == resource for event in answered)


def controllers(side: Side) -> set[str]:
    """The controllers that have asked for something, each by the token of its own service account."""
    names = {event["user"].get("username", "") for event in side.audit()}
    return {name for name in names if name.startswith("system:serviceaccount:kube-system:")}


def test_the_genuine_scheduler_works_on_ours_and_is_refused_nothing(side: Side) -> None:
    offers = {"cpu": "2", "memory": "2Gi", "pods": "110"}
    node = {"metadata": {"name": "ant"}, "status": {"capacity": offers, "allocatable": offers}}
    assert side.ask("admin", "POST", "/api/v1/nodes", node)[0] == 201
    pod: dict[str, Any] = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "box"}]}}
    assert side.ask("admin", "POST", "/api/v1/namespaces/default/pods", pod)[0] == 201
    with closing(GuardedProcesses()) as processes:
        start(processes, side, "scheduler")
        path = "/api/v1/namespaces/default/pods/web"
        wait(lambda: side.ask("admin", "GET", path)[1]["spec"].get("nodeName") == "ant", "a binding", 60)
    assert asked(side, "system:kube-scheduler", "create", "pods")
    assert asked(side, "system:kube-scheduler", "create", "leases")
    assert not refused(side)


def test_the_genuine_controllers_log_in_and_are_refused_nothing(side: Side) -> None:
    key = side.folder / "controllers.key"
    key.write_bytes(key_pem(new_key()))
    with closing(GuardedProcesses()) as processes:
        start(processes, side, "controller-manager", "--use-service-account-credentials", f"--root-ca-file={side.ca}",
              f"--service-account-private-key-file={key}", JSON)
        wait(lambda: len(controllers(side)) >= 5, "five controllers that log in as themselves", 90)
    assert asked(side, "system:kube-controller-manager", "create", "leases")
    assert not refused(side)
