"""Role-based access control: rules in roles, roles bound to people, groups and service accounts.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinykube.api.authorization import Attributes
from tinykube.machinery.objects import Object, dig, new_uid, timestamp
from tinykube.machinery.selectors import selector_of
from tinykube.machinery.wire import User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer
    from tinykube.api.watch import WatchCache

GROUP = "rbac.authorization.k8s.io"
PLURALS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
POLICY: list[Object] = json.loads((Path(__file__).parent / "data" / "policy.json").read_text())["items"]


def permits(rule: Object, wanted: Attributes) -> bool:
    """Whether one rule allows it: each of its lists has to hold what is wanted, or a star."""
    if not holds(rule, "verbs", wanted.verb):
        return False
    if not wanted.resource:
        return any(wanted.path == url or (url.endswith("*") and wanted.path.startswith(url[:-1]))
                   for url in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames") or ()
    return (holds(rule, "apiGroups", wanted.group) and (not names or wanted.name in names)
            and (holds(rule, "resources", wanted.part)
                 or (bool(wanted.subresource) and f"*/{wanted.subresource}" in rule["resources"])))


def holds(rule: Object, field: str, value: str) -> bool:
    """Whether a list of a rule has the value, or a star."""
    listed = rule.get(field) or ()
    return value in listed or "*" in listed


@dataclass(frozen=True)
class Grant:
    """What one subject gets from one binding: rules, in one namespace or (with "") everywhere."""

    namespace: str
    rules: tuple[Object, ...]
    source: str                          # which binding, which role, which subject
    missing: str = ""                    # the role, if there is none of that name


class Rbac:
    """The authorizer. It reads roles and bindings from the server's caches, and indexes them by subject."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.grants: dict[tuple[str, str], list[Grant]] = {}
        self.as_of: tuple[int, ...] = ()

    async def start(self) -> None:
        """Follow roles and bindings, and see to it that those are there without which no component can work."""
        for obj in POLICY:
            registry = self.server.registry(f"{obj['kind'].lower()}s", GROUP)
            meta = obj["metadata"]
            if await registry.find(meta.get("namespace", ""), meta["name"]) is None:
                await registry.insert({**obj, "metadata": {
                    **meta, "uid": new_uid(self.server.random), "creationTimestamp": timestamp(self.server.clock)}})
        for plural in PLURALS:
            await self.cache(plural).start()

    async def decide(self, wanted: Attributes) -> tuple[bool, str]:
        """Whether a rule allows it, and which; else what is broken, if something is."""
        missing = []
        for grant in self.grants_of(wanted.user, wanted.namespace):
            if any(permits(rule, wanted) for rule in grant.rules):
                return True, f"RBAC: allowed by {grant.source}"
            missing.append(grant.missing)
        return False, problem(missing, "rbac: RBAC: ")

    def grants_of(self, user: User, namespace: str) -> Iterator[Grant]:
        """All that a user, or a group of theirs, has been granted: everywhere, and in this namespace."""
        now = tuple(self.cache(plural).revision for plural in PLURALS)
        if now != self.as_of:
            self.grants, self.as_of = index(*([r.obj for r in self.cache(p).state.values()] for p in PLURALS)), now
        for subject in (("User", user.name), *(("Group", group) for group in user.groups)):
            yield from (g for g in self.grants.get(subject, ()) if g.namespace in ("", namespace))

    def rules_of(self, role: Object) -> list[Object]:
        """The rules of a role, as they are now."""
        return rules_of(role, [record.obj for record in self.cache("clusterroles").state.values()])

    def cache(self, plural: str) -> WatchCache:
        """The server's cache of a resource of this group."""
        return self.server.caches[GROUP, plural]


def problem(missing: Iterable[str], prefix: str) -> str:
    """What to say of roles that are bound and do not exist."""
    found = list(dict.fromkeys(filter(None, missing)))
    return prefix + (found[0] if len(found) == 1 else f"[{', '.join(found)}]") if found else ""


def index(cluster_roles: list[Object], roles: list[Object], *bindings: list[Object]) -> dict[tuple[str, str], list[Grant]]:
    """All grants, by the subject that has them."""
    rules = {(role["kind"], dig(role, "metadata", "namespace", default=""), role["metadata"]["name"]):
             tuple(rules_of(role, cluster_roles)) for role in (*cluster_roles, *roles)}
    found: dict[tuple[str, str], list[Grant]] = {}
    for binding in (each for listed in bindings for each in listed):
        name, where, ref = binding["metadata"]["name"], binding["metadata"].get("namespace", ""), binding["roleRef"]
        role = ref["kind"], where if ref["kind"] == "Role" else "", ref["name"]
        missing = "" if role in rules else f'{ref["kind"].lower()}.{GROUP} "{ref["name"]}" not found'
        shown = f'{binding["kind"]} "{name}{"/" + where if where else ""}" of {ref["kind"]} "{ref["name"]}"'
        for subject in binding.get("subjects") or ():
            who, to = identity(subject, where)
            found.setdefault(who, []).append(Grant(where, rules.get(role, ()), f"{shown} to {to}", missing))
    return found


def identity(subject: Object, namespace: str) -> tuple[tuple[str, str], str]:
    """Whom a binding means: the key to find them by, and how to call them. A service account is a user, too."""
    kind, name = subject["kind"], subject["name"]
    if kind != "ServiceAccount":
        return (kind, name), f'{kind} "{name}"'
    home = subject.get("namespace") or namespace
    return ("User", f"system:serviceaccount:{home}:{name}"), f'{kind} "{name}/{home}"'


def rules_of(role: Object, cluster_roles: list[Object]) -> list[Object]:
    """The rules of a role. One that aggregates has those of all roles whose labels it selects."""
    if not dig(role, "aggregationRule"):
        return role.get("rules") or []
    wanted = [selector_of(each) for each in dig(role, "aggregationRule", "clusterRoleSelectors", default=[])]
    return [rule for each in cluster_roles if each["metadata"]["name"] != role["metadata"]["name"]
            and any(selector.matches(each["metadata"].get("labels") or {}) for selector in wanted)
            for rule in rules_of(each, [other for other in cluster_roles if other is not role])]
