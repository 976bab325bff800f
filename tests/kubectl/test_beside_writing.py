"""The commands that write, as transcripts of a shell: every line to tiny and to genuine, with the same words back.

writing/*.txt hold the transcripts: a line `== name` begins one, what follows is a shell's, run where writing/files are.
Each transcript has a namespace of its own, and a copy of the files for each of the two. Tier genuine.
"""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from bookkit import run

from tests.kubectl.conftest import a_plane
from tests.kubectl.test_beside import SANITIZE
from tests.seats.access import tiny_side

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("beside-writing")]
WRITING = Path(__file__).parent / "writing"
Sides = dict[str, Path]
# what differs from run to run, beside what test_beside.py takes out
MORE = [(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<TOKEN>"), (r"\b10\.96\.\d+\.\d+\b", "<ADDRESS>"), (r"\b3[0-2]\d{3}\b", "<PORT>"),
        # that a watch was ended together with its client: whether kubectl says so is a matter of milliseconds
        (r"[EWI]\d{4} [\d:.]+ +(\d+|<PORT>) reflector\.go.*\n", ""), (r"[EWI]\d{4} [\d:.]+ +(\d+|<PORT>)", "<LOGGED>"),
        (r"(resourceVersion\"?: ?\"?)\d+", r"\1<RV>"), (r"<invalid>", "<AGE>"),
        (r"(resource version to be 1, was )\d+", r"\1<RV>"), (r'(\\"resourceVersion\\":\\")\d+', r"\1<RV>")]

# What the genuine server says more: a pattern that is taken out of its words, and why it is not in ours.
KNOWN = {
    r"(?<=previously negative\)\n)@@ (.*\n)+?(?=exit status)": "a diff of its internal types, which no client ever sees otherwise",
    r"warning: error calculating patch from openapi spec: .*\n": "our OpenAPI v2 has no paths: kubectl does not try again with it",
    r'(?<="Scale", "metadata": \{"creationTimestamp": "<TIME>", )"managedFields": \[.*?\], ':
        "who owns a scale, which is shown in a refused patch alone",
}


def transcripts() -> dict[str, list[str]]:
    """The lines of each transcript, by its name; a line that ends in a backslash goes on in the next."""
    found: dict[str, list[str]] = {}
    for file in sorted(WRITING.glob("*.txt")):
        for line in file.read_text().replace("\\\n", "").splitlines():
            if line.startswith("== "):
                found[line.removeprefix("== ")] = lines = []
            elif line and not line.startswith("#"):
                lines.append(line)
    return found


TRANSCRIPTS = transcripts()


@pytest.fixture(scope="module")
def sides() -> Iterator[Sides]:
    """The kubeconfigs of a tiny and a genuine api-server, as administrator."""
    for plane in a_plane():
        with tiny_side() as tiny:
            yield {"tiny": tiny.kubeconfig("admin"), "genuine": plane.kubeconfig}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_same_words(name: str, sides: Sides, tmp_path: Path) -> None:
    namespace = re.sub(r"\W+", "-", name)
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda side: said(TRANSCRIPTS[name], namespace, sides[side], tmp_path / side), sides)
    different = [f"$ {line}\n--- tiny\n{mine}\n--- genuine\n{other}"
                 for line, mine, other in zip(TRANSCRIPTS[name], ours, theirs, strict=True) if mine != without_known(other)]
    assert not different, "\n\n".join(different)


def said(lines: list[str], namespace: str, kubeconfig: Path, folder: Path) -> list[str]:
    """What each line printed, and how it ended, in a new namespace of one server."""
    shutil.copytree(WRITING / "files", folder)
    config = yaml.safe_load(kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    mine = folder / ".kubeconfig"
    mine.touch(mode=0o600)
    mine.write_text(yaml.safe_dump(config))
    environment = {"KUBECONFIG": str(mine), "KUBECACHEDIR": str(kubeconfig.parent / "kubectl-cache"), "KUBE_EDITOR": "false"}
    run(f"kubectl create namespace {namespace}", env=environment, quiet=True, check=True)
    return [settled(run(f"cd {folder}; {line}", env=environment, quiet=True)) for line in lines]


def settled(result: object) -> str:
    """What was said, without what differs from run to run."""
    words = f"{result}{result.stderr}exit status {result.status}"  # type: ignore[attr-defined]
    for pattern, word in [*SANITIZE, *MORE]:
        words = re.sub(pattern, word, words)
    # the genuine server finds the mistakes of an applied object in an order of its own each time: 53 of 60 times in ours
    words = re.sub(r"(?<=errors:\n)( \..*\n)+", lambda found: "".join(sorted(found[0].splitlines(keepends=True))), words)
    words = re.sub(r'(?<=patch: Invalid value: )"(\\.|[^"\\])*"', lambda found: sorted_object(str(json.loads(found[0]))), words)
    return re.sub(r'^{".*}(?=(exit status \d+)?$)', lambda found: sorted_object(found[0]), words, flags=re.M)


def sorted_object(text: str) -> str:
    """JSON of which the order of fields is free, in one order; other texts as they are."""
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def without_known(words: str) -> str:
    """The genuine server's words without those that we know to be more."""
    for pattern in KNOWN:
        words = re.sub(pattern, "", words)
    return words


def test_enough_is_compared() -> None:
    assert sum(line.count("kubectl ") for lines in TRANSCRIPTS.values() for line in lines) >= 300
