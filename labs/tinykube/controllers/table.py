"""Which controllers there are. To add one, write its file and put its class here.

Genuine counterpart: NewControllerDescriptors of kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinykube.controllers.certificates import Approver, Cleaner, Signer
from tinykube.controllers.controller import Controller
from tinykube.controllers.cronjob import CronJobController
from tinykube.controllers.daemonset import DaemonSetController
from tinykube.controllers.deployment import DeploymentController
from tinykube.controllers.disruption import DisruptionController
from tinykube.controllers.endpoints import EndpointsController, EndpointSliceController
from tinykube.controllers.garbagecollector import GarbageCollector
from tinykube.controllers.horizontal import HorizontalController
from tinykube.controllers.job import JobController
from tinykube.controllers.namespace import NamespaceController
from tinykube.controllers.nodeipam import NodeIpamController
from tinykube.controllers.nodelifecycle import NodeLifecycleController, TaintEvictionController
from tinykube.controllers.podgc import PodGarbageCollector
from tinykube.controllers.replicaset import ReplicaSetController, ReplicationController
from tinykube.controllers.resourcequota import ResourceQuotaController
from tinykube.controllers.serviceaccount import RootCaPublisher, ServiceAccountController, TokenController
from tinykube.controllers.statefulset import StatefulSetController
from tinykube.controllers.ttlafterfinished import TtlAfterFinishedController
from tinykube.controllers.volumebinder import ClaimProtection, VolumeBinder, VolumeProtection

CONTROLLERS: tuple[type[Controller], ...] = (
    ReplicationController,
    ReplicaSetController,
    DeploymentController,
    DaemonSetController,
    StatefulSetController,
    NamespaceController, GarbageCollector, ServiceAccountController, RootCaPublisher, TokenController,
    EndpointsController, EndpointSliceController, NodeLifecycleController, TaintEvictionController, NodeIpamController,
    PodGarbageCollector, DisruptionController, ResourceQuotaController,
    JobController, TtlAfterFinishedController, CronJobController, HorizontalController,
    VolumeBinder, ClaimProtection, VolumeProtection,
    Approver, Signer, Cleaner,
)


def selected(wanted: Iterable[str], known: Sequence[type[Controller]] = CONTROLLERS) -> list[type[Controller]]:
    """The controllers that `--controllers` picks: names, `-name` for not that one, `*` for all others.

    A name may leave out its `-controller`. Raises ValueError for a name that is none.
    """
    names = {each.name: each for each in known}
    picks = list(wanted)
    words = {word: word.removeprefix("-") for word in picks if word != "*"}
    full = {word: name if name in names else f"{name}-controller" for word, name in words.items()}
    if unknown := [words[word] for word in words if full[word] not in names]:
        raise ValueError(f"there is no controller {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    named = {name: not word.startswith("-") for word, name in reversed(full.items())}      # the first word counts
    return [each for name, each in names.items() if named.get(name, "*" in picks)]
