"""Makes tinykube's table of resources by asking a genuine api-server: what it serves, and how it treats each kind.

Discovery tells names, verbs and subresources. What it does not tell is tried out with one object of each kind
(labs/manifests/one-of-each.yaml): does it count generations, may a PUT create, what does a DELETE answer with, under
which key does the object lie in the store?
"""
from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tinykube.client.kubeconfig import load

ONE_OF_EACH = Path(__file__).parents[1] / "manifests" / "one-of-each.yaml"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
EMPTY = {"group": "", "version": ""}


class Reply(NamedTuple):
    code: int
    body: dict[str, Any]
    warning: str


Ask = Callable[..., Reply]


def asker(kubeconfig: str | Path) -> Ask:
    """ask(method, path, body, accept) -> what the server of a kubeconfig answers, errors included."""
    access = load(kubeconfig)
    context: ssl.SSLContext | None = access.tls()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def ask(method: str, path: str, body: Any = None, accept: str = "application/json") -> Reply:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        request = urllib.request.Request(access.url + path, json.dumps(body).encode() if body else None, headers,
                                         method=method)
        try:
            with opener.open(request, timeout=30) as answer:
                return Reply(answer.status, json.load(answer), answer.headers.get("Warning", ""))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, json.loads(error.read() or b"{}"), error.headers.get("Warning", ""))
    return ask


def resources(ask: Ask) -> dict[str, Any]:
    """The table: "apps/v1 deployments" -> kind, scope, names, verbs, subresources, and how the kind is treated."""
    table: dict[str, Any] = {}
    for path in ("/api", "/apis"):
        for group in ask("GET", path, accept=AGGREGATED).body["items"]:
            for version in group["versions"]:
                where = "/".join(part for part in (group["metadata"].get("name", ""), version["version"]) if part)
                table |= {f"{where} {each['resource']}": row(each) for each in version["resources"]}
                plain = ask("GET", f"{path}/{where}").body["resources"]
                for each in (each for each in plain if "storageVersionHash" in each):
                    table[f"{where} {each['name']}"]["hash"] = each["storageVersionHash"]
    for name, probed in probe(ask, table):
        table[name] |= probed
    return table


def row(found: dict[str, Any]) -> dict[str, Any]:
    """One resource, without what goes without saying."""
    kind = found["responseKind"]["kind"]
    assert found["singularResource"] == kind.lower(), found
    made = {"kind": kind, "namespaced": found["scope"] == "Namespaced"}
    if found["verbs"] != ALL_VERBS:
        made["verbs"] = found["verbs"]
    below = {each["subresource"]: {"verbs": each["verbs"]} | each["responseKind"]
             for each in found.get("subresources", [])}
    below = {name: {key: value for key, value in sub.items() if value} for name, sub in below.items()}
    extras = {"shortNames": found.get("shortNames"), "categories": found.get("categories"), "subresources": below}
    return made | {key: value for key, value in extras.items() if value}


def probe(ask: Ask, table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one object of each kind shows of how its kind is treated."""
    objects = {(each["apiVersion"], each["kind"]): each for each in yaml.safe_load_all(ONE_OF_EACH.read_text())}
    made: list[tuple[str, str, dict[str, Any]]] = []
    for (version, kind), obj in objects.items():
        name = next(n for n, entry in table.items() if n.split()[0] == version and entry["kind"] == kind)
        path = collection(name, table[name]["namespaced"])
        created = ask("POST", path, obj)
        assert created.code == 201, (name, created)
        yield name, with_warning({"prefix": prefix(ask, path, created.body)}, created.warning)
        if "status" in created.body:
            status = created.body["status"].items()
            yield name, {"status": {field: value for field, value in status if not field.endswith("Time")}}
        made.append((name, path, created.body))
    for name, path, obj in reversed(made):
        yield name, {"facts": sorted(facts(ask, path, obj))}
    for name in set(table) - {name for name, _, _ in made}:
        if "list" in table[name].get("verbs", ALL_VERBS):
            yield name, with_warning({}, ask("GET", collection(name, table[name]["namespaced"])).warning)


def collection(name: str, namespaced: bool) -> str:
    """The path of a resource's objects."""
    version, plural = name.split()
    return f"/api{'s' if '/' in version else ''}/{version}{'/namespaces/default' if namespaced else ''}/{plural}"


def with_warning(entry: dict[str, Any], header: str) -> dict[str, Any]:
    """`entry` with the text of a Warning header, if it is about the kind."""
    text = re.fullmatch(r'299 - "(v\S+ \w+ is deprecated in .*)"', header)
    return entry | {"warning": text[1]} if text else entry


def prefix(ask: Ask, path: str, obj: dict[str, Any]) -> str:
    """The key below which a kind is stored: the server names it to who mistakes one object for another of its name."""
    other = deepcopy(obj)
    other["metadata"]["uid"] = "other"
    answer = ask("PUT", f"{path}/{obj['metadata']['name']}", other)
    key = re.search(r"Key: (\S+), ResourceVersion", answer.body["message"])
    assert key, answer
    ending = "/".join(obj["metadata"][part] for part in ("namespace", "name") if part in obj["metadata"])
    return key[1].removesuffix(ending)


def facts(ask: Ask, path: str, obj: dict[str, Any]) -> Iterator[str]:
    """Which of the strategy's switches are on; the object is gone afterwards."""
    name = obj["metadata"]["name"]
    if "generation" in obj["metadata"]:
        yield "counts_generations"
    other = deepcopy(obj)
    other["metadata"] |= {"name": name + "x"}
    for field in ("uid", "resourceVersion"):
        other["metadata"].pop(field)
    if ask("PUT", f"{path}/{name}x", other).code != 404:
        yield "create_on_update"
        ask("DELETE", f"{path}/{name}x")
    other["metadata"] |= {"name": name, "finalizers": []}
    put = ask("PUT", f"{path}/{name}", other)
    assert put.code in (200, 409, 422), put
    if put.code == 200:
        yield "unconditional_update"
    else:
        ask("PUT", f"{path}/{name}", other | {"metadata": obj["metadata"] | {"finalizers": []}})
    if ask("DELETE", f"{path}/{name}", {"propagationPolicy": "Background"}).body["kind"] != "Status":
        yield "returns_deleted"
    ask("PUT", f"{path}/{name}/finalize", {"metadata": {"name": name}, "spec": {"finalizers": []}})   # a namespace's
