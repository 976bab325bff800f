"""The lab images: what their descriptions say holds, in Docker and without."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import requests
import yaml
from genuine import DockerRun, images
from genuine.docker import DockerProblem, docker_client, remove_labeled
from genuine.find import docker_problem

needs_docker = pytest.mark.skipif(bool(docker_problem()), reason=docker_problem() or "Docker is here")
MANIFESTS = Path(images.FOLDER).parent / "manifests"


def test_descriptions_are_well_formed() -> None:
    assert images.names() == ["box", "web"]
    assert images.load_metadata("web").references() == ["kubernetes-by-hand/web:1", "kubernetes-by-hand/web:2"]
    assert images.load_metadata("web").env("2") == {"PATH": "/bin", "VERSION": "2"}
    assert all(isinstance(command, str) for command in images.load_metadata("box").settings["commands"])
    with pytest.raises(ValueError, match=r"no image is described in .*; there are box, web"):
        images.load_metadata("nothing")


def test_manifests_use_images_that_exist() -> None:
    known = {reference for name in images.names() for reference in images.load_metadata(name).references()}
    for path in MANIFESTS.glob("*.yaml"):
        for used in re.findall(r'\bimage: "?([^"}\s]+)', path.read_text()):
            assert used in known or used.startswith("registry.invalid/"), f"{path.name}: {used}"
        assert all(document["kind"] for document in yaml.safe_load_all(path.read_text())), path.name


def test_dynamic_programs_and_other_files_are_no_busybox() -> None:
    assert images.static_machine(b"#!/bin/sh") == ""
    assert images.static_machine(Path(sys.executable).resolve().read_bytes()) == ""


@needs_docker
def test_the_same_content_gives_the_same_bytes() -> None:
    web = images.load_metadata("web")
    first, second = images.archive(web, "1"), images.archive(web, "1")
    assert first == second
    assert images.archive(web, "2")[0] != first[0]
    with tarfile.open(fileobj=io.BytesIO(first[1])) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert manifest["RepoTags"] == ["kubernetes-by-hand/web:1"]
    assert len(manifest["Layers"]) == 2


@needs_docker
def test_images_are_built_once() -> None:
    assert images.ensure() == images.ensure()


@needs_docker
def test_every_command_of_the_box_is_there() -> None:
    images.ensure(["box"])
    commands = images.load_metadata("box").settings["commands"]
    with DockerRun("test-images") as run:
        script = ["sh", "-c", "busybox --list; echo ---; ls /bin"]
        told = run.client.containers.run("kubernetes-by-hand/box:1", script, remove=True, labels=run.labels).decode()
    known, linked = (part.split() for part in told.split("---\n"))
    assert set(commands) <= set(known)
    assert set(commands) | {"busybox"} == set(linked)


@needs_docker
def test_the_web_server_of_the_image() -> None:
    images.ensure(["web"])
    with DockerRun("test-web") as run:
        container = run.client.containers.run(
            "kubernetes-by-hand/web:2", hostname="web-7", ports={"8080/tcp": ("127.0.0.1", None)}, labels=run.labels, detach=True,
        )  # fmt: skip
        container.reload()
        check_web(f"http://127.0.0.1:{container.ports['8080/tcp'][0]['HostPort']}")
        container.kill(signal="TERM")
        assert container.wait(timeout=30)["StatusCode"] == 0
        assert container.logs() == b"web 2 serving on port 8080\n"
        assert run.containers(all=True) == [container]
    assert remove_labeled(run.name) == []


def test_the_web_server_without_a_container() -> None:
    environment = {**os.environ, "HOSTNAME": "web-7", "VERSION": "2", "ADDRESS": "127.0.0.1", "PORT": "0"}
    command = [sys.executable, str(images.FOLDER / "web/web.py")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        *words, port = process.stdout.readline().split()
        assert " ".join(words) == "web 2 serving on port"
        check_web(f"http://127.0.0.1:{port}")
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()


def check_web(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert requests.get(url, timeout=5).text == "web 2 on web-7\n"
            break
        except requests.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert requests.get(f"{url}/healthz", timeout=5).text == "ok\n"
    assert requests.get(f"{url}/nothing", timeout=5).status_code == 404


@needs_docker
def test_containers_go_with_their_killed_owner() -> None:
    images.ensure(["box"])
    code = """
import time
from genuine import DockerRun
run = DockerRun("test-killed")
run.client.containers.run("kubernetes-by-hand/box:1", ["sleep", "600"], labels=run.labels, detach=True)
run.client.volumes.create(run.name, labels=run.labels)
print(run.name, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    name = process.stdout.readline().strip()
    client, chosen = docker_client(), {"label": f"kubernetes-by-hand={name}"}
    try:
        assert len(client.containers.list(filters=chosen)) == 1  # type: ignore[arg-type]
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while client.containers.list(all=True, filters=chosen) or client.volumes.list(filters=chosen):  # type: ignore[arg-type]
            assert time.monotonic() < deadline, "the container is still there"
            time.sleep(0.1)
    finally:
        process.stdout.close()
        remove_labeled(name, client)


def test_no_daemon_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(DockerProblem, match=r"no Docker daemon answers at .*: start it"):
        docker_client()
