"""The process runtime: what a kubelet relies on, run for real."""
# ruff: noqa: ASYNC110, ASYNC220 (what is waited for here are processes and files, which tell nobody)
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
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
from tinykube.runtime.process import ProcessRuntime

BOX = "kubernetes-by-hand/box:1"
SLEEP = "trap 'exit 0' TERM; echo up; while :; do sleep 0.2; done"


def processes(marker: str) -> list[str]:
    """Every process whose command line or environment mentions the marker, but this one."""
    lines = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if marker in line and line.split()[0] != str(os.getpid()) and " ps axe" not in line]


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    made = ProcessRuntime(tmp_path / "run")
    await made.start()
    yield made
    await made.close()
    assert list((tmp_path / "run").iterdir()) == []
    assert processes(str(tmp_path)) == []


async def run(runtime: ProcessRuntime, script: str | list[str], image: str = BOX, **more: object) -> Container:
    """A container in a pod of its own, started."""
    pod = await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1"))
    command = ["sh", "-c", script] if isinstance(script, str) else script
    container = await runtime.create_container(pod.id, ContainerConfig("web", image, command=command, **more))
    await runtime.start_container(container)
    return await runtime.container_status(container)


async def until(met: Callable[[], object]) -> None:
    """Look again and again, with a limit: what is looked at are files and processes, which tell nobody."""
    async with asyncio.timeout(60):
        while not met():
            await asyncio.sleep(0.02)


async def up(runtime: ProcessRuntime, script: str) -> Container:
    """A container that runs and has said so: from then on it hears signals as it wants to."""
    container = await run(runtime, script)
    await until(lambda: Path(container.log_path).exists() and log(container))
    return container


async def ended(runtime: ProcessRuntime, container: Container) -> Container:
    async with asyncio.timeout(30):
        await runtime.pod_of(container.id).until(container.id, lambda now: now.state == EXITED)
    return await runtime.container_status(container.id)


def log(container: Container) -> list[tuple[str, str, str]]:
    """The log as (stream, tag, text); every line begins with a time."""
    lines = [line.split(" ", 3) for line in Path(container.log_path).read_text().splitlines()]
    assert all(line[0].endswith("Z") and len(line[0]) == 30 for line in lines)
    return [(line[1], line[2], line[3]) for line in lines]


@pytest.mark.parametrize(("script", "code", "reason"), [
    ("exit 0", 0, "Completed"), ("exit 3", 3, "Error"), ("kill -9 $$", 137, "Error"), ("kill -TERM $$", 143, "Error")])
async def test_an_end_is_told_as_the_genuine_one_tells_it(runtime, script, code, reason):
    container = await ended(runtime, await run(runtime, script))
    assert (container.exit_code, container.reason) == (code, reason)
    assert container.created_at <= container.started_at <= container.finished_at


async def test_log_keeps_streams_apart_and_marks_lines_in_part(runtime):
    long = 20_000
    container = await ended(runtime, await run(
        runtime, f"echo out; echo err >&2; head -c {long} /dev/zero | tr '\\0' x; echo; printf unfinished"))
    lines = log(container)
    assert ("stderr", "F", "err") in lines
    out = [(tag, text) for stream, tag, text in lines if stream == "stdout"]
    assert out == [("F", "out"), ("P", "x" * 16384), ("F", "x" * (long - 16384)), ("P", "unfinished")]


async def test_environment_working_directory_and_arguments(runtime, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    pod = await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1"))
    container = await runtime.create_container(pod.id, ContainerConfig(
        "web", BOX, args=["sh", "-c", "pwd; echo $HOSTNAME $GREETING $SECRET_OF_THE_HOST."], working_dir="/srv/data",
        envs={"GREETING": "hello"}))
    await runtime.start_container(container)
    lines = log(await ended(runtime, await runtime.container_status(container)))
    assert lines[0][2].endswith(f"{container}/rootfs/srv/data")
    assert lines[1][2] == "web hello ."


@pytest.mark.parametrize(("command", "text"), [
    (["no-such-command"], 'exec: "no-such-command": executable file not found in $PATH'),
    (["/no/such"], 'exec: "/no/such": stat /no/such: no such file or directory'),
    (["python3"], 'exec: "python3": executable file not found in $PATH')])
async def test_wrong_command_cannot_be_started(runtime, command, text):
    pod = await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1"))
    container = await runtime.create_container(pod.id, ContainerConfig("web", BOX, command=command))
    with pytest.raises(CriError, match="unable to start container process") as error:
        await runtime.start_container(container)
    assert str(error.value).endswith(text)
    now = await runtime.container_status(container)
    assert (now.state, now.exit_code, now.reason, now.started_at) == (EXITED, 128, "StartError", 0)


async def test_unknown_image(runtime):
    assert await runtime.image_status("kubernetes-by-hand/web") is None       # there is no tag latest
    assert await runtime.image_status("docker.io/kubernetes-by-hand/web:2")
    with pytest.raises(CriError, match=r'failed to pull and unpack image "docker.io/library/nginx:latest"'):
        await runtime.pull_image("nginx")
    with pytest.raises(CriError, match="invalid reference format"):
        await runtime.image_status("UPPER:::")


async def test_stop_asks_first_and_then_kills(runtime):
    polite = await up(runtime, SLEEP)
    await runtime.stop_container(polite.id, 30)
    assert (await runtime.container_status(polite.id)).exit_code == 0
    deaf = await up(runtime, "trap '' TERM; echo up; while :; do sleep 0.2; done")
    began = time.monotonic()
    await runtime.stop_container(deaf.id, 0.3)
    assert time.monotonic() - began >= 0.3
    assert (await runtime.container_status(deaf.id)).exit_code == 137


async def test_what_a_container_leaves_behind_is_ended_with_its_pod(runtime, tmp_path):
    container = await ended(runtime, await run(
        runtime, f"sleep 987 & {'setsid ' if sys.platform == 'linux' else ''}sleep 988 & echo started",
        envs={"MARK": str(tmp_path)}))
    assert container.exit_code == 0
    await runtime.stop_pod_sandbox(container.sandbox_id)
    assert processes(str(tmp_path)) == []


async def test_the_death_of_a_shim_is_noticed_and_its_containers_do_not_run_on(runtime, tmp_path):
    container = await run(runtime, SLEEP)
    pod = runtime.pod(container.sandbox_id)
    os.kill(pod.process.pid, signal.SIGKILL)
    await asyncio.wait_for(pod.gone.wait(), 30)
    assert (await runtime.list_pod_sandbox())[0].state == NOT_READY
    assert (await runtime.container_status(container.id)).exit_code == 137


async def test_a_second_runtime_takes_up_the_pods_of_the_first(tmp_path):
    first = ProcessRuntime(tmp_path / "run", keep=True)
    await first.start()
    running, done = await up(first, SLEEP), await run(first, "exit 4")
    await ended(first, done)
    await first.close()
    second = ProcessRuntime(tmp_path / "run", keep=True)
    await second.start()
    try:
        assert [pod.state for pod in await second.list_pod_sandbox()] == [READY, READY]
        assert (await second.container_status(running.id)) == running
        assert (await second.container_status(running.id)).state == RUNNING
        assert (await second.container_status(done.id)).exit_code == 4
        await second.stop_container(running.id, 30)
        assert (await second.container_status(running.id)).exit_code == 0
    finally:
        assert await remove_everything(second) == 2
        await second.close()
    assert processes(str(tmp_path)) == []


async def test_a_container_that_ends_while_nobody_looks_is_known_later(tmp_path):
    first = ProcessRuntime(tmp_path / "run", keep=True)
    await first.start()
    container = await run(first, "sleep 0.3; exit 5")
    state = first.pod_of(container.id).directory / container.id / "state.json"
    await first.close()
    await until(lambda: "EXITED" in state.read_text())
    second = ProcessRuntime(tmp_path / "run", keep=True)
    await second.start()
    assert (await second.container_status(container.id)).exit_code == 5
    await remove_everything(second)


OWNER = """
import asyncio, sys
from tinykube.runtime.interface import *
from tinykube.runtime.process import ProcessRuntime
async def main():
    runtime = ProcessRuntime(sys.argv[1], keep=sys.argv[2] == "keep")
    await runtime.start()
    pod = await runtime.run_pod_sandbox(PodSandboxConfig("web", "default", "uid-1"))
    one = await runtime.create_container(pod.id, ContainerConfig("web", "kubernetes-by-hand/box:1", args=["sleep", "999"]))
    await runtime.start_container(one)
    print("up", flush=True)
    await asyncio.sleep(999)
asyncio.run(main())
"""


@pytest.mark.parametrize("keep", [True, False])
async def test_a_killed_owner_takes_its_pods_along_unless_they_are_to_be_kept(tmp_path, keep):
    directory = tmp_path / "run"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(directory), "keep" if keep else "die"], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"up\n"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    if keep:
        await asyncio.sleep(0.3)
        assert len(processes(str(directory))) == 2
        heir = ProcessRuntime(directory, keep=True)
        await heir.start()
        assert [one.state for one in await heir.list_containers()] == [RUNNING]
        assert await remove_everything(heir) == 1
    await until(lambda: not processes(str(directory)) and (keep or not directory.exists()))


async def test_what_containers_use(runtime: ProcessRuntime) -> None:
    busy = await run(runtime, "(while :; do :; done) & while :; do :; done")
    idle = await run(runtime, ["sleep", "1000"])
    over = await run(runtime, "exit 0")

    async def used() -> dict[str, tuple[float, int, int]]:
        return {each.container_id: (each.at, each.cpu, each.memory) for each in await runtime.list_container_stats()}
    first = await used()
    async with asyncio.timeout(60):
        while (await used())[busy.id][1] < first.get(busy.id, (0, 0, 0))[1] + 500_000_000:      # half a second of work
            await asyncio.sleep(0.1)
        while (await runtime.container_status(over.id)).state == RUNNING:
            await asyncio.sleep(0.1)
    found = await used()
    assert found.keys() == {busy.id, idle.id}
    assert found[idle.id][1] < 200_000_000
    assert all(100_000 < memory < 100_000_000 for _, _, memory in found.values())
