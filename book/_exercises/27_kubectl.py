"""Checks for the exercises of "kubectl by hand"."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise

SERVED = [
    {"resource": "pods", "singularResource": "pod", "group": "", "shortNames": ["po"]},
    {"resource": "events", "singularResource": "event", "group": "", "shortNames": ["ev"]},
    {"resource": "bindings", "singularResource": "binding", "group": ""},
    {"resource": "events", "singularResource": "event", "group": "events.k8s.io", "shortNames": ["ev"]},
    {"resource": "deployments", "singularResource": "deployment", "group": "apps", "shortNames": ["deploy"]},
]


@exercise
def find_resource(answer: Answer) -> None:
    answer("pods", SERVED).gives("pods", hint="The plural, as it stands in the path.")
    answer("pod", SERVED).gives("pods", hint="People say pod, too; the path has the plural.")
    answer("po", SERVED).gives("pods", hint="A short name.")
    answer("Pod", SERVED).gives("pods", hint="Upper or lower case does not matter to people.")
    answer("binding", SERVED).gives("bindings", hint="Not every resource has short names.")
    answer("deploy.apps", SERVED).gives("deployments", hint="What stands behind the first dot is the group.")
    answer("pods.apps", SERVED).gives(None, hint="There are pods, but not in that group.")
    answer("unicorns", SERVED).gives(None, hint="Nobody serves that.")


@exercise
def lines_of(answer: Answer) -> None:
    answer([["NAME", "AGE"], ["web", "5s"]]).gives(["NAME   AGE", "web    5s"], hint="As wide as the widest cell, and three blanks.")
    answer([["A", "B"], ["long-name", "x"]]).gives(["A           B", "long-name   x"], hint="Here the head is not the widest.")
    answer([["NAME"], ["web"]]).gives(["NAME", "web"], hint="No blanks at the end of a line.")
    answer([["A", "B"], ["x", ""]]).gives(["A   B", "x"], hint="An empty last cell leaves no blanks behind either.")


@exercise
def path_of(answer: Answer) -> None:
    answer("", "v1", "pods", "lab", "web").gives("/api/v1/namespaces/lab/pods/web", hint="The core group lives under /api.")
    answer("apps", "v1", "deployments", "lab", None).gives(
        "/apis/apps/v1/namespaces/lab/deployments", hint="Every other group lives under /apis, with its name.")
    answer("", "v1", "nodes", None, "ant").gives("/api/v1/nodes/ant", hint="A node is in no namespace.")
    answer("", "v1", "namespaces", None, "lab").gives("/api/v1/namespaces/lab", hint="A namespace is an object like any other.")
