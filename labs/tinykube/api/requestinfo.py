"""What a request is about, read from its method and path alone: verb, resource, namespace, name.

Genuine counterpart: RequestInfo in k8s.io/apiserver/pkg/endpoints/request.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
OF_COLLECTIONS = {"get": "list", "delete": "deletecollection"}


@dataclass(frozen=True)
class RequestInfo:
    """A request in the words of the API. `resource` is empty for paths that are not about objects."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@lru_cache(maxsize=4096)
def request_info(method: str, path: str, watch: bool = False) -> RequestInfo:
    """Read a path such as /api/v1/namespaces/default/pods/web/status."""
    verb = VERBS.get(method, method.lower())
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        group, version, rest = "", "".join(parts[1:2]), parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 2:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(verb)
    if rest[:1] == ["watch"]:                    # the old form of ?watch=true, which some clients still use
        watch, rest = True, rest[1:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    rest = rest[:3] if rest[2:3] == ["proxy"] else rest      # what follows is a path of somebody else's
    resource, name, subresource = (*rest[:2], "/".join(rest[2:]), "", "")[:3] if len(rest) > 1 else (*rest, "", "", "")[:3]
    if not name or watch:
        verb = "watch" if watch and verb == "get" else OF_COLLECTIONS.get(verb, verb)
    return RequestInfo(verb, group, version, resource, namespace, name, subresource)
