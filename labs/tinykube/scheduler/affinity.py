"""Near what, and far from what: the rules by which pods choose nodes, and each other's company.

Genuine counterpart: kube-scheduler's plugins NodeAffinity and InterPodAffinity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tinykube.machinery.objects import Object, dig, labels
from tinykube.machinery.selectors import LabelSelector, selector_of
from tinykube.scheduler.cache import Cache
from tinykube.scheduler.framework import Candidates, Change, Plugin, passes_now
from tinykube.scheduler.index import Tally, Term, terms_of
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo
from tinykube.scheduler.plugins import PASSED, Filter, Never, Reasons, Weighted, most_is_best, node_affinity

REQUIRED, PREFERRED = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
Place = tuple[str, str]        # a label of nodes and one of its values: a rack, a zone, a host


class NodeTerm(NamedTuple):
    """One way for a node to be right: all of these labels, and these fields."""

    labels: LabelSelector
    fields: LabelSelector

    def picks(self, node: NodeInfo) -> bool:
        """Whether a node is right; a term that says nothing picks nothing."""
        return (bool(self.labels or self.fields) and self.labels.matches(node.labels)
                and self.fields.matches({"metadata.name": node.name}))


def node_terms(selector: Object | None) -> tuple[NodeTerm, ...] | None:
    """The ways that a nodeSelector leaves open; None if there is none, and any node is right."""
    return None if selector is None else tuple(
        NodeTerm(*(selector_of({"matchExpressions": term.get(field)}) for field in ("matchExpressions", "matchFields")))
        for term in selector.get("nodeSelectorTerms") or ())


def required_nodes(pod: PodInfo) -> tuple[NodeTerm, ...] | None:
    """The terms of which a node has to meet one."""
    return node_terms(dig(pod.pod, "spec", "affinity", "nodeAffinity", REQUIRED))


def wanted_node(pod: PodInfo, node: NodeInfo) -> Reasons:
    """Keep to the nodes that the pod's nodeSelector and its required node affinity pick."""
    terms = pod.worked_out(required_nodes)
    if terms is not None and not any(term.picks(node) for term in terms):
        return Never(["node(s) didn't match Pod's node affinity/selector"])
    return node_affinity(pod, node)


def named_nodes(pod: PodInfo) -> frozenset[str] | None:
    """The only nodes in question, if the pod says so by their names, as a DaemonSet's pods do."""
    terms = pod.worked_out(required_nodes)
    named = [[set(each.values) for each in term.fields.requirements if each.operator == "In"] for term in terms or ()]
    return frozenset(set[str]().union(*(set.intersection(*each) for each in named))) if named and all(named) else None


def node_preference(pod: PodInfo, candidates: Candidates) -> Weighted | None:
    """Points for each preferred term that a node meets."""
    terms = [(rule["weight"], term) for rule in dig(pod.pod, "spec", "affinity", "nodeAffinity", PREFERRED, default=[])
             for term in node_terms({"nodeSelectorTerms": [rule["preference"]]}) or ()]
    return Weighted(lambda pod, node: sum(weight for weight, term in terms if term.picks(node)), 1,
                    most_is_best) if terms else None


def node_affinity_plugin(args: Object) -> Plugin:
    """NodeAffinity; `addedAffinity` is what the profile demands of nodes, whatever the pod says."""
    added = node_terms(dig(args, "addedAffinity", REQUIRED))

    def right(pod: PodInfo, node: NodeInfo) -> Reasons:
        if added is not None and not any(term.picks(node) for term in added):
            return Never(["node(s) didn't match scheduler-enforced node affinity"])
        return wanted_node(pod, node)
    return Plugin("NodeAffinity", lambda pod, cache: right, node_preference, 2, passes_now(right), same=True,
                  narrows=named_nodes)


def places(tally: Tally, key: str, cache: Cache) -> Iterator[tuple[Place, int]]:
    """Where the counted pods are, by a label of the nodes; nodes without that label are no place."""
    for name, count in tally.items():
        node = cache.nodes.get(name)
        if node and key in node.labels:
            yield (key, node.labels[key]), count


def company(term: Term, cache: Cache) -> Iterator[tuple[Place, int]]:
    """Where the pods are that a term is about."""
    namespaces = cache.objects["namespaces"]
    wider = [name for name, each in namespaces.items() if term.wider is not None and term.wider.matches(labels(each))]
    for namespace in term.namespaces.union(wider):
        yield from places(cache.index.tally(namespace, term.selector), term.key, cache)


def together(terms: list[Term], cache: Cache) -> set[Place]:
    """Where pods are that all these terms are about at once."""
    joined = LabelSelector(tuple(each for term in terms for each in term.selector.requirements))
    spaces = cache.objects["namespaces"]
    shared = [each for each in {*spaces, *(name for term in terms for name in term.namespaces)}
              if all(term.reaches(each, spaces) for term in terms)]
    return {place for term in terms for each in shared
            for place, _ in places(cache.index.tally(each, joined), term.key, cache)}


def pod_affinity(pod: PodInfo, cache: Cache) -> Filter | None:
    """Keep to where the pods are that this one has to be near, and off where one of them would mind the other."""
    spaces = cache.objects["namespaces"]
    must = [term for term in pod.worked_out(terms_of) if term.kind == "must"]
    shunned = {place for term in pod.worked_out(terms_of) if term.kind == "must not" for place, _ in company(term, cache)}
    guarded = {place for term, tally in cache.index.about(pod, spaces) if term.kind == "must not"
               for place, _ in places(tally, term.key, cache)}
    if not (must or shunned or guarded):
        return None
    near = together(must, cache) if must else set()
    first = not near and all(term.picks(pod, spaces) for term in must)      # somebody has to be the first of a group

    def fits(pod: PodInfo, node: NodeInfo) -> Reasons:
        if must and not (all(term.key in node.labels for term in must) and (
                first or all((term.key, node.labels[term.key]) in near for term in must))):
            return Never(["node(s) didn't match pod affinity rules"])
        if not shunned.isdisjoint(node.labels.items()):
            return ["node(s) didn't match pod anti-affinity rules"]
        if not guarded.isdisjoint(node.labels.items()):
            return ["node(s) didn't satisfy existing pods anti-affinity rules"]
        return PASSED
    return fits


def between_extremes(points: list[float]) -> list[float]:
    """Scale to 0 to 100: the least becomes 0, the most 100."""
    least, most = min(points), max(points)
    return [int(100 * ((each - least) / (most - least))) if most > least else 0 for each in points]


def pod_affinity_plugin(args: Object) -> Plugin:
    """InterPodAffinity; `hardPodAffinityWeight` is what it counts to be where somebody must be near us."""
    hard, ignored = args.get("hardPodAffinityWeight", 1), args.get("ignorePreferredTermsOfExistingPods", False)

    def preference(pod: PodInfo, candidates: Candidates) -> Weighted | None:
        cache, points = candidates.cache, defaultdict[Place, int](int)
        mine = [term for term in pod.worked_out(terms_of) if term.kind == "prefer"]
        for term in mine:
            for place, count in company(term, cache):
                points[place] += term.weight * count
        for term, tally in cache.index.about(pod, cache.objects["namespaces"]):
            weight = {"must": hard, "prefer": 0 if ignored and not mine else term.weight}.get(term.kind, 0)
            for place, count in places(tally, term.key, cache) if weight else ():
                points[place] += weight * count
        if not points:
            return None
        keys = {key for key, _ in points}
        return Weighted(lambda pod, node: sum(points.get((key, node.labels.get(key, "")), 0) for key in keys), 1,
                        between_extremes)

    def helps(cache: Cache, change: Change, pod: PodInfo) -> bool:
        spaces, other, kind = cache.objects["namespaces"], change.pod, "must" if change.kind == "bound" else "must not"
        return other is None or any(term.kind == kind and term.picks(other, spaces) for term in pod.worked_out(terms_of)) or (
            kind == "must not" and any(term.kind == kind and term.picks(pod, spaces) for term in other.worked_out(terms_of)))
    return Plugin("InterPodAffinity", pod_affinity, preference, 2, dict.fromkeys(("node", "bound", "gone"), helps))
