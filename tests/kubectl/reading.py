"""What is asked of both servers by test_beside_reading.py: (command, its input) in order, each scenario in a namespace.

`@` stands for the directory that holds FILES and the requests for certificates.
"""
from __future__ import annotations

Asked = list[tuple[str, str]]

THINGS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web, tier: front}, annotations: {note: "a: b"}}
spec:
  containers:
  - {name: web, image: "box:1", ports: [{containerPort: 80, name: http}], env: [{name: COLOR, value: red}]}
  - {name: log, image: "box:2"}
---
apiVersion: v1
kind: Pod
metadata: {name: api, labels: {app: api}}
spec: {restartPolicy: Never, containers: [{name: main, image: "box:3", resources: {limits: {cpu: 500m, memory: 1Gi}}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: colors, labels: {app: web}}
data: {sky: blue, "dotted.key": "two\\nlines"}
binaryData: {raw: AAEC}
---
apiVersion: v1
kind: Secret
metadata: {name: word, labels: {app: web}}
stringData: {password: opens}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}, {name: alt, port: 81}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: shop, image: "shop:1"}]}}
"""
FILES = {
    "path": "{range .items[*]}{.metadata.name}{'\\t'}{.kind}{'\\n'}{end}",
    "template": "{{range .items}}{{.metadata.name}}: {{len .metadata}}\n{{end}}",
    "columns": "NAME            KIND\nmetadata.name   kind\n",
    "broken": "{.items[",
}

OUTPUTS: Asked = [("create -f -", THINGS), *((f"get {what}", "") for what in (
    "pods", "pods -o wide", "pods -o name", "pods -o json", "pods -o yaml", "pods web -o yaml --show-managed-fields",
    "pods web -o json --show-managed-fields=false", "pods --show-labels", "pods --show-kind", "pods -L app",
    "pods -L app,tier",
    "pods --label-columns app --show-labels", "pods --no-headers", "pods --no-headers -o wide", "pods -A -l app=web",
    "pods --all-namespaces -l app=web -o wide", "pods -o jsonpath={.items[*].metadata.name}",
    "pods -o 'jsonpath={range .items[*]}{.metadata.name}:{.spec.restartPolicy}{\"\\n\"}{end}'",
    "pods -o 'jsonpath={.items[?(@.spec.restartPolicy==\"Never\")].metadata.name}'",
    "pods -o 'jsonpath={.items[0].spec.containers[?(@.name==\"log\")].image}'",
    "pod web -o jsonpath={.spec.containers[-1:].name}",
    "pod web -o jsonpath={..image}", "pod web -o jsonpath={.nothing.here}",
    "pod web -o jsonpath={.nothing.here} --allow-missing-template-keys=false",
    "pod web -o jsonpath={.metadata", "pod web -o jsonpath={.metadata.annotations.note}", "pod web -o jsonpath=",
    "pods -o jsonpath-as-json={.items[*].metadata.labels}", "pod web -o jsonpath-as-json={.spec.containers[*].name}",
    "pods -o jsonpath-file=@/path", "pods -o jsonpath-file=@/broken", "pods -o jsonpath-file=@/missing",
    "pods -o 'go-template={{range .items}}{{.metadata.name}} {{end}}'", "pod web -o 'go-template={{.spec.nodeName}}'",
    "pod web -o 'go-template={{.spec.nothing}}' --allow-missing-template-keys=false", "pod web -o 'go-template={{.spec'",
    "pods -o template --template={{len .items}}", "pods -o go-template-file=@/template", "pods -o go-template-file=@/missing",
    "pods -o go-template", "pods --template={{.kind}}", "secret word -o 'go-template={{.data.password|base64decode}}'",
    "pods -o custom-columns=NAME:.metadata.name,IMAGES:.spec.containers[*].image",
    "pods -o custom-columns=NAME:.metadata.name --no-headers",
    "pods -o custom-columns=NAME", "pods -o custom-columns=", "pods -o custom-columns-file=@/columns",
    "pods -o custom-columns-file=@/missing",
    "pods -o custom-columns=A:.metadata.labels.tier,B:.nothing", "pods -o kyaml", "pod web -o kyaml", "pods -o xml",
    "pods -o wide=x",
    "pods --sort-by=.metadata.name", "pods --sort-by={.spec.restartPolicy}",
    "pods --sort-by=.spec.containers[0].image -o name",
    "pods --sort-by=.nothing", "pods --sort-by=.metadata.name -o json", "pods --sort-by={.metadata", "pods --chunk-size=1",
    "pods --chunk-size=1 -o name", "pods --chunk-size=0", "pods --chunk-size=-1", "pods --ignore-not-found",
    "pod nobody --ignore-not-found",
    "pod nobody -o json --ignore-not-found", "pods web api", "pods web nobody", "pod/web svc/web", "pod/web,svc/web",
    "pods,svc web",
    "pods,services,deployments", "pods,services -o name", "pods,configmaps -l app=web", "all", "all -o name",
    "all -l app=web --show-labels",
    "po/web deploy/shop -o wide", "pods web -o name --show-labels", "pods --output-watch-events",
    "pods --watch --output-watch-events "
    "--request-timeout=1s", "pods --watch -o json --output-watch-events --request-timeout=1s",
    "pods -w -o name --request-timeout=1s",
    "pod web --watch-only --request-timeout=1s", "pods,svc --watch --request-timeout=1s",
    "pods -w --sort-by=.metadata.name --request-timeout=1s",
    "pod web --subresource=status -o yaml", "pod web --subresource=status", "deployment shop --subresource=scale",
    "deployment shop --subresource=scale -o yaml", "deployment shop --subresource=nothing",
    "configmap colors --subresource=status",
    "deployments --subresource=scale", "pod web --subresource=resize -o name", "-f -",
    "--raw /api/v1/namespaces/outputs/pods/web/status",
    "--raw /api/v1/namespaces/outputs/configmaps?limit=1", "--raw /api/v1/namespaces/outputs/configmaps/colors -o yaml",
    "--raw nothing",
    "--raw /api/v1/namespaces/outputs/pods/nobody", "--raw /api/v1/namespaces/outputs/pods?labelSelector=a%20b",
    "--raw /api/v1/namespaces/outputs/pods?limit=x", "--raw /api/v1/namespaces/outputs/pods?fieldSelector=spec.x%3D1",
    "--raw /api/v1/namespaces/outputs/pods?watch=1&timeoutSeconds=1&resourceVersion=9999999999", "--raw /version/nothing",
    "pods -l 'app in (web,api),tier'", "pods -l '!tier'", "pods -l app!=web", "pods -l 'app notin (web)'", "pods -l 'app,,'",
    "pods -l 'a b'",
    "pods -l app=web web", "pods --field-selector metadata.name!=web",
    "pods --field-selector metadata.name=web,status.phase=Pending",
    "pods --field-selector status.phase", "pods --field-selector=spec.restartPolicy=Never -o name",
    "configmaps --field-selector data.sky=blue",
    "services --field-selector spec.type=ClusterIP -o name", "secrets --field-selector type=Opaque -o name",
    "events --field-selector type=Odd",
    "", "pods/", "pods/web/x", "/web", "pods.v1.", "pods.v1.core", "deployments.apps", "deployments.v1.apps",
    "deploy.v9.apps", "pods.nothing.io",
    "PODS", "Pod", "cm,nothing", "deployments.v1beta1.apps", "events.v1.events.k8s.io", "hpa.v1.autoscaling",
    "horizontalpodautoscalers.v2.autoscaling",
    "cm colors -o jsonpath={.data.dotted\\.key}", "cm colors -o yaml", "cm colors", "secret word", "secret word -o yaml",
    "svc web -o wide",
    "svc web -o yaml", "deploy shop -o wide", "deploy shop -o yaml", "deploy shop -o json", "pods --server-print=false",
    "deploy --server-print=false -o wide",
    "pods --watch=maybe", "pods --limit=1", "nodes web", "nodes -n nowhere", "pods -n nowhere", "namespace nowhere",
    "namespaces outputs -o name",
    "ns outputs -o jsonpath={.status.phase}")), ("delete deploy,svc,pods,cm,secret -l app --wait=false", ""), ("get all", "")]

DESCRIBE: Asked = [("create -f -", THINGS), *((f"describe {what}", "") for what in (
    "pod web", "pod api", "pods", "pods -l app=web", "pod we", "pod nobody", "pods -l app=nobody", "pod/web svc/web",
    "pod,svc", "svc web",
    "deploy shop", "cm colors", "secret word", "deploy/shop --show-events=false", "unicorn a", "pod web nobody", "",
    "pod/web -l app=web",
    "-f -", "all", "ns describe", "pods --chunk-size=1", "pod -A -l app=api", "rs", "hpa nothing", "node nothing", "csr",
    "crd",
    "pods --show-events=maybe", "cm -l 'a b'", "storageclass", "limitrange,quota", "endpoints web", "endpointslices"))]

EVENTS = "\n---\n".join(f"""
apiVersion: v1
kind: Event
metadata: {{name: {about}.{number}, namespace: events}}
involvedObject: {{apiVersion: v1, kind: {kind}, name: {about}, namespace: events, uid: "{number}"}}
reason: {reason}
message: it was {reason.lower()}
type: {type}
count: {number}
source: {{component: test, host: ant}}
firstTimestamp: "2026-01-0{number}T00:00:00Z"
lastTimestamp: "2026-02-0{number}T00:00:00Z"
""" for number, kind, about, reason, type in (
    (1, "Pod", "web", "Tested", "Normal"), (2, "Pod", "web", "Broken", "Warning"), (3, "ConfigMap", "colors", "Painted",
    "Normal"),
    (4, "Pod", "api", "Odd", "Normal"))) + """
---
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: new.5, namespace: events}
regarding: {apiVersion: v1, kind: Pod, name: web, namespace: events, fieldPath: "spec.containers{web}"}
reason: Modern
note: told in the new way
type: Warning
action: Testing
eventTime: "2026-03-01T00:00:00.000001Z"
reportingController: example.com/tester
reportingInstance: tester-1
series: {count: 7, lastObservedTime: "2026-03-02T00:00:00.000000Z"}
"""
EVENT_QUESTIONS: Asked = [("create -f -", THINGS), ("create -f -", EVENTS), *((what, "") for what in (
    "events", "events -A --for pod/web", "events --for pod/web", "events --for Pod/web", "events --for pods/web",
    "events --for pod/nobody",
    "events --for nothing", "events --for unicorn/a", "events --for cm/colors", "events --for deploy/shop",
    "events --types=Warning", "events --types=Normal,Warning",
    "events --types=normal", "events --types=Odd", "events --types=", "events --for pod/web --types=Warning",
    "events -o json", "events -o yaml",
    "events -o name", "events -o wide", "events -o jsonpath={.items[*].reason}", "events -o 'go-template={{len .items}}'",
    "events --no-headers",
    "events --chunk-size=1", "events --watch --request-timeout=1s", "events web", "events -n nowhere",
    "events --for pod/web --no-headers -o name",
    "get events", "get events -o wide", "get events --sort-by=.lastTimestamp", "get events --sort-by=.count -o name",
    "get ev --field-selector type=Warning",
    "get events --field-selector reason=Painted,type=Normal", "get events --field-selector involvedObject.kind=ConfigMap",
    "get events.events.k8s.io",
    "get events.v1.events.k8s.io new.5 -o yaml", "get event new.5 -o yaml", "get events.events.k8s.io web.1 -o yaml",
    "describe event web.2",
    "describe events.events.k8s.io new.5", "get events --field-selector regarding.name=web",
    "get events --field-selector reportingController=x",
    "describe pod web", "describe cm colors", "delete events --field-selector reason=Odd",
    "delete events --field-selector nothing=x",
    "delete events --all", "events"))]

ROLES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: rights}
rules: [{apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]},
  {apiGroups: [apps], resources: [deployments], verbs: ["*"]},
  {apiGroups: [""], resources: [configmaps], resourceNames: [colors, forms], verbs: [update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: rights}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}, {kind: ServiceAccount, name: robot}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nodes-and-pages}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}, {nonResourceURLs: [/metrics, "/logs/*"], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: jane-sees-nodes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nodes-and-pages}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io},
  {kind: Group, name: devs, apiGroup: rbac.authorization.k8s.io}]
"""
MORE_RIGHTS = ROLES.replace("[get, list]", "[get, watch]").replace("name: robot", "name: robot, namespace: rights")
RIGHTS: Asked = [("create sa robot", ""), *((f"auth reconcile {how} -f -", text) for how, text in (
    ("--dry-run=client", ROLES), ("--dry-run=server", ROLES), ("", ROLES), ("", ROLES), ("", MORE_RIGHTS),
    ("--remove-extra-permissions", MORE_RIGHTS),
    ("--remove-extra-subjects", MORE_RIGHTS), ("-o name", ROLES), ("-o yaml", ROLES), ("", THINGS), ("", "nothing: here"),
    ("", ROLES.replace("kind: Role,", "kind: ClusterRole,")), ("--as=jane", ROLES),
    ("--as=jane", ROLES.replace("name: reader,", "name: writer,")))),
    *((f"auth {what}", "") for what in (
        "can-i create pods", "can-i '*' '*'", "can-i '*' '*' -A", "can-i get /logs/", "can-i get logs",
        "can-i get pods --as=jane", "can-i get pods --as=jane -q",
        "can-i delete pods --as=jane", "can-i delete pods --as=jane -q", "can-i delete pods --as=jane --warnings-as-errors",
        "can-i get pods --as=jane -n default",
        "can-i get pods -A --as=jane", "can-i get pods --subresource=log --as=jane", "can-i get pods/log --as=jane",
        "can-i create pods --subresource=exec --as=jane",
        "can-i update configmaps/colors --as=jane", "can-i update cm/other --as=jane", "can-i update configmaps --as=jane",
        "can-i create deployments.apps --as=jane",
        "can-i create deploy --as=jane", "can-i create deployments.extensions --as=jane", "can-i get nodes --as=jane",
        "can-i list nodes --as=jane",
        "can-i get nodes --as=jane -n default", "can-i get unicorns", "can-i get unicorns --as=jane",
        "can-i frobnicate pods", "can-i frobnicate pods --as=jane",
        "can-i get /metrics --as=jane", "can-i get /logs/kubelet --as=jane", "can-i post /metrics --as=jane",
        "can-i get /healthz --as=jane",
        "can-i get /version --as=nobody", "can-i get pods --as=system:serviceaccount:rights:robot",
        "can-i get pods --as=joe --as-group=devs",
        "can-i get nodes --as=joe --as-group=devs", "can-i get nodes --as=joe --as-group=devs --as-group=x",
        "can-i get nodes --as-group=devs", "can-i", "can-i get",
        "can-i get pods web extra", "can-i --list", "can-i --list -A", "can-i --list --as=jane",
        "can-i --list --as=jane -n default", "can-i --list --no-headers --as=jane",
        "can-i --list --as=system:serviceaccount:rights:robot", "can-i --list --as=joe --as-group=devs",
        "can-i get pods --list", "can-i --list -q", "can-i get pods --as=",
        "can-i impersonate users", "can-i impersonate users --as=jane", "can-i use unicorns", "can-i list --raw",
        "can-i get pods --subresource=log pods/web",
        "whoami", "whoami -o yaml", "whoami -o json", "whoami -o jsonpath={.status.userInfo.username}", "whoami -o name",
        "whoami -o wide", "whoami extra", "whoami --as=jane",
        "whoami --as=jane --as-group=devs --as-group=ops", "whoami --as=jane --as-uid=5 -o yaml",
        "whoami --as=system:serviceaccount:rights:robot", "whoami --as-group=devs",
        "whoami --as=jane --as-user-extra=reasons=curious -o yaml", "whoami --token=wrong", "", "nothing")),
    *((what, "") for what in (
        "get pods --as=jane", "get secrets --as=jane", "get nodes --as=jane", "get pods -A --as=jane",
        "get pod nobody --as=jane", "get pods --as=jane --as-group=system:masters",
        "delete pod web --as=jane", "create cm made --from-literal=a=b --as=jane", "get cm --as=jane --as-uid=x",
        "get --raw /metrics --as=nobody", "get --raw /livez --as=nobody",
        "get ns --as=jane", "describe role reader", "describe clusterrole nodes-and-pages", "describe rolebinding readers",
        "describe clusterrolebinding jane-sees-nodes",
        "get role,rolebinding -o wide", "get clusterrole nodes-and-pages -o yaml",
        "get clusterrolebinding jane-sees-nodes -o wide", "get clusterroles -o name",
        "get clusterrolebindings -o wide", "get roles -A -o name", "get rolebindings -A", "describe clusterrole edit",
        "describe clusterrole cluster-admin",
        "describe clusterrole system:node", "describe clusterrolebinding cluster-admin", "get clusterrole view -o yaml",
        "get pods --user=nobody", "get pods --context=nowhere",
        "get pods --cluster=nowhere", "get pods --server=nonsense://x",
        "get pods --token=wrong --client-certificate= --client-key=", "get pods --request-timeout=0.5x",
        "get pods --tls-server-name=elsewhere", "get pods --insecure-skip-tls-verify", "get pods --username=a --password=b",
        "create role cook --verb=get --resource=pods --as=jane", "delete clusterrole nodes-and-pages",
        "delete clusterrolebinding jane-sees-nodes"))]

TOKENS: Asked = [(what, "") for what in (
    "create token robot", "create sa robot", "create token robot", "create token robot --duration=10m",
    "create token robot --duration=1s", "create token robot --duration=-1h",
    "create token robot --duration=x", "create token robot --duration=9999999h",
    "create token robot --audience=a --audience=b", "create token robot -o yaml", "create token robot -o json",
    "create token robot -o name", "create token robot --bound-object-kind=Pod",
    "create token robot --bound-object-kind=Pod --bound-object-name=nobody",
    "create token robot --bound-object-kind=ConfigMap --bound-object-name=x", "create token robot --bound-object-name=x",
    "create token robot --bound-object-kind=Node --bound-object-name=nobody",
    "create secret generic word --from-literal=a=b", "create token robot --bound-object-kind=Secret --bound-object-name=word",
    "create token robot --bound-object-kind=Secret --bound-object-name=word --bound-object-uid=other", "create token",
    "create token a b", "create token nobody", "create token Bad_Name",
    "get sa", "get sa robot -o yaml", "describe sa robot", "get sa -o wide", "create sa robot", "create sa Bad_Name",
    "describe sa nobody", "delete sa robot")]

CSR = """
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec: {{request: {request}, signerName: {signer}, usages: {usages}}}
"""


def csr(name: str, request: str, signer: str = "kubernetes.io/kube-apiserver-client", usages: str = "[client auth]") -> str:
    """A request for a certificate; `request` is the encoded one, or something else."""
    return CSR.format(name=name, request=request, signer=signer, usages=usages)


def certificates(request: str) -> Asked:
    """Requests that are approved, denied, wrong."""
    return [("create -f -", text) for text in (
        csr("ann", request), csr("ann", request), csr("ben", request, "example.com/own",
        "[digital signature, key encipherment]"), csr("cleo", request),
        csr("bad-usage", request, usages="[swimming]"), csr("no-usage", request, usages="[]"),
        csr("bad-signer", request, "nothing"), csr("bad-request", "bm90aGluZw=="),
        csr("no-request", '""'), csr("twice", request, usages="[client auth, client auth]"),
        csr("old", request, "kubernetes.io/legacy-unknown"),
        csr("kubelet", request, "kubernetes.io/kube-apiserver-client-kubelet"))] + [(what, "") for what in (
            "get csr", "get csr -o wide", "get csr ann -o yaml", "describe csr ann", "certificate approve ann",
            "certificate approve ann", "certificate approve ann --force", "get csr ann -o yaml",
            "certificate deny ann", "certificate deny ben cleo", "certificate deny ben", "certificate approve ben",
            "describe csr ben", "get csr", "certificate approve nobody",
            "certificate approve", "certificate approve csr/cleo", "certificate nothing", "certificate approve -l a=b",
            "certificate approve old kubelet nobody", "get csr old -o yaml",
            "certificate approve old --dry-run=server", "certificate deny pod/web", "certificate approve ann -o name",
            "certificate deny cleo -o yaml", "get csr --field-selector spec.signerName=example.com/own",
            "get csr --field-selector spec.username=x", "certificate approve bad-usage --as=jane",
            "patch csr ann --subresource=approval --type=merge -p '{\"status\":{\"conditions\":null}}'",
            "patch csr ann --type=merge -p '{\"spec\":{\"signerName\":\"other.io/x\"}}'",
            "patch csr ann --subresource=status --type=merge -p '{\"status\":{\"certificate\":\"bm90aGluZw==\"}}'",
            "get csr --sort-by=.metadata.name", "delete csr ann ben cleo", "delete csr nobody", "delete csr --all")]


WHAT_THERE_IS: Asked = [(what, "") for what in (
    "api-resources --namespaced=true -o name", "api-resources --verbs=deletecollection -o name",
    "api-resources --verbs=frobnicate", "api-resources --no-headers --api-group=batch", "api-resources -o json",
    "api-resources -o yaml --api-group=policy", "api-resources --api-group=nothing", "api-resources --categories=all",
    "api-resources --cached --api-group=apps -o wide", "api-resources extra",
    "api-resources --namespaced=maybe", "api-versions extra", "explain pods", "explain pod.spec",
    "explain pod.metadata.labels", "explain pods.spec.containers.livenessProbe.httpGet",
    "explain Pod.spec.containers.ports",
    "explain pod --recursive", "explain service.spec --recursive", "explain networkpolicy --recursive",
    "explain cm --recursive", "explain secret.data", "explain svc.spec.ports.targetPort",
    "explain deployments.apps", "explain deployments.v1.apps", "explain deploy --api-version=apps/v9",
    "explain deploy --api-version=v1", "explain hpa --api-version=autoscaling/v2", "explain --recursive=maybe pod",
    "explain", "explain pod svc", "explain pod.", "explain .pod", "explain pod..spec", "explain pod.nothing",
    "explain nodes.status.conditions", "explain rolebinding.subjects", "explain role.rules.nothing",
    "explain csr.spec", "explain mutatingwebhookconfiguration.webhooks.rules --recursive", "explain cj.spec.schedule",
    "explain sts.spec.volumeClaimTemplates", "explain pvc.spec.accessModes", "explain pv.spec.csi",
    "explain pdb.spec.minAvailable", "explain quota.spec.hard", "explain limits.spec.limits.max", "explain endpointslices",
    "explain lease.spec.holderIdentity", "explain priorityclass.value", "explain runtimeclass --recursive",
    "explain apiservice", "explain crd.spec.versions.schema.openAPIV3Schema", "explain componentstatus", "explain binding",
    "explain tokenreviews.spec", "explain selfsubjectaccessreviews", "explain events",
    "explain pod --output=plaintext", "explain pod --output=plaintext-openapiv2",
    "explain deploy.spec --output=plaintext-openapiv2",
    "explain pod.spec.containers --output=plaintext-openapiv2 --recursive",
    "explain pod.nothing --output=plaintext-openapiv2", "explain cm.data --output=plaintext-openapiv2",
    "explain svc.spec.ports --output=plaintext-openapiv2 --recursive", "explain pod --output=nothing",
    "explain cronjob --output=plaintext-openapiv2 --api-version=batch/v1", "explain crd --output=plaintext-openapiv2",
    "explain deviceclass", "explain resourceclaim.spec --recursive",
    "cluster-info", "cluster-info nothing", "cluster-info dump --namespaces=nowhere", "version --output=xml",
    "version extra", "get componentstatuses nothing", "get cs -l a=b", "describe cs nothing",
    "get --raw /api", "get --raw /apis/apps", "get --raw /apis/batch/v1", "get --raw /api/v2",
    "get --raw /openapi/v3/nothing", "get --raw /openapi/v9", "get --raw /healthz", "get --raw /livez/ping",
    "get cs etcd-0", "get cs etcd-0 -o yaml", "describe cs etcd-0", "get --raw /readyz/nothing", "get --raw /healthz/etcd",
    "get --raw /.well-known/nothing")]

WAITING: Asked = [("create -f -", THINGS), *((f"wait {what}", "") for what in (
    "--for=jsonpath={.status.phase}=Pending pod/web --timeout=9s",
    "--for=jsonpath={.status.phase}=Pending pods --all --timeout=9s",
    "--for=jsonpath='{.spec.restartPolicy}'=Never pod -l app=api --timeout=9s",
    "--for=jsonpath={.spec.replicas}=2 deploy/shop --timeout=9s", "--for=jsonpath={.spec.replicas} deploy/shop --timeout=9s",
    "--for=jsonpath={.metadata.labels.app}=other pod/web --timeout=1s", "--for=jsonpath={.nothing}=x pod/web --timeout=1s",
    "--for=jsonpath={.status pod/web --timeout=1s", "--for=jsonpath= pod/web --timeout=1s",
    "--for=condition=Ready pod/web --timeout=0", "--for=condition=Ready pod/web --timeout=1s",
    "--for=condition=Ready=False pod/web --timeout=1s",
    "--for=condition=Available deploy/shop --timeout=1s", "--for=condition= pod/web --timeout=1s",
    "--for=delete pod/nobody --timeout=1s", "--for=delete pod/web --timeout=1s",
    "--for=delete pods -l app=nobody --timeout=1s",
    "--for=create pod/web --timeout=9s", "--for=create pod/nobody --timeout=1s", "--for=create pods --all --timeout=1s",
    "--for=create pods -l app=web --timeout=1s", "--for=create=x pod/web", "--for=nothing pod/web", "pod/web",
    "--for=condition=Ready",
    "--for=condition=Ready pod", "--for=condition=Ready pod/nobody --timeout=1s",
    "--for=condition=Ready pods -l app=nobody --timeout=1s", "--for=condition=Ready unicorn/a",
    "--for=condition=Ready pod/web --timeout=x", "--for=condition=Ready pod/web pod/api --timeout=1s",
    "--for=condition=Ready -f - --timeout=1s", "--for=jsonpath={.status.phase}=Pending --timeout=9s pod/web pod/api",
    "--for=jsonpath={.data.sky}=blue cm/colors --timeout=9s -o name",
    "--for=jsonpath={.data.sky}=blue cm/colors -o jsonpath={.data.sky}",
    "--for=jsonpath={.spec.containers[*].name}=web pod/web --timeout=1s",
    "--for=jsonpath={.status.phase}=Active ns/waiting --timeout=9s", "--for=delete --all pods --timeout=0")),
    ("rollout status deploy/shop --timeout=1s", ""), ("rollout status deploy/nothing", ""), ("rollout status pod/web", ""),
    ("rollout history deploy/shop", ""), ("rollout history deploy/shop --revision=1", ""),
    ("rollout status deploy/shop --watch=false", ""), ("rollout status deploy/shop --revision=4", ""),
    ("rollout history cm/colors", ""), ("rollout history deploy -l app=shop", "")]

DELETING: Asked = [("create -f -", THINGS), *((f"delete {what}", "") for what in (
    "", "pod", "pod web --grace-period=-5", "pod nobody", "pods nobody --ignore-not-found", "pod/web/x", "unicorn a",
    "pod web --cascade=sideways", "pod -l 'a b'", "pods --all -l app=web", "pod web --all", "pods --field-selector spec.x=1",
    "-f -",
    "pod web --dry-run=client", "pod web --dry-run=server", "pod web --dry-run=server -o name", "pod web --dry-run=maybe",
    "pod web -o yaml", "pod web -o json", "pod web --force --grace-period=5", "pod web --now --grace-period=1",
    "pods web nobody -o name --wait=false",
    "cm colors --dry-run=server", "deploy shop --cascade=orphan --dry-run=server", "cm,secret -l app=nobody",
    "pods --field-selector metadata.name=nobody", "svc kubernetes -n nowhere", "cm --all -n nowhere", "ns nowhere",
    "node nobody", "--raw /api/v1/nothing",
    "--raw /api/v1/namespaces/deleting/configmaps/nobody", "--raw /api/v1/namespaces/deleting/configmaps/colors",
    "secret word --wait --timeout=5s", "pods --all --force --grace-period=0",
    "deploy shop --cascade=foreground --wait=false", "svc web", "all --all --wait=false"))]

SCENARIOS: dict[str, Asked] = {
    "outputs": OUTPUTS, "describe": DESCRIBE, "events": EVENT_QUESTIONS, "rights": RIGHTS, "tokens": TOKENS,
    "there": WHAT_THERE_IS, "waiting": WAITING, "deleting": DELETING}
