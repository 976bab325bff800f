"""Evenly over zones and hosts: how far the counts of two places may be apart.

Genuine counterpart: kube-scheduler's plugin PodTopologySpread.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import NamedTuple

from tinykube.machinery.objects import Object, dig, namespace
from tinykube.machinery.selectors import LabelSelector, selector_of
from tinykube.scheduler.affinity import wanted_node
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.framework import Candidates, Change, Plugin
from tinykube.scheduler.index import with_label_keys
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo, likeness
from tinykube.scheduler.plugins import PASSED, Filter, Never, Reasons, Weighted, taint_toleration

HOST, ZONE, OUTSIDE = "kubernetes.io/hostname", "topology.kubernetes.io/zone", "(nodes that take no part)"
BUILT_IN: list[Object] = [{"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "ScheduleAnyway"}
                          for key, skew in ((HOST, 3), (ZONE, 5))]
OWNERS = {"ReplicaSet": "replicasets", "ReplicationController": "replicationcontrollers", "StatefulSet": "statefulsets"}


class Constraint(NamedTuple):
    """One rule of even spreading."""

    key: str
    skew: int
    hard: bool
    domains: int
    affinity: bool                # count only nodes that the pod's node affinity picks
    taints: bool                  # count only nodes whose taints the pod tolerates
    selector: LabelSelector

    def counts(self, pod: PodInfo, node: NodeInfo) -> bool:
        """Whether a node takes part."""
        return not ((self.affinity and wanted_node(pod, node)) or (self.taints and taint_toleration(pod, node)))


def constraints_of(pod: PodInfo) -> tuple[Constraint, ...]:
    """The pod's own rules of spreading."""
    return tuple(constraint(rule, with_label_keys(rule, pod))
                 for rule in pod.pod["spec"].get("topologySpreadConstraints") or ())


def constraint(rule: Object, selector: LabelSelector) -> Constraint:
    """Read one topologySpreadConstraint, for the pods that a selector picks."""
    return Constraint(
        rule["topologyKey"], rule["maxSkew"], rule["whenUnsatisfiable"] == "DoNotSchedule", rule.get("minDomains") or 1,
        rule.get("nodeAffinityPolicy") != "Ignore", rule.get("nodeTaintsPolicy") == "Honor", selector)


def siblings(pod: PodInfo, cache: Cache) -> LabelSelector:
    """Which pods belong with this one: those that its Services and its owner pick."""
    exact: dict[str, str] = {}
    for service in cache.objects["services"].values():
        picked = dig(service, "spec", "selector", default={})
        if namespace(service) == pod.namespace and picked and picked.items() <= pod.labels.items():
            exact |= picked
    found = selector_of({"matchLabels": exact})
    for owner in dig(pod.pod, "metadata", "ownerReferences", default=[]):
        if owner.get("controller") and owner["kind"] in OWNERS:
            selector = dig(cache.objects[OWNERS[owner["kind"]]], f"{pod.namespace}/{owner['name']}", "spec", "selector")
            whole = selector if owner["kind"] != "ReplicationController" else {"matchLabels": selector}
            return LabelSelector((*found.requirements, *selector_of(whole or {}).requirements))
    return found


def eligible(pod: PodInfo, cache: Cache, rules: tuple[Constraint, ...], keys: set[str]) -> list[dict[str, str]]:
    """For each rule, the nodes that take part (all have these labels) and their places; remembered until a node changes."""
    known = ("spread", rules, pod.worked_out(likeness), frozenset(keys))
    if known not in cache.known:
        nodes = [node for node in cache.order if keys <= node.labels.keys()]
        cache.known[known] = [{node.name: node.labels.get(rule.key, "") for node in nodes if rule.counts(pod, node)}
                              for rule in rules]
    return cache.known[known]  # type: ignore[no-any-return]


def occupied(pod: PodInfo, cache: Cache, rule: Constraint, nodes: dict[str, str]) -> Counter[str]:
    """How many of the pods that a rule is about are in each place."""
    counts: Counter[str] = Counter()
    for name, count in cache.index.tally(pod.namespace, rule.selector, staying=True).items():
        counts[nodes.get(name, OUTSIDE)] += count
    return counts


def rules_for(defaults: list[Object], pod: PodInfo, cache: Cache) -> tuple[Constraint, ...]:
    """A pod's rules of spreading: its own, else the default ones, for its siblings."""
    rules = pod.worked_out(constraints_of)
    if not rules and defaults and (selector := siblings(pod, cache)):
        return tuple(constraint(rule, selector) for rule in defaults)
    return rules


def even(defaults: list[Object], pod: PodInfo, cache: Cache) -> Filter | None:
    """Keep off places that would have too many more than the emptiest one."""
    own = defaults is BUILT_IN                     # these are all soft
    rules = tuple(rule for rule in (pod.worked_out(constraints_of) if own else rules_for(defaults, pod, cache)) if rule.hard)
    checks = []
    for rule, nodes in zip(rules, eligible(pod, cache, rules, {rule.key for rule in rules}) if rules else (), strict=True):
        counts, domains = occupied(pod, cache, rule, nodes), set(nodes.values())
        least = min((counts[each] for each in domains), default=0) if len(domains) >= rule.domains else 0
        checks.append((rule.key, counts, least + rule.skew - rule.selector.matches(pod.labels)))

    def fits(pod: PodInfo, node: NodeInfo) -> Reasons:
        for key, counts, most in checks:
            if key not in node.labels:
                return Never(["node(s) didn't match pod topology spread constraints (missing required label)"])
            if counts[node.labels[key]] > most:
                return ["node(s) didn't match pod topology spread constraints"]
        return PASSED
    return fits if checks else None


def evener(defaults: list[Object], pod: PodInfo, candidates: Candidates) -> Weighted | None:
    """Prefer the emptier places: all soft rules together, each weighed by how many places there are."""
    cache, rules = candidates.cache, tuple(rule for rule in rules_for(defaults, pod, candidates.cache) if not rule.hard)
    if not rules:
        return None
    keys = {rule.key for rule in rules} if pod.worked_out(constraints_of) or defaults is not BUILT_IN else set()
    nodes = [node for node in candidates.nodes if keys <= node.labels.keys()]
    taking_part, parts = {node.name for node in nodes}, []
    for rule, there in zip(rules, eligible(pod, cache, rules, keys), strict=True):
        where = {node.name: node.labels[HOST] for node in nodes if HOST in node.labels} if rule.key == HOST else there
        size = len(nodes) if rule.key == HOST else len({node.labels.get(rule.key) for node in nodes})
        parts.append((rule, occupied(pod, cache, rule, where), size))

    def crowd(pod: PodInfo, node: NodeInfo) -> float:
        return int(0.5 + sum(counts[node.labels[rule.key]] * math.log(size + 2) + rule.skew - 1 for rule, counts, size in parts
                             if rule.key in node.labels)) if node.name in taking_part else -1
    return Weighted(crowd, 1, fewest)


def spread_plugin(args: Object) -> Plugin:
    """PodTopologySpread; `defaultConstraints` are for pods that have none of their own."""
    defaults = (args.get("defaultConstraints") or []) if args.get("defaultingType") == "List" else BUILT_IN

    def helps(cache: Cache, change: Change, pod: PodInfo) -> bool:
        other = change.pod
        return other is None or (other.namespace == pod.namespace and any(
            rule.selector.matches(other.labels) for rule in rules_for(defaults, pod, cache)))
    return Plugin("PodTopologySpread", partial(even, defaults), partial(evener, defaults), 2,
                  dict.fromkeys(("bound", "gone", "node", "lost"), helps))


def fewest(points: list[float]) -> list[float]:
    """Turn around and scale to 0 to 100: the emptiest place gets most; -1 is a node that takes no part."""
    most, least = max(points), min((each for each in points if each >= 0), default=0)
    return [0 if each < 0 else 100 * (most + least - each) // most if most else 100 for each in points]
