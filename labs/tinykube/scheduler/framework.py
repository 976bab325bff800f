"""What a plugin is, and how a profile makes of its plugins the filters and scores for one pod.

Genuine counterpart: kube-scheduler's scheduling framework.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple, TypeVar

from tinykube.scheduler.cache import Cache
from tinykube.scheduler.decide import why_not
from tinykube.scheduler.nodeinfo import NodeInfo, PodInfo, likeness
from tinykube.scheduler.plugins import PASSED, Filter, Never, Weighted

MANY = 100          # from as many nodes on it pays to remember what plain rules said of a node,
REMEMBERED = 40     # of as many kinds of pods and rules
T = TypeVar("T")


class Rejected(Exception):
    """No node can take the pod, whatever the nodes are like; the text says why."""


class Change(NamedTuple):
    """Something that happened: a kind of change, and the node or pod that it happened to.

    Kinds are `node` (appeared or changed), `lost` (a node), `bound` and `gone` (a pod on a node), or a plural.
    """

    kind: str
    node: NodeInfo | None = None
    pod: PodInfo | None = None


class Candidates(NamedTuple):
    """The nodes that passed the filters, for scores that compare."""

    cache: Cache
    nodes: Sequence[NodeInfo]


Hint = Callable[[Cache, Change, PodInfo], bool]


@dataclass(frozen=True, eq=False)
class Plugin:
    """One rule by its name, and what it does where. What it leaves out, it has no part in.

    `filters(pod, cache)` makes the filter for one pod, or None if the pod is no business of this rule; it may raise
    Rejected. `scores(pod, candidates)` makes the score in the same way. `hints` say of a kind of change whether it may
    help a pod that this rule turned away. In the genuine framework: PreFilter and Filter; PreScore, Score and
    NormalizeScore; EventsToRegister.
    """

    name: str
    filters: Callable[[PodInfo, Cache], Filter | None] | None = None
    scores: Callable[[PodInfo, Candidates], Weighted | None] | None = None
    weight: int = 1
    hints: Mapping[str, Hint] = field(default_factory=dict)
    same: bool = False        # says the same of a node for pods that are alike, see `likeness`
    narrows: Callable[[PodInfo], frozenset[str] | None] | None = None     # to the only nodes in question, by name


def passes_now(filter: Filter) -> Mapping[str, Hint]:
    """Hints of a plain filter: a change on a node helps those whom the filter now lets pass there."""
    def helps(cache: Cache, change: Change, pod: PodInfo) -> bool:
        return change.node is not None and not filter(pod, change.node)
    return {"node": helps, "gone": helps}


def plain(name: str, filter: Filter | None = None, score: Weighted | None = None) -> Plugin:
    """A plugin that looks at nothing but the pod and the node."""
    return Plugin(name, (lambda pod, cache: filter) if filter else None, (lambda pod, candidates: score) if score else None,
                  score.weight if score else 1, passes_now(filter) if filter else {})


@dataclass
class Profile:
    """The plugins that one scheduler name stands for, in order, and how much each score counts."""

    name: str
    filters: list[Plugin]
    scores: list[Plugin]
    weights: dict[str, int]
    preempts: bool = True
    percentage: int = 0            # of nodes to find before scoring; 0: by the size of the cluster

    def chain(self, pod: PodInfo, cache: Cache) -> list[tuple[Plugin, Filter]]:
        """The filters for one pod, in order, each with its plugin; those with nothing to say of it are left out."""
        found: list[tuple[Plugin, Filter]] = []
        for plugin in self.filters:
            if plugin.narrows and (names := plugin.narrows(pod)) is not None:
                found.insert(0, (plugin, outside(names, plugin.name)))
            try:
                filter = plugin.filters and plugin.filters(pod, cache)
            except Rejected as rejected:
                raise Rejected(*rejected.args, plugin) from None
            if filter:
                found.append((plugin, filter))
        return found

    def ranking(self, pod: PodInfo, candidates: Candidates) -> list[Weighted]:
        """The scores for one pod, each with its weight."""
        found = []
        for plugin in self.scores:
            if plugin.scores and (score := plugin.scores(pod, candidates)):
                ask = score.score
                if plugin.same and len(candidates.nodes) >= MANY:
                    ask = remembered((self.name, plugin.name, pod.worked_out(likeness)), ask)
                found.append(Weighted(ask, self.weights[plugin.name], score.scaled))
        return found

    def rules(self, pod: PodInfo, cache: Cache) -> list[Filter]:
        """The filters for one pod; with many nodes, what the first ones said of a node is remembered until it changes."""
        chain = self.chain(pod, cache)
        first = list(takewhile(lambda each: each[0].same, chain)) if len(cache.order) >= MANY else []
        rest = [filter for _, filter in chain[len(first):]]
        if not first:
            return rest
        joined = [filter for _, filter in first]
        return [remembered((self.name, pod.worked_out(likeness)), lambda pod, node: why_not(pod, node, joined)), *rest]


def outside(names: frozenset[str], who: str) -> Filter:
    """A filter that throws out all nodes but these."""
    reasons = Never([f"node(s) didn't satisfy plugin(s) [{who}]"])
    return lambda pod, node: PASSED if node.name in names else reasons


def remembered(key: Hashable, ask: Callable[[PodInfo, NodeInfo], T]) -> Callable[[PodInfo, NodeInfo], T]:
    """The same question, whose answer is kept at the node until the node changes, for all pods that share the key."""
    def answer(pod: PodInfo, node: NodeInfo) -> T:
        found = node.known.get(key)
        if found is None:
            if len(node.known) > REMEMBERED:
                node.known.clear()
            found = node.known[key] = ask(pod, node)
        return found
    return answer
