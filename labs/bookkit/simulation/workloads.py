"""What runs in the cluster of a simulated day."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinykube.client.leader import DEFAULT, Times
from tinykube.machinery.objects import Object

SPACE = "default"


@dataclass(frozen=True)
class Size:
    """How much of everything, and how long."""

    nodes: int
    deployments: tuple[int, ...]            # replicas of each
    statefulsets: tuple[int, ...]
    hours: float
    faults: int                             # rounds of them, spread over the time
    cron: str = "*/10 * * * *"
    election: Times = DEFAULT


QUARTER = Size(nodes=4, deployments=(3, 2), statefulsets=(2,), hours=0, faults=2, election=Times(60, 40, 10))
HOUR = Size(nodes=6, deployments=(5, 4), statefulsets=(3,), hours=1, faults=3)
SMALL_DAY = Size(nodes=10, deployments=(10, 6, 4), statefulsets=(3,), hours=24, faults=24)
DAY = Size(nodes=100, deployments=(40,) * 20, statefulsets=(10,) * 8, hours=24, faults=30)

BIG_HOUR = replace(DAY, hours=1, faults=2)


def template(app: str, version: int = 1, seconds: int = 0, cpu: str = "100m", probed: bool = False) -> Object:
    """A pod that runs until it is stopped, or for some seconds."""
    container: Object = {"name": "main", "image": f"box:{version}", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
    if seconds:
        container["args"] = [str(seconds)]
    else:
        container["ports"] = [{"containerPort": 80}]
    if probed:
        container["readinessProbe"] = {"exec": {"command": ["ready"]}, "periodSeconds": 30}
    return {"metadata": {"labels": {"app": app}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 10,
                     **({"restartPolicy": "OnFailure"} if seconds else {})}}


def workload(kind: str, app: str, replicas: int | None = None, **more: object) -> Object:
    """A workload of the apps group."""
    spec: Object = {"selector": {"matchLabels": {"app": app}}, "template": template(app, probed=app.endswith("1")), **more}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": app, "namespace": SPACE}, "spec": spec}


def service(app: str, **spec: object) -> Object:
    """A Service for a workload."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app, "namespace": SPACE},
            "spec": {"selector": {"app": app}, "ports": [{"port": 80}], **spec}}


def budget(app: str) -> Object:
    """No more than one may be missing because people want it so."""
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app, "namespace": SPACE},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}}


def everything(size: Size) -> list[tuple[str, Object]]:
    """Resource and object, of all that is created at the beginning."""
    found: list[tuple[str, Object]] = [("daemonsets", workload("DaemonSet", "agent"))]
    for number, replicas in enumerate(size.deployments):
        app = f"web-{number}"
        found += [("deployments", workload("Deployment", app, replicas)), ("services", service(app))]
        if number % 2 == 0:
            found.append(("poddisruptionbudgets", budget(app)))
    for number, replicas in enumerate(size.statefulsets):
        app = f"db-{number}"
        found += [("services", service(app, clusterIP="None")),
                  ("statefulsets", workload("StatefulSet", app, replicas, serviceName=app))]
    job = {"backoffLimit": 10, "template": template("tick", seconds=20)}
    cron = {"schedule": size.cron, "jobTemplate": {"spec": job}, "concurrencyPolicy": "Forbid"}
    found.append(("cronjobs", {"apiVersion": "batch/v1", "kind": "CronJob", "spec": cron,
                               "metadata": {"name": "tick", "namespace": SPACE}}))
    return found
