"""The Docker runtime: the same promises as the process runtime, kept by containers."""
# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 (what is waited for here are processes and files, which tell nobody)
from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tinykube.runtime.interface import (
    EXITED,
    NOT_READY,
    READY,
    RUNNING,
    Container,
    ContainerConfig,
    CriError,
    PodSandboxConfig,
    remove_everything,
)

docker = pytest.importorskip("docker")
from tinykube.runtime.docker import DockerRuntime  # noqa: E402

BOX = "kubernetes-by-hand/box:1"
SLEEP = "trap 'exit 0' TERM; echo up; while :; do sleep 0.2; done"


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    try:
        docker.from_env().ping()
    except Exception as error:
        pytest.skip(f"no Docker: {error}")
    images = pytest.importorskip("genuine.images")
    images.ensure()


def containers(directory: Path) -> list[str]:
    """Every container that mentions the directory."""
    found = docker.from_env().containers.list(all=True, filters={"label": f"tinykube.runtime={directory}"},
                                              ignore_removed=True)
    return [one.id for one in found]


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[DockerRuntime]:
    made = DockerRuntime(tmp_path)
    await made.start()
    yield made
    await made.close()
    assert containers(tmp_path) == []


async def run(runtime: DockerRuntime, log_directory: Path, script: str, **more: object) -> Container:
    pod = await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1", 0, str(log_directory)))
    assert pod.state == READY
    assert pod.ip
    container = await runtime.create_container(
        pod.id, ContainerConfig("web", BOX, command=["sh", "-c", script], log_path="web/0.log", **more))
    await runtime.start_container(container)
    return await runtime.container_status(container)


async def up(runtime: DockerRuntime, log_directory: Path) -> Container:
    """A container that runs and has said so: from then on it hears signals as it wants to."""
    container = await run(runtime, log_directory, SLEEP)
    await log(container, 1)
    return container


async def ended(runtime: DockerRuntime, container: Container) -> Container:
    async with asyncio.timeout(60):
        while (now := await runtime.container_status(container.id)).state != EXITED:
            await asyncio.sleep(0.05)
    return now


async def log(container: Container, lines: int) -> list[str]:
    """The log once it has so many lines, without their times."""
    path = Path(container.log_path)
    async with asyncio.timeout(60):
        while len(path.read_text().splitlines()) < lines:
            await asyncio.sleep(0.05)
    return sorted(line.split(" ", 1)[1] for line in path.read_text().splitlines())


async def test_run_log_and_end(runtime, tmp_path):
    container = await ended(runtime, await run(runtime, tmp_path, "echo $HOSTNAME $A; echo err >&2; exit 3", envs={"A": "1"}))
    assert (container.exit_code, container.reason) == (3, "Error")
    assert 0 < container.created_at <= container.started_at      # Docker notes the end of a short run before its start
    assert container.created_at <= container.finished_at
    assert await log(container, 2) == ["stderr F err", "stdout F web 1"]


async def test_containers_of_a_pod_share_one_network(runtime, tmp_path):
    first = await run(runtime, tmp_path, "httpd -f -p 8099 -h /")
    second = await runtime.create_container(first.sandbox_id, ContainerConfig(
        "other", BOX, command=["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8099/bin/true; do sleep 0.1; done"]))
    await runtime.start_container(second)
    assert (await ended(runtime, await runtime.container_status(second))).exit_code == 0


async def test_wrong_command_and_wrong_image(runtime, tmp_path):
    pod = await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1", 0, str(tmp_path)))
    container = await runtime.create_container(pod.id, ContainerConfig("web", BOX, command=["no-such-command"]))
    with pytest.raises(CriError, match="executable file not found in"):
        await runtime.start_container(container)
    now = await runtime.container_status(container)
    assert (now.state, now.exit_code, now.reason) == (EXITED, 128, "StartError")
    assert await runtime.image_status("registry.invalid/nothing:1") is None
    with pytest.raises(CriError, match="failed to pull"):
        await runtime.pull_image("registry.invalid/nothing:1")


async def test_events_tell_of_ends_and_a_dead_sandbox_is_seen(runtime, tmp_path):
    heard = asyncio.ensure_future(anext(event async for event in runtime.container_events()
                                        if event.type == "CONTAINER_STOPPED_EVENT"))
    await asyncio.sleep(0)
    container = await run(runtime, tmp_path, "exit 0")
    assert (await asyncio.wait_for(heard, 60)).pod_uid == "uid-1"
    docker.from_env().containers.get(container.sandbox_id).kill()
    async with asyncio.timeout(60):
        while (await runtime.list_pod_sandbox())[0].state != NOT_READY:
            await asyncio.sleep(0.05)


async def test_a_second_runtime_takes_up_the_pods_of_the_first(tmp_path):
    first = DockerRuntime(tmp_path, keep=True)
    await first.start()
    running = await up(first, tmp_path / "logs")
    await first.close()
    second = DockerRuntime(tmp_path, keep=True)
    await second.start()
    try:
        assert (await second.container_status(running.id)).state == RUNNING
        await second.stop_container(running.id, 30)
        assert (await second.container_status(running.id)).exit_code == 0
        assert await log(running, 1) == ["stdout F up"]
    finally:
        assert await remove_everything(second) == 1
        await second.close()


OWNER = """
import asyncio, sys
from tinykube.runtime.interface import *
from tinykube.runtime.docker import DockerRuntime
async def main():
    runtime = DockerRuntime(sys.argv[1])
    await runtime.start()
    await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1"))
    print("up", flush=True)
    await asyncio.sleep(999)
asyncio.run(main())
"""


async def test_a_killed_owner_takes_its_containers_along(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"up\n"
    assert len(containers(tmp_path)) == 1
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    async with asyncio.timeout(60):
        while containers(tmp_path):
            await asyncio.sleep(0.1)


async def test_without_docker_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    runtime = DockerRuntime(tmp_path)
    with pytest.raises(CriError, match=r"Docker does not answer .* Start it, or use the process runtime"):
        await runtime.start()
    await runtime.close()


async def test_what_containers_use(runtime: DockerRuntime, tmp_path: Path) -> None:
    busy = await run(runtime, tmp_path, "while :; do :; done")
    async with asyncio.timeout(60):
        while not (found := await runtime.list_container_stats()) or found[0].cpu < 300_000_000:
            await asyncio.sleep(0.1)
    assert [(each.container_id, each.started_at) for each in found] == [(busy.id, busy.started_at)]
    assert 10_000 < found[0].memory < 100_000_000
    assert found[0].at > busy.started_at
