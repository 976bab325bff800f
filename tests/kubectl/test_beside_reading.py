"""The commands that read, asked of a tiny and a genuine api-server that both know friend from stranger; tier genuine."""
from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from bookkit import kubectl
from bookkit.shell import program
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from genuine.probing import specimens

from tests.kubectl import reading
from tests.kubectl.conftest import a_plane
from tests.kubectl.test_beside import told
from tests.seats.access import tiny_side

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("beside-reading")]
Sides = tuple[Path, Path]
UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# what differs from run to run, beside what test_beside.py takes out
MORE = [(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<TOKEN>"), (r"X509SHA256=[0-9a-f]{64}", "<CREDENTIAL>"), (r"<invalid>", "<AGE>"),
        (r'(resourceVersion"?: ?"?)\d+', r"\1<RV>"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<TIME>"), (r"0x[0-9a-f]+\??", "<POINTER>"), (r"[EWI]\d{4} [\d:.]+ +\d+", "<LOGGED>"),
        # on a slow machine, kubectl notes in its log that a watch ended within a second
        (r"<LOGGED> reflector\.go.*\n", ""),
        (r"10\.96\.\d+\.\d+", "<ADDRESS>"), (r'"serverAddress":"[^"]*"', '"serverAddress":"<URL>"'),
        # an empty list is nothing in protobuf, in which a genuine server answers those who also take JSON
        (r'"items": \[\]', '"items": null'),
        (r"user-extra for \w+", "user-extra for <CONTEXT>")]


@pytest.fixture(scope="module")
def sides() -> Iterator[Sides]:
    """The kubeconfigs of a tiny and a genuine api-server, as administrator."""
    for plane in a_plane():
        with tiny_side() as tiny:
            yield tiny.kubeconfig("admin"), plane.kubeconfig


def a_request(name: str) -> str:
    """A request for a certificate, as a CertificateSigningRequest has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(Encoding.PEM)).decode()


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, reading.Asked]:
    """All that is asked, with the directory of files in its place."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in reading.FILES.items():
        (folder / name).write_text(text)
    found = reading.SCENARIOS | {"certificates": reading.certificates(a_request("ann"))}
    return {name: [(command.replace("@/", f"{folder}/"), text) for command, text in asked] for name, asked in found.items()}


def both(command: str, text: str, sides: Sides) -> list[str]:
    """What kubectl says to tiny and to genuine, asked at the same time."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda side: told(command, text, side), sides))
    return [settled(each) for each in found]


def settled(words: str) -> str:
    """What was said, without what differs from run to run. Of JSON in one line, the order of fields is free."""
    for pattern, word in MORE:
        words = re.sub(pattern, word, words)
    return "\n".join(json.dumps(json.loads(line), sort_keys=True) if line[:2] == '{"' else line for line in words.split("\n"))


def differences(asked: reading.Asked, sides: Sides) -> list[str]:
    """A text for each command to which the two say different things."""
    found = []
    for command, text in asked:
        ours, theirs = both(command, text, sides)
        if ours != theirs:
            found.append(f"$ kubectl {command}\n--- tiny\n{ours}\n--- genuine\n{theirs}")
    return found


@pytest.mark.parametrize("name", [*reading.SCENARIOS, "certificates"])
def test_the_same_words(name: str, scenarios: dict[str, reading.Asked], sides: Sides) -> None:
    both(f"create namespace {name}", "", sides)
    different = differences([(f"-n {name} {command}", text) for command, text in scenarios[name]], sides)
    assert not different, "\n\n".join(different)


ALIVE = "a controller inside the genuine api-server writes its status at once"
NOT_COMPARED = {
    "FlowSchema-full": ("", ALIVE), "APIService-v1.example.com": ("", ALIVE),
    "LimitRange-most": ("describe", "kubectl prints the rows of a Go map, in an order of its own each time")}


def called(obj: dict[str, Any]) -> str:
    return f"{obj['kind']}-{obj['metadata']['name']}"


# of each kind the last one, which says most
FULL = [each for each in {each["kind"]: each for each in specimens()}.values() if NOT_COMPARED.get(called(each), "x")[0]]


@pytest.mark.parametrize("obj", FULL, ids=called)
def test_each_kind_is_described(obj: dict[str, Any], sides: Sides) -> None:
    both("create namespace specimens", "", sides)
    version, _, group = obj["apiVersion"].rpartition("/")[::-1]
    name = f"{obj['kind']}.{version}.{group}/{obj['metadata']['name']}"
    asked = [("create -f -", yaml.safe_dump(obj)), (f"describe {name}", ""),
             (f"get {name} -o yaml --show-managed-fields", ""), (f"delete {name} --wait=false", "")]
    left_out = NOT_COMPARED.get(called(obj), ("nothing",))[0]
    different = differences([(f"-n specimens {command}", text) for command, text in asked if left_out not in command], sides)
    both(f"-n specimens patch {name} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'", "", sides)
    assert not different, "\n\n".join(different)


PROXIED = ("/api/v1/namespaces/default", "/api/v1/namespaces/default/pods/nobody", "/readyz",
           "/livez", "/api/v1/namespaces/default/pods/web/exec?command=ls",
           "/api/v1/namespaces/default/pods/web/attach", "/static/x", "/nothing")


def through_a_proxy(kubeconfig: Path, flags: str) -> list[Any]:
    """What `kubectl proxy` answers on some paths; it is started for this, and ended."""
    command = [str(program("kubectl")), "--kubeconfig", str(kubeconfig), "proxy", "--port=0", *flags.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout
            line = proxy.stdout.readline()
            url = f"http://{line.removeprefix('Starting to serve on ').strip()}"
            with requests.Session() as session:
                session.trust_env = False
                answers = [session.get(url + path, timeout=30) for path in PROXIED]
                return [line.split(":")[0], *((each.status_code, settled(re.sub(UID, "<UID>", each.text))) for each in answers)]
        finally:
            proxy.terminate()
            proxy.wait(timeout=30)


@pytest.mark.parametrize("flags", ["", "--reject-methods=GET", "--accept-paths=^/livez$", "--disable-filter", "--api-prefix=/k8s",
                                   "--www=/nowhere --www-prefix=/static"])
def test_proxy(flags: str, sides: Sides) -> None:
    ours, theirs = (through_a_proxy(side, flags) for side in sides)
    assert ours == theirs


@pytest.mark.parametrize("flags", ["--namespaces=dumped", "--namespaces=dumped -o yaml", "--namespaces=nowhere"])
def test_a_dump_has_the_same_files(flags: str, sides: Sides, tmp_path: Path) -> None:
    both("create namespace dumped", "", sides)
    both("-n dumped create -f -", reading.THINGS, sides)
    found = []
    for name, side in zip(("tiny", "genuine"), sides, strict=True):
        folder = tmp_path / name
        said = told(f"cluster-info dump {flags} --output-directory={folder}", "", side)
        files = {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
        found.append((said, [*files], files.get("dumped/pods.json", "").count('"name": "web"')))
    assert found[0] == found[1]


def test_version_has_the_same_fields(sides: Sides) -> None:
    """Who answers is another matter; what is said of it is the same."""
    ours, theirs = (json.loads(kubectl("get --raw /version", cluster=side, quiet=True)) for side in sides)
    assert [*ours] == [*theirs]
    shown = [yaml.safe_load(kubectl("version -o yaml", cluster=side, quiet=True)) for side in sides]
    assert [*shown[0]] == [*shown[1]]
    assert [*shown[0]["serverVersion"]] == [*shown[1]["serverVersion"]]
