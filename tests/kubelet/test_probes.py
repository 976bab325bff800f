"""Probes and what comes first, decided without asking anybody; volumes as they are written."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tinykube.kubelet.environment import ConfigError
from tinykube.kubelet.http import by_grpc
from tinykube.kubelet.probes import Standing, answered, must_restart, port_of
from tinykube.kubelet.restart import plan
from tinykube.kubelet.volumes import selected, write_files
from tinykube.runtime.interface import EXITED, READY, RUNNING, Container, ContainerConfig, PodSandbox, PodSandboxConfig

SANDBOX = PodSandbox("s", PodSandboxConfig("web", "default", "uid"), READY, 0, "")


def results(probe: dict[str, int], first: bool, answers: str) -> str:
    """What counts after each answer, + for good and - for bad."""
    standing, told = Standing(first), ""
    for answer in answers:
        standing = answered(probe, standing, answer == "+")
        told += "+" if standing.result else "-"
    return told


@pytest.mark.parametrize(("probe", "first", "answers", "counts"), [
    ({}, True, "--", "++"), ({}, True, "---", "++-"), ({}, True, "--+---+", "+++++-+"), ({}, False, "+", "+"),
    ({"failureThreshold": 1}, True, "-+-", "-+-"), ({"successThreshold": 3}, False, "++-+++", "-----+"),
    ({"failureThreshold": 2, "successThreshold": 2}, True, "-+-+--++", "+++++--+"),
])
def test_it_takes_several_answers_in_a_row(probe: dict[str, int], first: bool, answers: str, counts: str) -> None:
    assert results(probe, first, answers) == counts


def test_what_ends_a_container() -> None:
    bad = Standing(False, False, 3)
    assert must_restart("liveness", bad, {})
    assert must_restart("startup", bad, {})
    assert not must_restart("readiness", bad, {})
    assert not must_restart("liveness", Standing(True, False, 2), {})
    assert not must_restart("startup", Standing(False), {})


def test_ports_have_names() -> None:
    container = {"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}
    assert [port_of(container, port) for port in ("http", "80", 81)] == [8080, 80, 81]
    with pytest.raises(ValueError, match="couldn't find port"):
        port_of(container, "https")


def run(name: str, code: int | None = None) -> Container:
    return Container(name, "s", ContainerConfig(name, "box"), "", RUNNING if code is None else EXITED, "", exit_code=code or 0)


INIT = [{"name": "a"}, {"name": "side", "restartPolicy": "Always"}, {"name": "b"}]


@pytest.mark.parametrize(("policy", "runs", "started", "starts"), [
    ("Always", {}, [], ["a"]), ("Always", {"a": None}, [], []), ("Always", {"a": 1}, [], ["a"]), ("Never", {"a": 1}, [], []),
    ("Always", {"a": 0}, [], ["side"]), ("Always", {"a": 0, "side": None}, [], []),
    ("Always", {"a": 0, "side": None}, ["side"], ["b"]), ("Always", {"a": 0, "side": None, "b": 0}, ["side"], ["main"]),
    ("Always", {"a": 0, "side": 1, "b": 0, "main": None}, [], ["side"]),
    ("Never", {"a": 0, "side": 0, "b": 0, "main": None}, [], ["side"]),
    ("Never", {"a": 0, "side": None, "b": 0, "main": 1}, ["side"], []),
])
def test_what_comes_next(policy: str, runs: dict[str, int | None], started: list[str], starts: list[str]) -> None:
    pod: dict[str, Any] = {"metadata": {}, "spec": {
        "restartPolicy": policy, "initContainers": INIT, "containers": [{"name": "main"}]}}
    todo = plan(pod, SANDBOX, {name: [run(name, code)] for name, code in runs.items()}, started)
    assert [each["name"] for each in todo.start] == starts
    assert not todo.new_sandbox


def test_a_new_sandbox_begins_with_what_comes_first() -> None:
    pod: dict[str, Any] = {"metadata": {}, "spec": {"initContainers": INIT, "containers": [{"name": "main"}]}}
    runs = {name: [run(name, 137)] for name in ("a", "side", "b", "main")}
    todo = plan(pod, None, runs)
    assert (todo.new_sandbox, [each["name"] for each in todo.start]) == (True, ["a"])


def test_items_choose_and_name() -> None:
    data = {"a": b"1", "b": b"2"}
    assert selected(data, {}, 0o644, "configmap") == {"a": (b"1", 0o644), "b": (b"2", 0o644)}
    items = [{"key": "a", "path": "x/y", "mode": 0o400}]
    assert selected(data, {"items": items}, 0o644, "configmap") == {"x/y": (b"1", 0o400)}
    missing = [{"key": "c", "path": "c"}]
    with pytest.raises(ConfigError, match="non-existent config key: c"):
        selected(data, {"items": missing}, 0o644, "configmap")
    assert selected(data, {"items": missing, "optional": True}, 0o644, "configmap") == {}


def test_files_are_replaced_all_at_once(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    write_files(volume, {"a": (b"1", 0o644), "deep/b": (b"2", 0o400)})
    assert (volume / "a").read_bytes() == b"1"
    assert (volume / "deep" / "b").stat().st_mode & 0o777 == 0o400
    held = (volume / "..data").resolve()
    write_files(volume, {"a": (b"3", 0o644), "c": (b"4", 0o644)})
    assert sorted(each.name for each in volume.iterdir() if not each.name.startswith("..")) == ["a", "c"]
    assert ((volume / "a").read_bytes(), (volume / "..data").resolve() != held, held.exists()) == (b"3", True, False)


class Checked:
    """A service that answers health checks by what was asked for: good for "", not serving for "sick"."""

    def service(self, call: Any) -> Any:
        import grpc

        def answer(request: bytes, context: Any) -> bytes:
            if request == b"\x0a\x04nope":
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return b"\x08\x02" if request == b"\x0a\x04sick" else b"\x08\x01"
        return grpc.unary_unary_rpc_method_handler(answer) if call.method == "/grpc.health.v1.Health/Check" else None


async def test_grpc_asks_the_service_itself() -> None:
    import grpc
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Checked()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert (await by_grpc({"port": port}, "127.0.0.1"))[0] is True
        assert (await by_grpc({"port": port, "service": "well"}, "127.0.0.1"))[0] is True
        assert await by_grpc({"port": port, "service": "sick"}, "127.0.0.1") == (
            False, 'service unhealthy (responded with "NOT_SERVING")')
        assert await by_grpc({"port": port, "service": "nope"}, "127.0.0.1") == (
            False, "error: rpc error: code = NOT_FOUND desc = unknown service")
    finally:
        server.stop(0).wait()
    good, said = await by_grpc({"port": port}, "127.0.0.1")
    assert (good, "UNAVAILABLE" in said) == (False, True)
