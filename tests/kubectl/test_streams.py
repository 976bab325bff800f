"""The real kubectl talks to containers of a tiny cluster: exec, attach, cp, port-forward, logs, run -i, debug, proxy."""
from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bookkit.tiers import missing
from tinykube.cluster import Background, Cluster, background

from tests.behaviour.target import KUBECTL, wait

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("kubectl-streams")]

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: web, image: "kubernetes-by-hand/web:1", ports: [{containerPort: 8080}]}
  - {name: side, image: "kubernetes-by-hand/box:1",
     command: [sh, -c, "trap 'exit 0' TERM; echo one; echo two; while :; do sleep 0.2; done"]}
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: echo, image: "kubernetes-by-hand/box:1", command: [cat], stdin: true}]
---
apiVersion: v1
kind: Pod
metadata: {name: once}
spec:
  restartPolicy: Never
  containers: [{name: once, image: "kubernetes-by-hand/box:1", command: [echo, done]}]
"""
MARK = "4321"                    # seconds of a sleep that no one else would choose


class Tiny:
    """A cluster, and the real kubectl pointed at it."""

    def __init__(self, cluster: Background) -> None:
        self.cluster = cluster
        self.start = [KUBECTL, "--kubeconfig", str(cluster.kubeconfig)]

    def __call__(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self.start, *words], input=stdin, capture_output=True, timeout=60)

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.start, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module", params=["process", "docker"])
def tiny(request: pytest.FixtureRequest) -> Iterator[Tiny]:
    if request.param == "docker":
        if problems := missing("docker"):
            pytest.skip(problems[0])
        pytest.importorskip("genuine.images").ensure()
    with background(Cluster(1, runtime=request.param, seed=os.getpid())) as cluster:
        tiny = Tiny(cluster)
        assert tiny("apply", "-f", "-", stdin=PODS.encode()).returncode == 0
        cluster.wait("pod/web Ready")
        cluster.wait("pod/echo Ready")
        cluster.wait("pod/once Succeeded")
        yield tiny


def running(words: str) -> list[str]:
    """The processes with these words in their command line."""
    found = subprocess.run(["ps", "axww", "-o", "pid=,command="], capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if words in line and "kubectl" not in line and "shim.py" not in line]


def test_a_command_has_its_outputs_and_its_exit_code(tiny: Tiny) -> None:
    done = tiny("exec", "web", "-c", "side", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.returncode) == (b"out\n", 3)
    assert done.stderr == b"err\ncommand terminated with exit code 3\n"
    assert tiny("exec", "web", "--", "true").stderr == b'Defaulted container "web" out of: web, side\n'


def test_input_reaches_it_and_ends(tiny: Tiny) -> None:
    assert tiny("exec", "-i", "web", "-c", "side", "--", "cat", stdin=b"a\0b\xff").stdout == b"a\0b\xff"
    assert tiny("exec", "web", "-c", "side", "--", "cat", stdin=b"not asked for").stdout == b""


def test_ten_megabytes_both_ways(tiny: Tiny) -> None:
    data = os.urandom(10 << 20)
    assert tiny("exec", "-i", "web", "-c", "side", "--", "cat", stdin=data).stdout == data


@pytest.mark.parametrize(("words", "says"), [
    (["exec", "web", "-c", "nobody", "--", "true"], b"error: container nobody is not valid for pod web out of: web, side\n"),
    (["exec", "nobody", "--", "true"], b'Error from server (NotFound): pods "nobody" not found\n'),
    (["exec", "once", "--", "true"], b"cannot exec into a container in a completed pod; current phase is Succeeded\n"),
    (["attach", "once"], b"cannot attach a container in a completed pod; current phase is Succeeded\n"),
    (["port-forward", "once", ":80"], b"unable to forward port because pod is not running. Current status=Succeeded\n"),
])
def test_wrong_input_is_named(tiny: Tiny, words: list[str], says: bytes) -> None:
    failed = tiny(*words)
    assert failed.returncode == 1
    assert failed.stderr.endswith(says)


def test_a_command_that_is_not_there(tiny: Tiny) -> None:
    failed = tiny("exec", "web", "-c", "side", "--", "no-such-command")
    assert failed.returncode in (1, 126)          # Docker has started something by then, and says it as an exit code
    assert b'"no-such-command": executable file not found in $PATH' in failed.stdout + failed.stderr


def test_a_terminal(tiny: Tiny) -> None:
    """A person's terminal and the command's are one: it has a name, a size, and Ctrl-C."""
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    script = "trap 'echo interrupted; exit 5' INT; tty; while :; do sleep 0.1; done"
    client = subprocess.Popen([*tiny.start, "exec", "-it", "web", "-c", "side", "--", "sh", "-c", script],
                              stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    assert "/dev/pts/" in read_until(ours, "/dev/pts/")
    os.write(ours, b"\x03")
    assert "interrupted" in read_until(ours, "interrupted")
    assert client.wait(30) == 5
    os.close(ours)


def read_until(fd: int, words: str) -> str:
    text, end = "", time.monotonic() + 30
    while words not in text and time.monotonic() < end and select.select([fd], [], [], 30)[0]:
        text += os.read(fd, 4096).decode(errors="replace")
    return text


def test_a_killed_client_leaves_nothing_behind(tiny: Tiny) -> None:
    client = tiny.begin("exec", "-i", "web", "-c", "side", "--", "sleep", MARK)
    wait(lambda: running(f"sleep {MARK}"), "the command to run")
    client.kill()
    client.communicate()
    wait(lambda: not running(f"sleep {MARK}"), "the command to be gone")
    assert tiny("exec", "web", "-c", "side", "--", "true").returncode == 0


def test_a_client_that_does_not_read_holds_up_nobody(tiny: Tiny) -> None:
    client = tiny.begin("exec", "web", "-c", "side", "--", "yes", MARK)
    wait(lambda: running(f"yes {MARK}"), "the command to run")
    assert tiny("exec", "web", "-c", "side", "--", "echo", "still here").stdout == b"still here\n"
    client.kill()
    client.communicate()
    wait(lambda: not running(f"yes {MARK}"), "the command to be gone")


def test_files_are_copied_both_ways(tiny: Tiny, tmp_path: Path) -> None:
    there = "copies" if tiny.cluster.cluster.runtime == "process" else "/copies"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "big").write_bytes(data := os.urandom(3 << 20))
    (tmp_path / "a" / "small").write_text("small\n")
    assert tiny("cp", str(tmp_path / "a"), f"web:{there}", "-c", "side").returncode == 0
    assert tiny("cp", f"web:{there}", str(tmp_path / "b"), "-c", "side").returncode == 0
    assert (tmp_path / "b" / "big").read_bytes() == data
    assert (tmp_path / "b" / "small").read_text() == "small\n"
    tiny("cp", f"web:{there}/nothing", str(tmp_path / "c"), "-c", "side")      # kubectl may or may not say what tar said
    assert not (tmp_path / "c").exists()


def test_attach_sees_what_is_said_from_now_on_and_says_what_is_typed(tiny: Tiny) -> None:
    client = tiny.begin("attach", "-i", "echo")
    assert client.stdin
    assert client.stdout
    told = b""
    while b"hello" not in told:                    # until we are attached, nobody reads what we type to us
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        if select.select([client.stdout], [], [], 0.5)[0]:
            told += os.read(client.stdout.fileno(), 4096)
    client.kill()
    client.communicate()
    assert b"hello" in tiny("logs", "echo").stdout
    assert tiny.cluster.get("pod/echo")["status"]["phase"] == "Running"


def test_run_with_input_passes_on_output_and_exit_code(tiny: Tiny) -> None:
    done = tiny("run", "typed", "--rm", "-i", "--restart=Never", "--image=kubernetes-by-hand/box:1", "--",
                "sh", "-c", "read word; echo got $word; sleep 0.3; exit 7", stdin=b"this\n")
    assert b"got this\n" in done.stdout
    assert done.returncode == 7


@pytest.fixture
def forwarded(tiny: Tiny) -> Iterator[Any]:
    """Ports of this machine that lead to ports of the pod."""
    clients = []

    def start(port: int) -> tuple[subprocess.Popen[bytes], str]:
        client = tiny.begin("port-forward", "web", f":{port}")
        clients.append(client)
        assert client.stdout
        found = re.search(rb"127.0.0.1:(\d+) ->", client.stdout.readline())
        assert found, client.communicate()
        return client, f"http://127.0.0.1:{found[1].decode()}"
    yield start
    for client in clients:
        client.kill()
        client.communicate()


def test_a_port_is_forwarded(tiny: Tiny, forwarded: Any) -> None:
    client, url = forwarded(8080)
    for _ in range(5):
        with urllib.request.urlopen(url, timeout=30) as page:
            assert page.read() == b"web 1 on web\n"
    client.send_signal(signal.SIGINT)
    assert client.wait(30) == 0


def test_nobody_at_the_port_is_told(tiny: Tiny, forwarded: Any) -> None:
    client, url = forwarded(9)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(url, timeout=30)
    client.terminate()
    assert b"error forwarding port 9 to pod" in client.communicate()[1]


def test_logs_with_all_flags(tiny: Tiny) -> None:
    side = ["logs", "web", "-c", "side"]
    assert tiny(*side).stdout == b"one\ntwo\n"
    assert tiny(*side, "--tail=1").stdout == b"two\n"
    assert tiny(*side, "--limit-bytes=5").stdout == b"one\nt"
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\S+Z one\n\S+ two\n", tiny(*side, "--timestamps").stdout)
    assert tiny(*side, "--since=1h").stdout == b"one\ntwo\n"
    assert tiny(*side, "--since-time=2126-01-01T00:00:00Z").stdout == b""
    assert b"previous terminated container" in tiny(*side, "--previous").stderr
    labelled = tiny("logs", "-l", "app=web", "--all-containers", "--prefix").stdout    # kubectl takes the containers in any order
    assert sorted(labelled.splitlines()) == [b"[pod/web/side] one", b"[pod/web/side] two",
                                             b"[pod/web/web] web 1 serving on port 8080"]


def test_logs_are_followed_until_the_container_ends(tiny: Tiny) -> None:
    script = "echo first; sleep 0.5; echo last"
    assert tiny("run", "short", "--restart=Never", "--image=kubernetes-by-hand/box:1", "--", "sh", "-c", script).returncode == 0
    tiny.cluster.wait("pod/short", lambda pod: pod and pod["status"]["phase"] in ("Running", "Succeeded"))
    assert tiny("logs", "-f", "short").stdout == b"first\nlast\n"


def test_pods_and_nodes_are_reached_through_the_api_server(tiny: Tiny) -> None:
    pods = "/api/v1/namespaces/default/pods"
    assert tiny("get", "--raw", f"{pods}/web:8080/proxy/").stdout == b"web 1 on web\n"
    assert tiny("get", "--raw", f"{pods}/web/proxy/healthz").stdout == b"ok\n"
    assert tiny("get", "--raw", "/api/v1/nodes/node-1/proxy/healthz").stdout == b"ok"
    assert b"(ServiceUnavailable): error trying to reach service" in tiny("get", "--raw", f"{pods}/web:9/proxy/").stderr
    client = tiny.begin("proxy", "--port=0")
    assert client.stdout
    url = client.stdout.readline().decode().split()[-1]
    with urllib.request.urlopen(f"http://{url}{pods}/web:8080/proxy/", timeout=30) as page:
        assert page.read() == b"web 1 on web\n"
    client.terminate()
    client.communicate()


def test_who_may_not_exec_is_told(tiny: Tiny) -> None:
    failed = tiny("exec", "web", "--as=nobody", "--as-group=system:authenticated", "--", "true")
    assert failed.returncode == 1
    assert b'cannot get resource "pods" in API group' in failed.stderr


def test_a_service_is_one_of_its_endpoints(tiny: Tiny) -> None:
    address = tiny.cluster.get("pod/web")["status"]["podIP"]
    objects = f"""
apiVersion: v1
kind: Service
metadata: {{name: front}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: front-1, labels: {{kubernetes.io/service-name: front}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{{addresses: [{address}]}}, {{addresses: [127.9.9.9], conditions: {{ready: false}}}}]
"""
    assert tiny("apply", "-f", "-", stdin=objects.encode()).returncode == 0
    services = "/api/v1/namespaces/default/services"
    for name in ("front", "front:http", "front:80", "http:front:http"):
        assert tiny("get", "--raw", f"{services}/{name}/proxy/").stdout == b"web 1 on web\n"
    assert b"no endpoints available" in tiny("get", "--raw", f"{services}/front:https/proxy/").stderr
