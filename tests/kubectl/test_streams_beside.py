"""What tiny and genuine say when a conversation can't be had: the api-server answers, before any kubelet is asked."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bookkit import kubectl

OBJECTS = """
apiVersion: v1
kind: Node
metadata: {name: mute}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: default}
---
apiVersion: v1
kind: Pod
metadata: {name: lone}
spec:
  containers: [{name: main, image: x}, {name: another, image: x}]
  initContainers: [{name: zero, image: x}]
---
apiVersion: v1
kind: Pod
metadata: {name: placed}
spec: {nodeName: mute, containers: [{name: main, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: lost}
spec: {nodeName: nowhere, containers: [{name: main, image: x}]}
---
apiVersion: v1
kind: Service
metadata: {name: svc}
spec: {ports: [{port: 80, name: http}], selector: {a: b}}
"""
PATHS = [
    "pods/lone/exec", "pods/lone/exec?container=main&command=a&stdout=1", "pods/lone/exec?container=nobody",
    "pods/placed/exec", "pods/placed/exec?command=a", "pods/lost/exec?command=a&stdout=1", "pods/none/exec",
    "pods/lone/attach", "pods/lone/attach?container=main&stdout=true", "pods/placed/attach", "pods/lone/portforward",
    "pods/placed/portforward", "pods/placed/portforward?ports=99999999999", "pods/placed/portforward?ports=x",
    "pods/lone/log", "pods/lone/log?container=main", "pods/lone/log?container=nobody", "pods/lone/log?container=zero",
    "pods/lone/log?container=main&tailLines=-1", "pods/placed/log", "pods/lost/log", "pods/none/log",
    "pods/placed/log?limitBytes=0&tailLines=-3", "pods/placed/log?sinceSeconds=0", "pods/placed/log?follow=x",
    "pods/placed/log?sinceSeconds=5&sinceTime=2020-01-01T00:00:00Z", "pods/placed/log?tailLines=x",
    "pods/placed/log?stream=Stdout", "pods/lone/proxy/", "pods/lone:80/proxy/", "pods/placed/proxy/x",
    "pods/none/proxy/", "pods/a:b:c:d/proxy/", "services/svc/proxy/", "services/svc:http/proxy/a",
    "services/svc:80/proxy/", "services/none/proxy/", "services/https:svc:http/proxy/", "services/a:b:c:d/proxy/",
    "nodes/mute/proxy/healthz", "nodes/none/proxy/healthz", "nodes/mute:10/proxy/healthz",
]


@pytest.fixture(scope="module")
def both(tiny: Path, plane: Any) -> list[Path]:
    made = []
    for kubeconfig in (tiny, plane.kubeconfig):
        kubectl("create -f -", kubeconfig, input=OBJECTS, quiet=True)
        made.append(Path(kubeconfig))
    return made


def said(kubeconfig: Path, words: str) -> tuple[int, str, str]:
    done = kubectl(words, kubeconfig, quiet=True)
    return done.status, str(done), done.stderr


@pytest.mark.parametrize("path", PATHS)
def test_the_same_refusal(both: list[Path], path: str) -> None:
    path = path if path.startswith("nodes") else f"namespaces/default/{path}"
    ours, theirs = (said(kubeconfig, f"get --raw '/api/v1/{path}'") for kubeconfig in both)
    assert ours == theirs


@pytest.mark.parametrize("words", [
    "exec lone -- true", "exec lone -c nobody -- true", "exec placed -- true", "exec lost -- true", "exec none -- true",
    "attach lone", "attach placed", "attach lone -c nobody", "port-forward lone :80", "logs lone -c nobody", "logs lone",
    "logs placed", "logs lost", "logs placed --tail=-5", "logs none", "logs placed --since=5s --since-time=2020-01-01T00:00:00Z",
    "cp none:/x /nowhere/x", "cp lone:/x /nowhere/x"])
def test_the_same_words_to_a_user(both: list[Path], words: str) -> None:
    ours, theirs = (said(kubeconfig, words) for kubeconfig in both)
    assert ours == theirs
