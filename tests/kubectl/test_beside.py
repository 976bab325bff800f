"""The same command to tiny and to genuine: output and exit status have to be equal; tier genuine."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bookkit import kubectl

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeSelector: {disk: ssd}
  containers:
  - {name: web, image: "box:1", command: [sleep, "60"], ports: [{containerPort: 80}],
     resources: {requests: {memory: 64Mi, cpu: 100m}}, env: [{name: COLOR, value: red}]}
  - {name: log, image: "box:1"}
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: ant, labels: {disk: ssd, node-role.kubernetes.io/worker: ""}}
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: colors}
data: {sky: blue, grass: green}
"""
EVENT = """
apiVersion: v1
kind: Event
metadata: {name: web.1, namespace: default}
involvedObject: {apiVersion: v1, kind: Pod, name: web, namespace: default}
reason: Tested
message: it was tested
type: Normal
count: 2
source: {component: test}
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:00Z"
"""
LEASE = """
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: turn}
spec: {holderIdentity: me, leaseDurationSeconds: 15}
"""

SCENARIOS: dict[str, list[tuple[str, str]]] = {
    "configmaps": [
        ("create -f -", CONFIG), ("create -f -", CONFIG), ("get cm colors", ""), ("get cm colors -o yaml", ""),
        ("get cm colors -o json", ""), ("get cm colors -o jsonpath={.data.sky}", ""), ("get cm colors -o name", ""),
        ("get cm -o custom-columns=NAME:.metadata.name,SKY:.data.sky --field-selector metadata.name=colors", ""),
        ("describe cm colors", ""), ("label cm colors a=b", ""), ("label cm colors a=c", ""),
        ("label cm colors a=c --overwrite", ""), ("label cm colors a-", ""), ("annotate cm colors note=x", ""),
        ("get cm -l a=b", ""), ("get cm -l 'a in (b'", ""), ("get cm --show-labels --field-selector metadata.name=colors", ""),
        ("patch cm colors --type=merge -p '{\"data\":{\"sky\":\"grey\"}}'", ""),
        ("patch cm colors -p '{\"data\":{\"grass\":null}}'", ""),
        ("patch cm colors --type=json -p '[{\"op\":\"replace\",\"path\":\"/data/sky\",\"value\":\"red\"}]'", ""),
        ("patch cm colors --type=json -p '[{\"op\":\"test\",\"path\":\"/data/sky\",\"value\":\"blue\"}]'", ""),
        ("patch cm colors -p '{\"data\"'", ""), ("get cm colors -o jsonpath={.data}", ""),
        ("replace -f -", CONFIG), ("get cm colors -o jsonpath={.data}", ""), ("edit cm colors", ""),
        ("get cm colors -o jsonpath={.data}", ""), ("replace --force -f -", CONFIG),
        ("create -f -", CONFIG.replace("data:", "date:").replace("colors", "typo")), ("delete cm colors", ""),
        ("delete cm colors", ""), ("delete cm colors --ignore-not-found", ""),
        ("create configmap made --from-literal=a=1", ""), ("create configmap made --from-literal=a=1", ""),
        ("create configmap A_b", ""), ("get cm made -o yaml", ""), ("delete cm made --wait=true", ""),
    ],
    "apply": [
        ("apply -f -", CONFIG), ("apply -f -", CONFIG), ("apply -f -", CONFIG.replace("blue", "grey")),
        ("apply -f -", CONFIG.replace(", grass: green", "")), ("get cm colors -o jsonpath={.data}", ""),
        ("diff -f -", CONFIG.replace(", grass: green", "")), ("apply --dry-run=server -f -", CONFIG),
        ("apply view-last-applied cm colors", ""), ("delete -f -", CONFIG), ("apply -f -", POD),
        ("apply -f -", POD.replace("box:1", "box:2")), ("get pod web -o jsonpath={.spec.containers[*].image}", ""),
        ("apply -f -", POD.replace("app: web", "app: other")), ("get pod web --show-labels", ""),
        ("apply -f -", POD.replace("value: red", "value: green")), ("delete pod web --force --grace-period=0", ""),
    ],
    "pods": [
        ("create -f -", NODE), ("create -f -", POD), ("get pods", ""), ("get po -o wide", ""), ("get pods -A", ""),
        ("get pod web -o yaml", ""), ("describe pod web", ""), ("get pods --sort-by=.metadata.name", ""),
        ("logs web -c web", ""), ("logs -f web", ""),
        ("set image pod/web web=box:9", ""), ("get pod web -o jsonpath={.spec.containers[*].image}", ""),
        ("get pods --field-selector spec.nodeName=ant", ""), ("get pods --field-selector spec.color=red", ""),
        ("get pods -l app=web -o name", ""), ("get pod nobody", ""), ("get pods,nodes", ""),
        ("get pods --watch --request-timeout=1s", ""), ("get pods -o wide --watch-only --request-timeout=1s", ""),
        ("create -f -", EVENT),
        ("get events --field-selector involvedObject.name=web", ""), ("events", ""), ("describe pod web", ""),
        ("delete event web.1", ""), ("wait --for=condition=Ready pod/web --timeout=1s", ""),
        ("wait --for=jsonpath={.status.phase}=Pending pod/web --timeout=5s", ""),
        ("delete pod web --grace-period=0 --force", ""), ("get pods", ""),
        ("run once --image=box:1 --restart=Never -- true", ""), ("get pod once -o yaml", ""), ("delete pod once --now", ""),
        ("create -f -", POD.replace("name: web,", "name: Web_1,")), ("create -f -", POD.replace("containers", "containerz")),
    ],
    "nodes": [
        ("create -f -", NODE.replace("ant", "bee")), ("get nodes", ""), ("get node bee -o wide", ""),
        ("cordon bee", ""), ("cordon bee", ""), ("get node bee", ""), ("uncordon bee", ""),
        ("taint node bee k=v:NoSchedule", ""), ("taint node bee k=v:NoSchedule", ""), ("taint node bee k-", ""),
        ("get node bee -o jsonpath={.spec}", ""), ("describe node bee", ""), ("drain bee", ""),
        ("delete node bee", ""), ("get node bee", ""),
    ],
    "what there is": [
        ("api-versions", ""), ("api-resources", ""), ("api-resources -o wide", ""), ("api-resources -o name", ""),
        ("api-resources --namespaced=false --verbs=list,get", ""), ("api-resources --api-group=apps", ""),
        ("api-resources --categories=api-extensions", ""), ("api-resources --sort-by=kind", ""),
        ("api-resources --sort-by=nothing", ""), ("explain deployment", ""), ("explain deploy.spec.strategy", ""),
        ("explain cronjob.spec.jobTemplate.spec.template.spec.containers.resources", ""),
        ("explain statefulset --recursive", ""), ("explain crd --recursive", ""), ("explain ingress.spec.rules", ""),
        ("explain hpa --api-version=autoscaling/v1", ""), ("explain hpa.spec.metrics", ""),
        ("explain events --api-version=events.k8s.io/v1", ""), ("explain deployment.spec.nothing", ""),
        ("explain unicorn", ""), ("explain pod.spec.containers[0]", ""),
        ("explain role.rules.verbs", ""), ("explain pvc.spec.resources.requests", ""), ("explain sc", ""),
        ("get --raw /apis/apps/v9", ""), ("get --raw /apis/nothing", ""), ("get endpoints", ""),
    ],
    "generators": [(f"create {what}", "") for what in (
        "clusterrole reader --verb=get,list --resource=pods,deployments.apps", "serviceaccount robot",
        "clusterrolebinding readers --clusterrole=reader --user=ann", "role reader --verb=get --resource=pods",
        "rolebinding readers --role=reader --serviceaccount=default:robot", "deployment shop --image=box:1 --replicas=0",
        "cronjob tick --image=box:1 --schedule='0 0 1 1 *' -- true", "job once --image=box:1 -- true",
        "job again --from=cronjob/tick", "ingress shop --rule=shop.example.com/*=shop:80", "quota small --hard=count/pods=9",
        "poddisruptionbudget calm --selector=app=shop --min-available=1", "priorityclass late --value=5 --description=late",
        "secret generic word --from-literal=a=b", "service clusterip shop --tcp=80:8080",
        "secret docker-registry pull --docker-server=x --docker-username=u --docker-password=p",
        "service externalname far --external-name=far.example.com", "configmap made --from-literal=a=1",
        "role reader --verb=get --resource=unicorns", "deployment shop --image=box:1", "secret generic word", "unicorn a")
    ] + [("get deploy,cj,ing,pdb -o name", ""), ("get role,rolebinding,secret,quota,sa -o name", ""),
         ("get secret word -o jsonpath={.data}", ""), ("get role reader -o jsonpath={.rules}", ""),
         ("delete deploy,cj,jobs,ing,pdb,role,rolebinding,secret,quota,cm,svc -l nothing=here", ""),
         ("delete deploy/shop cj/tick job/once job/again ing/shop pdb/calm quota/small --wait=false", "")],
    "the rest": [
        ("create namespace lab", ""), ("get ns", ""), ("describe ns lab", ""), ("create -f -", LEASE), ("get leases", ""),
        ("describe lease turn", ""), ("delete lease turn", ""), ("api-versions --no-such-flag", ""),
        ("explain pod.spec.containers.env", ""), ("explain lease --recursive", ""), ("explain node.status.nope", ""),
        ("explain cm", ""), ("get unicorns", ""), ("get pods/x/y", ""), ("get --raw /livez", ""),
        ("get --raw /readyz", ""),
        ("get --raw /nope", ""),
    ],
}

# What the genuine server says more, by command: a pattern that is taken out of its words, and why it is not in ours.
KNOWN = {
    "apply -f -": (r"@@ (.*\n)+\n", "the genuine server appends a diff of its internal types"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
def test_same_words(name: str, tiny: Path, plane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_EDITOR", "sed -i s/blue/pink/")
    different = []
    for command, text in SCENARIOS[name]:
        ours, theirs = (told(command, text, where) for where in (tiny, plane.kubeconfig))
        pattern, _ = KNOWN.get(command, ("$^", ""))
        if ours != re.sub(pattern, "", theirs):
            different.append(f"$ kubectl {command}\n--- tiny\n{ours}\n--- genuine\n{theirs}")
    assert not different, "\n\n".join(different)


SANITIZE = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "<TIME>"), (r"\w{3}, \d\d \w{3} \d{4} [\d:]+ [+-]\d{4}", "<TIME>"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<UID>"), (r'(resourceVersion"?: "?|Resource Version: +)\d+', r"\1<RV>"),
    (r"https?://127[\d.:]+", "<URL>"), (r"/tmp/\S+", "<TMP>"), (r"(?<=\s)(\d+[smhd]){1,2}(?=[\s)])", "<AGE>"),
    (r"[ \t]+", " "),
]


def told(command: str, text: str, kubeconfig: Path) -> str:
    """What kubectl printed, and its exit status, without what differs from run to run."""
    result = kubectl(command, cluster=kubeconfig, input=text or None, quiet=True)
    words = f"{result}{result.stderr}exit status {result.status}"
    for pattern, mark in SANITIZE:
        words = re.sub(pattern, mark, words)
    return words


def test_version_says_who_answers(tiny: Path) -> None:
    assert "Server Version: v1.37.2+tinykube" in kubectl("version", cluster=tiny, quiet=True)
