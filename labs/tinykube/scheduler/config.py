"""Which plugins a scheduler has, by configuration: the genuine KubeSchedulerConfiguration, as far as this one goes.

Genuine counterpart: kubescheduler.config.k8s.io/v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from tinykube.client.leader import Times
from tinykube.machinery.objects import Object
from tinykube.scheduler.framework import Plugin, Profile
from tinykube.scheduler.intree import IN_TREE, Factory
from tinykube.scheduler.queue import FIRST_BACKOFF, LONGEST_BACKOFF

VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
DEFAULT = f"apiVersion: {VERSION}\nkind: {KIND}\n"
TOP = {"apiVersion", "kind", "parallelism", "leaderElection", "clientConnection", "percentageOfNodesToScore", "profiles",
       "podInitialBackoffSeconds", "podMaxBackoffSeconds", "enableProfiling", "enableContentionProfiling", "extenders"}
POINTS = {"multiPoint", "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve",
          "permit", "preBind", "bind", "postBind"}
BUILT_IN = {"SchedulingGates", "PrioritySort", "DefaultBinder", "NodeVolumeLimits", "VolumeRestrictions", "VolumeZone",
            "DynamicResources", "NodeDeclaredFeatures", "GangScheduling"}      # part of the loop here, or left out
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass
class Configuration:
    """What a scheduler runs with. Without any file: the genuine defaults."""

    profiles: dict[str, Profile]
    backoff: tuple[float, float]                  # seconds: the first, the longest
    leader_election: bool
    lease: tuple[str, str]                        # namespace, name
    times: Times


def read(text: str = DEFAULT, plugins: Mapping[str, Factory] = {}) -> Configuration:
    """Read a configuration file; `plugins` are more than the in-tree ones. Raises ValueError that names what is wrong."""
    config = yaml.safe_load(text) or {}
    if (config.get("apiVersion"), config.get("kind")) != (VERSION, KIND):
        raise ValueError(f"expected apiVersion {VERSION} and kind {KIND}, "
                         f"not {config.get('apiVersion')!r} and {config.get('kind')!r}")
    refuse_unknown("", config, TOP)
    election, share = config.get("leaderElection") or {}, config.get("percentageOfNodesToScore") or 0
    profiles = [profile(each, share, {**IN_TREE, **plugins}) for each in config.get("profiles") or [{}]]
    if len({each.name for each in profiles}) < len(profiles):
        raise ValueError("profiles: each needs a schedulerName of its own")
    return Configuration(
        {each.name: each for each in profiles},
        (config.get("podInitialBackoffSeconds", FIRST_BACKOFF), config.get("podMaxBackoffSeconds", LONGEST_BACKOFF)),
        election.get("leaderElect", True),
        (election.get("resourceNamespace", "kube-system"), election.get("resourceName", "kube-scheduler")),
        Times(int(seconds(election.get("leaseDuration", "15s"))), seconds(election.get("renewDeadline", "10s")),
              seconds(election.get("retryPeriod", "2s"))))


def refuse_unknown(where: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse what nobody would read: most often a misspelled field."""
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise ValueError(f'unknown field "{where}{unknown[0]}": there are {", ".join(sorted(allowed))}')


def seconds(text: str | float) -> float:
    """A duration such as `15s` or `1m30s`."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", str(text)))


def profile(entry: Object, percentage: int, registry: Mapping[str, Factory]) -> Profile:
    """One profile: the default plugins, changed as the entry says, each made with its arguments."""
    refuse_unknown("profiles[].", entry, {"schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"})
    points = entry.get("plugins") or {}
    refuse_unknown("plugins.", points, POINTS)
    args = {each["name"]: each.get("args") or {} for each in entry.get("pluginConfig") or ()}
    named = {each["name"] for point in points.values() for each in point.get("enabled") or ()}
    for wrong in sorted(named.union(args) - set(registry) - BUILT_IN):
        raise ValueError(f"plugin {wrong!r} does not exist in the registry: there are {', '.join(sorted(registry))}")
    made = {name: factory(args.get(name, {})) for name, factory in registry.items() if name in IN_TREE or name in named}
    defaults = {name: plugin.weight for name, plugin in made.items() if name in IN_TREE}
    everywhere = merged(defaults, points.get("multiPoint") or {}, made)
    chosen = {point: merged(everywhere, points.get(point) or {}, made) for point in ("filter", "score", "postFilter")}
    return Profile(entry.get("schedulerName", "default-scheduler"), [made[name] for name in chosen["filter"]],
                   [made[name] for name in chosen["score"]], chosen["score"], "DefaultPreemption" in chosen["postFilter"],
                   entry.get("percentageOfNodesToScore") or percentage)


def merged(before: dict[str, int], point: Object, made: Mapping[str, Plugin]) -> dict[str, int]:
    """Names and weights at one extension point: those from before that are not disabled, then those enabled here."""
    disabled = {each["name"] for each in point.get("disabled") or ()}
    kept = {name: weight for name, weight in before.items() if not disabled & {name, "*"}}
    enabled = {each["name"]: each.get("weight") or made[each["name"]].weight or 1
               for each in point.get("enabled") or () if each["name"] in made}
    return {name: enabled.pop(name, weight) for name, weight in kept.items()} | enabled
