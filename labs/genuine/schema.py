"""Makes tinykube's tables of facts from the genuine ones: schemas, table columns, protobuf field numbers.

    python -m genuine.schema            asks a genuine control plane, writes labs/tinykube/api/data/*.json
    python -m genuine.schema --check    asks it too, and says whether the files are still what it answers

Schemas come from the genuine api-server's OpenAPI v3, columns from the Tables it prints. Protobuf field numbers are
in no document that it serves: they stand in the struct tags of Go modules such as k8s.io/api and k8s.io/apimachinery,
which `go mod download` fetches, so only a developer who writes that file needs Go.
"""
from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinykube.client.kubeconfig import load

from genuine.resources import asker, resources

DATA = Path(__file__).parents[1] / "tinykube" / "api" / "data"
PACKAGES = {                             # short name: module, folder, the apiVersion of its kinds
    "core": "k8s.io/api core/v1 v1", "meta": "k8s.io/apimachinery pkg/apis/meta/v1 meta.k8s.io/v1",
    **{name: f"k8s.io/api {name}/v1 {group}/v1" for name, group in {
        "apps": "apps", "batch": "batch", "autoscaling": "autoscaling", "policy": "policy",
        "networking": "networking.k8s.io", "discovery": "discovery.k8s.io", "rbac": "rbac.authorization.k8s.io",
        "coordination": "coordination.k8s.io", "events": "events.k8s.io", "storage": "storage.k8s.io",
        "scheduling": "scheduling.k8s.io", "certificates": "certificates.k8s.io",
        "authentication": "authentication.k8s.io", "authorization": "authorization.k8s.io",
        "admissionregistration": "admissionregistration.k8s.io", "node": "node.k8s.io",
        "flowcontrol": "flowcontrol.apiserver.k8s.io", "storagemigration": "storagemigration.k8s.io"}.items()},
    "scheduling3": "k8s.io/api scheduling/v1alpha3 scheduling.k8s.io/v1alpha3",
    "autoscaling2": "k8s.io/api autoscaling/v2 autoscaling/v2", "devices": "k8s.io/api resource/v1 resource.k8s.io/v1",
    "apiextensions": "k8s.io/apiextensions-apiserver pkg/apis/apiextensions/v1 apiextensions.k8s.io/v1",
    "apiregistration": "k8s.io/kube-aggregator pkg/apis/apiregistration/v1 apiregistration.k8s.io/v1",
}
SPECIAL = {"resource.Quantity": "quantity", "meta.Time": "time", "meta.MicroTime": "microtime",
           "intstr.IntOrString": "intstr", "meta.FieldsV1": "raw", "meta.Duration": "duration",
           "runtime.RawExtension": "raw", "apiextensions.JSON": "raw", "apiextensions.JSONSchemaPropsOrBool": "schema or bool",
           "apiextensions.JSONSchemaPropsOrArray": "schema or list",
           "apiextensions.JSONSchemaPropsOrStringArray": "schema or texts"}
ALSO = ["core.Binding", "policy.Eviction", "autoscaling.Scale", "authentication.TokenRequest", "meta.DeleteOptions",
        "meta.Status", "meta.PartialObjectMetadata", "meta.PartialObjectMetadataList", "apiextensions.JSONSchemaProps"]
NUMBERS = {"int": "int", "int32": "int", "int64": "int", "uint32": "int", "uint64": "int", "bool": "bool",
           "float64": "double", "string": "string", "types.UID": "string", "types.NodeName": "string", "[]byte": "bytes"}

Fetch = Callable[..., Any]


def schemas(fetch: Fetch) -> dict[str, Any]:
    """Every schema of every group version that is served, as the genuine OpenAPI v3 documents have them."""
    found: dict[str, Any] = {}
    for path in fetch("/openapi/v3")["paths"]:
        if re.fullmatch(r"api/v1|apis/[^/]+/[^/]+", path):
            found |= fetch(f"/openapi/v3/{path}")["components"]["schemas"]
    return dict(sorted(found.items()))


def references(node: Any) -> Iterator[str]:
    """Each `$ref` anywhere below `node`."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def columns(fetch: Fetch) -> dict[str, Any]:
    """The column definitions of each resource's Table, by plural; of two groups with one plural, the first counts."""
    accept, found = "application/json;as=Table;v=v1;g=meta.k8s.io", dict[str, Any]()
    places = ["api/v1", *(f"apis/{version['groupVersion']}" for group in fetch("/apis")["groups"]
                          for version in group["versions"])]
    for where in places:
        for name in (each["name"] for each in fetch(f"/{where}")["resources"] if "list" in each["verbs"]):
            if name not in found:
                found[name] = fetch(f"/{where}/{name}?limit=1", accept)["columnDefinitions"]
    return dict(sorted(found.items()))


def protobuf(version: str) -> dict[str, Any]:
    """Field numbers, JSON names and presence rules by message, read from the Go modules' struct tags."""
    sources = {short: go_source(short, version) for short in PACKAGES}
    named = {f"{short}.{name}": qualify(target, short) for short, text in sources.items()
             for name, target in re.findall(r"^type (\w+) (?:= )?((?:map\[\w+\]|\[\])?[\w.]+)$", text, re.M)}
    messages: dict[str, Any] = {}
    waiting = [*ALSO, *roots(sources)]
    while waiting:
        name = waiting.pop()
        if name in messages:
            continue
        short, struct = name.split(".")
        body = re.search(rf"^type {struct} struct ?{{\n(.*?)^}}|^type {struct} struct ?{{()}}", sources[short], re.M | re.S)
        if not body:
            raise LookupError(f"no struct {name}: add its package to PACKAGES or its name to SPECIAL")
        messages[name] = dict(fields_of(body[1] or "", short, named))
        waiting += [f[1] for f in messages[name].values() if "." in f[1]]
    packages = {where.split()[2]: short for short, where in PACKAGES.items()}
    return {"packages": packages, **dict(sorted(messages.items()))}


def roots(sources: dict[str, str]) -> Iterator[str]:
    """The message of each kind in the table of resources, and of a list of them."""
    shorts = {where.split()[2]: short for short, where in PACKAGES.items()}
    for name, row in json.loads((DATA / "resources.json").read_text()).items():
        if name != "origin":
            for kind in (row["kind"], row["kind"] + "List"):
                if f"\ntype {kind} struct" in sources[shorts[name.split()[0]]]:
                    yield f"{shorts[name.split()[0]]}.{kind}"


def go_source(short: str, version: str) -> str:
    """The text of one package's types, fetched by the Go tool chain, other packages called by their short names."""
    module, package, _ = PACKAGES[short].split()
    with tempfile.TemporaryDirectory() as empty:
        out = subprocess.run(["go", "mod", "download", "-json", f"{module}@{version}"], cwd=empty, check=True,
                             capture_output=True, text=True).stdout
    folder = Path(json.loads(out)["Dir"]) / package
    return "\n".join(renamed(p.read_text()) for p in sorted(folder.glob("*.go")) if not p.name.startswith("zz_")
                     and "generated" not in p.name and not p.name.endswith("_test.go"))


def renamed(text: str) -> str:
    """A Go file with its imports' aliases (`corev1.`, `v1.`) replaced by the short names of PACKAGES."""
    shorts = {"/".join(where.split()[:2]): short for short, where in PACKAGES.items()}
    for alias, path in re.findall(r'^(?:import)?\s+(\w+ )?"(k8s.io/[^"]+)"', text, re.M):
        if path in shorts:
            text = re.sub(rf"\b{alias.strip() or path.rsplit('/', 1)[1]}\.(?=[A-Z])", f"{shorts[path]}.", text)
    return text


def fields_of(body: str, short: str, named: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """(number, [JSON name, type, how]) of one struct; how is keep, omit, pointer, list, map or inline."""
    line = re.compile(r'^\s+(?:\w+ )?\s*(\S+)\s+`json:"([^"]*)".* ?protobuf:"\w+,(\d+)[^"]*"`', re.M)
    for go_type, tag, number in line.findall(body):
        if go_type.startswith("//"):
            continue
        json_name, _, options = tag.partition(",")
        how = "omit" if "omitempty" in options or "omitzero" in options else "keep"
        if not json_name:
            how = "inline"
        if go_type.startswith("*"):
            go_type, how = go_type[1:], "pointer"
        kind = named.get(go_type if "." in go_type else f"{short}.{go_type}", "") or qualify(go_type, short)
        if kind.startswith("map["):
            kind, how = kind.split("]", 1)[1], "map"
            kind = "texts" if named.get(kind, kind) == "[]string" else kind
        elif kind.startswith("[]") and kind != "[]byte":
            kind, how = kind[2:], "list"
        kind = SPECIAL.get(kind, kind)
        while named.get(kind, kind) != kind:
            kind = named[kind]
        yield number, [json_name, NUMBERS.get(kind, kind), how]


def qualify(go_type: str, short: str) -> str:
    """`go_type` with its package: a plain name belongs to `short`, metav1 is meta."""
    parts = re.fullmatch(r"((?:map\[[\w.]+\]|\[\])*)([\w.]+)", go_type)
    assert parts, f"a Go type that this script can't read: {go_type}"
    head, element = parts.groups()
    if element == "byte":
        return go_type
    known = "." in element or element in NUMBERS
    return head + (element if known else f"{short}.{element}")


def written(table: dict[str, Any], origin: str) -> str:
    """The file's text: where it comes from, then one entry a line, so that a diff shows what changed."""
    lines = [f'"origin": {json.dumps(origin)}']
    lines += [f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in table.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_server(fetch: Fetch, kubeconfig: str | Path) -> dict[str, str]:
    """The texts of the files that a genuine api-server alone can vouch for, by file name."""
    version = fetch("/version")["gitVersion"].split("+")[0]
    origin = f"kube-apiserver {version}, {{}}; Copyright The Kubernetes Authors, Apache-2.0"
    return {"resources.json": written(resources(asker(kubeconfig)), origin.format("discovery, and one object of each kind")),
            "schemas.json": written(schemas(fetch), origin.format("GET /openapi/v3/...")),
            "columns.json": written(columns(fetch), origin.format("Tables of each resource"))}


def fetcher(kubeconfig: str | Path) -> Fetch:
    """fetch(path, accept) -> JSON from the server of a kubeconfig's current context."""
    access = load(kubeconfig)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                         urllib.request.HTTPSHandler(context=access.tls()))

    def fetch(path: str, accept: str = "application/json") -> Any:
        headers = {"Accept": accept} | ({"Authorization": f"Bearer {access.token}"} if access.token else {})
        with opener.open(urllib.request.Request(access.url + path, headers=headers), timeout=30) as answer:
            return json.load(answer)
    return fetch


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m genuine.schema", description=str(__doc__).split("\n")[0])
    parser.add_argument("--kubeconfig", help="of a genuine cluster; without it a control plane is started")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    options = parser.parse_args(arguments)
    if options.kubeconfig:
        return refresh(options.kubeconfig, options.check)
    from genuine import control_plane
    with control_plane() as plane:
        return refresh(plane.kubeconfig, options.check)


def refresh(kubeconfig: str | Path, check: bool) -> int:
    """Write (or with `check` compare) the data files; 0 when all is well."""
    fetch = fetcher(kubeconfig)
    files = from_server(fetch, kubeconfig)
    if not check:
        version = "v0." + fetch("/version")["gitVersion"].split("+")[0].removeprefix("v1.")
        modules = "k8s.io/{api,apimachinery,apiextensions-apiserver,kube-aggregator}"
        origin = f"struct tags of Go modules {modules} {version}"
        files["protobuf.json"] = written(protobuf(version), f"{origin}; Copyright The Kubernetes Authors, Apache-2.0")
    stale = [name for name, text in files.items() if not (DATA / name).exists() or (DATA / name).read_text() != text]
    for name in stale:
        print(f"{name}: {'differs from what the server answers' if check else 'written'}")
        if not check:
            (DATA / name).write_text(files[name])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
