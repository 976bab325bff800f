"""How many pods there are of each sort, node by node: kept by events, so that no decision counts pods.

Genuine counterpart: what PodTopologySpread and InterPodAffinity work out in PreFilter, anew for each pod.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tinykube.machinery.objects import Object, dig, labels
from tinykube.machinery.selectors import LabelSelector, Requirement, selector_of
from tinykube.scheduler.nodeinfo import PodInfo

REMEMBERED = 1000        # sorts of pods counted in one namespace; the one asked for longest ago goes first
ANYWHERE = ""            # stands for terms that reach into namespaces by their labels

Tally = Counter[str]     # node name -> how many


class Term(NamedTuple):
    """What a pod says about being near other pods: which ones, within what (a node's label), how strongly."""

    kind: str                            # must, must not, prefer
    weight: int                          # of a preference; below zero: prefer not
    namespaces: frozenset[str]
    wider: LabelSelector | None          # and all namespaces with such labels
    selector: LabelSelector
    key: str                             # nodes with one value of this label are one place

    def reaches(self, namespace: str, namespaces: Mapping[str, Object]) -> bool:
        """Whether the term is about pods in a namespace."""
        return namespace in self.namespaces or (
            self.wider is not None and self.wider.matches(labels(namespaces.get(namespace, {}))))

    def picks(self, pod: PodInfo, namespaces: Mapping[str, Object]) -> bool:
        """Whether the term is about a pod."""
        return self.reaches(pod.namespace, namespaces) and self.selector.matches(pod.labels)


def with_label_keys(rule: Object, pod: PodInfo) -> LabelSelector:
    """A rule's labelSelector, with the pod's own values of `matchLabelKeys` and against those of `mismatchLabelKeys`."""
    own = [Requirement(key, operator, (pod.labels[key],))
           for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
           for key in rule.get(field) or () if key in pod.labels]
    return LabelSelector((*selector_of(rule.get("labelSelector")).requirements, *own))


def terms_of(pod: PodInfo) -> tuple[Term, ...]:
    """All that a pod says about being near other pods."""
    affinity = pod.pod["spec"].get("affinity") or {}
    terms = []
    for field, kind, sign in (("podAffinity", "must", 1), ("podAntiAffinity", "must not", -1)):
        rules = affinity.get(field) or {}
        terms += [term(rule, pod, kind, 0) for rule in rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()]
        terms += [term(rule["podAffinityTerm"], pod, "prefer", sign * rule["weight"])
                  for rule in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
    return tuple(terms)


def term(rule: Object, pod: PodInfo, kind: str, weight: int) -> Term:
    """Read one podAffinityTerm. Without any word on namespaces it is about the pod's own."""
    wider = selector_of(rule["namespaceSelector"]) if rule.get("namespaceSelector") is not None else None
    names = frozenset(rule.get("namespaces") or ([] if wider is not None else [pod.namespace]))
    return Term(kind, weight, names, wider, with_label_keys(rule, pod), rule["topologyKey"])


def bump(tally: Tally, node: str, by: int) -> None:
    """Count up or down; nothing is kept of what comes to nothing."""
    tally[node] += by
    if not tally[node]:
        del tally[node]


class Index:
    """The pods that have a node, by namespace; tallies of those that somebody asked about; the terms that they hold."""

    def __init__(self) -> None:
        self.pods: defaultdict[str, dict[str, tuple[PodInfo, str]]] = defaultdict(dict)
        self.tallies: defaultdict[str, dict[tuple[LabelSelector, bool], Tally]] = defaultdict(dict)
        self.held: defaultdict[str, dict[Term, Tally]] = defaultdict(dict)
        self.looked_at = 0                       # pods that were looked at so far, for those who count the work

    def add(self, pod: PodInfo, node: str) -> None:
        """A pod is on a node now."""
        self.pods[pod.namespace][pod.uid] = pod, node
        self.count(pod, node, 1)

    def remove(self, pod: PodInfo, node: str) -> None:
        """A pod is no longer on a node."""
        del self.pods[pod.namespace][pod.uid]
        self.count(pod, node, -1)

    def count(self, pod: PodInfo, node: str, by: int) -> None:
        """Bring every tally that the pod is in up to date."""
        self.looked_at += 1
        for (selector, staying), tally in self.tallies[pod.namespace].items():
            if selector.matches(pod.labels) and not (staying and leaving(pod)):
                bump(tally, node, by)
        for term in pod.worked_out(terms_of):
            for place in [ANYWHERE] if term.wider is not None else term.namespaces:
                bump(self.held[place].setdefault(term, Counter()), node, by)
                if not self.held[place][term]:
                    del self.held[place][term]

    def tally(self, namespace: str, selector: LabelSelector, *, staying: bool = False) -> Tally:
        """How many pods of a namespace a selector picks, node by node; `staying` leaves out those being deleted."""
        known = self.tallies[namespace]
        found = known.pop((selector, staying), None)
        if found is None:
            found = Counter()
            for pod, node in self.pods[namespace].values():
                self.looked_at += 1
                if selector.matches(pod.labels) and not (staying and leaving(pod)):
                    found[node] += 1
            if len(known) >= REMEMBERED:
                del known[next(iter(known))]
        known[selector, staying] = found
        return found

    def about(self, pod: PodInfo, namespaces: Mapping[str, Object]) -> Iterator[tuple[Term, Tally]]:
        """The terms of placed pods that are about this one, and on which nodes those pods are."""
        for place in (pod.namespace, ANYWHERE):
            for term, tally in self.held[place].items():
                if term.picks(pod, namespaces):
                    yield term, tally


def leaving(pod: PodInfo) -> bool:
    """Whether a pod is being deleted."""
    return dig(pod.pod, "metadata", "deletionTimestamp") is not None
