"""A container's environment: literal values, fields of its pod, entries of ConfigMaps.

Genuine counterpart: makeEnvironmentVariables of the kubelet, and its third_party/forked/golang/expansion.
"""

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterable, Mapping

from tinykube.machinery.objects import Object, annotations, dig, labels, name, namespace, uid
from tinykube.machinery.quantity import milli, whole

FIELDS: dict[str, Callable[[Object], str]] = {
    "metadata.name": name, "metadata.namespace": namespace, "metadata.uid": uid,
    "spec.nodeName": lambda pod: str(pod["spec"].get("nodeName", "")),
    "spec.serviceAccountName": lambda pod: str(pod["spec"].get("serviceAccountName", "")),
}
MAP_ENTRY = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
VARIABLE = re.compile(r"\$(\$|\(([^()]*)\))")
REFERENCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
KEYS = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
NOTHING: Mapping[str, str] = {}
Objects = Callable[[str, str], Awaitable[Object | None]]         # kind and name, in the pod's namespace


class ConfigError(Exception):
    """The container can't be made as its spec says, and the spec or what it refers to has to change."""


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace each $(NAME) that is known; $$ is a dollar sign, and what is unknown stays as it is."""
    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else known.get(match[2], match[0])
    return VARIABLE.sub(value, text)


def field_value(pod: Object, path: str, addresses: Mapping[str, str]) -> str:
    """What the downward API says for a field path."""
    if path in addresses:
        return addresses[path]
    entry = MAP_ENTRY.fullmatch(path)
    if entry:
        return (labels(pod) if entry[1] == "labels" else annotations(pod)).get(entry[2], "")
    if path not in FIELDS:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return FIELDS[path](pod)


async def entry_of(pod: Object, kind: str, ref: Object, objects: Objects) -> str | None:
    """One entry of a ConfigMap or a Secret; None if it may be missing and is."""
    found = await objects(kind, ref["name"])
    if found is None and not ref.get("optional"):
        raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
    value = entries(found).get(ref["key"])
    if value is None and not ref.get("optional"):
        raise ConfigError(f"couldn't find key {ref['key']} in {kind} {namespace(pod)}/{ref['name']}")
    return None if value is None else value.decode(errors="replace")


def entries(found: Object | None) -> dict[str, bytes]:
    """What a ConfigMap or a Secret holds, as bytes."""
    if found is None:
        return {}
    if found["kind"] == "Secret":
        return {key: b64decode(value) for key, value in (found.get("data") or {}).items()}
    binary = {key: b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return {key: value.encode() for key, value in (found.get("data") or {}).items()} | binary


def resource_value(pod: Object, container: Object, ref: Object, allocatable: Mapping[str, str]) -> str:
    """An amount that a container asked for or may use at most, in units of the divisor; without a limit, the node's."""
    name = ref.get("containerName")
    found = next((each for each in pod["spec"]["containers"] if each["name"] == name), container)
    kind, _, what = ref["resource"].partition(".")
    asked = dig(found, "resources", kind, what) or (allocatable.get(what, "0") if kind == "limits" else "0")
    amount = milli(asked) if what == "cpu" else whole(asked) * 1000
    divisor = milli(ref.get("divisor") or "1") or 1000
    return str(-(-amount // divisor))


def service_variables(services: Iterable[Object], space: str, links: bool) -> dict[str, str]:
    """Where Services are: the api-server's always; those of a pod's own namespace, unless it wants none."""
    reachable = [each for each in services if dig(each, "spec", "clusterIP", default="") not in ("", "None")]
    master = {name(each): each for each in reachable if (namespace(each), name(each)) == ("default", "kubernetes")}
    own = {name(each): each for each in reachable if links and namespace(each) == space}
    found: dict[str, str] = {}
    for each in (master | own).values():
        prefix, host, ports = variable_name(name(each)), each["spec"]["clusterIP"], each["spec"].get("ports") or []
        for port in ports:
            number, kind = str(port["port"]), port.get("protocol", "TCP")
            url, mine = f"{kind.lower()}://{host}:{number}", f"{prefix}_PORT_{number}_{kind}"
            if port is ports[0]:
                found |= {f"{prefix}_SERVICE_HOST": host, f"{prefix}_SERVICE_PORT": number, f"{prefix}_PORT": url}
            if port.get("name"):
                found[f"{prefix}_SERVICE_PORT_{variable_name(port['name'])}"] = number
            found |= {mine: url, f"{mine}_PROTO": kind.lower(), f"{mine}_PORT": number, f"{mine}_ADDR": host}
    return found


def variable_name(text: str) -> str:
    """A name as variables are written."""
    return text.upper().replace("-", "_")


async def environment(pod: Object, container: Object, addresses: Mapping[str, str], objects: Objects,
                      allocatable: Mapping[str, str] = NOTHING, services: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """All variables of a container, in order, so that a later one may refer to an earlier one, and to those of Services."""
    known: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for field, kind in REFERENCES.items():
            if ref := source.get(field):
                found = await objects(kind, ref["name"])
                if found is None and not ref.get("optional"):
                    raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
                known |= {source.get("prefix", "") + key: value.decode(errors="replace")
                          for key, value in entries(found).items()}
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        value: str | None = expand(variable.get("value") or "", {**services, **known})
        if "fieldRef" in source:
            value = field_value(pod, source["fieldRef"]["fieldPath"], addresses)
        elif "resourceFieldRef" in source:
            value = resource_value(pod, container, source["resourceFieldRef"], allocatable)
        elif source:
            field, ref = next(iter(source.items()))
            if field not in KEYS:
                raise ConfigError(f"env {variable['name']}: {field} is not supported by this kubelet")
            value = await entry_of(pod, KEYS[field], ref, objects)
        if value is not None:
            known[variable["name"]] = value
    return {**services, **known}
