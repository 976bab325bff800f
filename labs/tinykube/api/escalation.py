"""Nobody gives away what they don't have: who writes a role or a binding has to hold each of its rules.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from tinykube.api.admission import Admit, Change
from tinykube.api.authorization import MASTERS, Attributes, Authorizer
from tinykube.api.rbac import GROUP, Rbac, permits, problem
from tinykube.machinery.errors import forbidden, not_found
from tinykube.machinery.objects import Object

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer


def escalation(rbac: Rbac, decide: Authorizer) -> Admit:
    """An admission plugin that refuses roles and bindings which would give more than their writer has."""
    async def no_escalation(server: ApiServer, change: Change) -> None:
        obj, old = change.object, change.old or {}
        if change.resource.group != GROUP or obj is None or MASTERS in change.user.groups:
            return
        aspects = ("rules", "aggregationRule") if "rules" in obj or obj["kind"].endswith("Role") else ("roleRef", "subjects")
        if old and all(old.get(each) == obj.get(each) for each in aspects):
            return
        plural, name, verb = change.resource.plural, change.name, "escalate"
        if "roleRef" in aspects:
            plural, name, verb = f"{obj['roleRef']['kind'].lower()}s", obj["roleRef"]["name"], "bind"
        if (await decide(Attributes(change.user, verb, "", GROUP, plural, "", change.namespace, name)))[0]:
            return
        lacking = Attributes(change.user, "*", "", "*", "*")
        if obj.get("aggregationRule") and not (await decide(lacking))[0]:
            raise forbidden(plural, name, "must have cluster-admin privileges to use the aggregationRule", GROUP)
        given = await role_rules(rbac, obj, change) if verb == "bind" else obj.get("rules") or []
        if why := excess(rbac, change, given):
            raise forbidden(change.resource.plural, change.name, why, GROUP)
    return no_escalation


async def role_rules(rbac: Rbac, binding: Object, change: Change) -> list[Object]:
    """The rules that a binding would give. Raises ApiError 404 if there is no such role."""
    kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
    found = await rbac.server.registry(f"{kind.lower()}s", GROUP).find(change.namespace if kind == "Role" else "", name)
    if found is None:
        raise not_found(change.resource.plural, name, GROUP)
    return rbac.rules_of(found.obj)


def excess(rbac: Rbac, change: Change, rules: list[Object]) -> str:
    """What the rules would give beyond what the writer has, as a sentence; or ''."""
    grants = list(rbac.grants_of(change.user, change.namespace))
    held = [rule for grant in grants for rule in grant.rules]
    missing: dict[str, list[str]] = {}
    for given in (each for rule in rules for each in single(rule, change)):
        if not any(permits(rule, given) for rule in held):
            verbs = missing.setdefault(shown(given), [])
            if given.verb not in verbs:
                verbs.append(given.verb)
    if not missing:
        return ""
    listed = sorted(f"{{{what.split(chr(0))[0]}, Verbs:{quoted(verbs)}}}" for what, verbs in missing.items())
    broken = problem((grant.missing.replace("clusterrole.", "role.").replace("role.", "roles.") for grant in grants), "")
    return (f"user {json.dumps(change.user.name)} (groups={quoted(change.user.groups)}) is attempting to grant RBAC "
            "permissions not currently held:\n" + "\n".join(listed) + (f"; resolution errors: [{broken}]" if broken else ""))


def single(rule: Object, change: Change) -> Iterator[Attributes]:
    """The single permissions that a rule is made of."""
    user, verbs = change.user, rule.get("verbs") or []
    names = rule.get("resourceNames") or [""]
    for group, resource, name, verb in product(rule.get("apiGroups") or [], rule.get("resources") or [], names, verbs):
        plural, _, part = resource.partition("/")
        yield Attributes(user, verb, "", group, plural, part, "", name)
    for url, verb in product(rule.get("nonResourceURLs") or [], verbs):
        yield Attributes(user, verb, url)


def shown(one: Attributes) -> str:
    """A permission without its verb, as the genuine server writes it. Those on paths are told apart by their verbs."""
    if not one.resource:
        return f"NonResourceURLs:{quoted([one.path])}\0{one.verb}"
    names = f", ResourceNames:{quoted([one.name])}" if one.name else ""
    return f"APIGroups:{quoted([one.group])}, Resources:{quoted([one.part])}{names}"


def quoted(texts: list[str] | tuple[str, ...]) -> str:
    """A list as Go prints it."""
    return f"[{' '.join(json.dumps(each, ensure_ascii=False) for each in texts)}]"
