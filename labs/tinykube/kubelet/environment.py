"""A container's environment: literal values, fields of its pod, entries of ConfigMaps.

Genuine counterpart: makeEnvironmentVariables of the kubelet, and its third_party/forked/golang/expansion.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

from tinykube.machinery.objects import Object, annotations, dig, labels, name, namespace, uid

FIELDS: dict[str, Callable[[Object], str]] = {
    "metadata.name": name, "metadata.namespace": namespace, "metadata.uid": uid,
    "spec.nodeName": lambda pod: str(pod["spec"].get("nodeName", "")),
    "spec.serviceAccountName": lambda pod: str(pod["spec"].get("serviceAccountName", "")),
}
MAP_ENTRY = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
VARIABLE = re.compile(r"\$(\$|\(([^()]*)\))")
ConfigMaps = Callable[[str], Awaitable[Object | None]]


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


async def config_value(pod: Object, ref: Object, config_maps: ConfigMaps) -> str | None:
    """One entry of a ConfigMap; None if it may be missing and is."""
    found = await config_maps(ref["name"])
    if found is None and not ref.get("optional"):
        raise ConfigError(f'configmap "{ref["name"]}" not found')
    value = dig(found, "data", ref["key"])
    if value is None and not ref.get("optional"):
        raise ConfigError(f"couldn't find key {ref['key']} in ConfigMap {namespace(pod)}/{ref['name']}")
    return value if value is None else str(value)


async def environment(pod: Object, container: Object, addresses: Mapping[str, str],
                      config_maps: ConfigMaps) -> dict[str, str]:
    """All variables of a container, in order, so that a later one may refer to an earlier one."""
    known: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        ref = source.get("configMapRef")
        found = await config_maps(ref["name"]) if ref else None
        if ref and found is None and not ref.get("optional"):
            raise ConfigError(f'configmap "{ref["name"]}" not found')
        known |= {source.get("prefix", "") + key: value for key, value in dig(found, "data", default={}).items()}
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        value: str | None = expand(variable.get("value") or "", known)
        if "fieldRef" in source:
            value = field_value(pod, source["fieldRef"]["fieldPath"], addresses)
        elif "configMapKeyRef" in source:
            value = await config_value(pod, source["configMapKeyRef"], config_maps)
        elif source:
            raise ConfigError(f"env {variable['name']}: {', '.join(source)} is not supported by this kubelet")
        if value is not None:
            known[variable["name"]] = value
    return known
