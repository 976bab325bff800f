"""Admission webhooks: both api-servers ask the same HTTPS server the same questions, and do as it says."""
from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from bookkit.tiers import missing
from tinykube.api.keys import Authority
from tinykube.cluster.dialer import ask_webhook

from tests.behaviour.target import wait
from tests.seats.access import Side, genuine_side, tiny_side

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(300), pytest.mark.xdist_group("genuine-webhooks")]

Object = dict[str, Any]
D, CONFIGS = "/api/v1/namespaces/default", "/apis/admissionregistration.k8s.io/v1/"


def patch(*operations: Object) -> Object:
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}


def add(key: str, value: str = "1") -> Object:
    return {"op": "add", "path": f"/metadata/labels/{key}", "value": value}


def count_up(asked: Object) -> Object:
    """A label that says how often the object passed here."""
    labels = asked["object"]["metadata"]["labels"]
    return patch(add("count", str(int(labels.get("count", "0")) + 1)))


ANSWERS: dict[str, Any] = {
    "adds": lambda asked: patch(add("by", "hook")),
    "denies": lambda asked: {"allowed": False, "status": {"message": "no oven here"}},
    "denies-silently": lambda asked: {"allowed": False}, "counts": count_up, "adds-later": lambda asked: patch(add("late")),
    "denies-in-words": lambda asked: {"allowed": False, "status": {"code": 418, "reason": "Teapot", "message": "short and stout"}},
    "warns": lambda asked: {"allowed": True, "warnings": ["mind the step", 'and "this"']},
    "patches-badly": lambda asked: patch({"op": "remove", "path": "/metadata/none"}),
    "patches-to-nonsense": lambda asked: patch({"op": "replace", "path": "/data", "value": 7}),
    "allows": lambda asked: {"allowed": True}, "allows-late": lambda asked: {"allowed": True},
    "converts-late": lambda asked: {"result": {"status": "Success"}, "convertedObjects": [
        {**each, "apiVersion": asked["desiredAPIVersion"]} for each in asked["objects"]]},
    "other-uid": lambda asked: {"allowed": True, "uid": "other"}}


@dataclass
class Hooks:
    """An HTTPS server that answers reviews by the last part of the path, and keeps the questions."""

    url: str
    ca: str
    asked: dict[str, list[Object]] = field(default_factory=dict)
    release: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hooks]:
    authority, folder = Authority(), tmp_path_factory.mktemp("hooks")
    mine = authority.server("hooks")
    (folder / "pair.pem").write_bytes(mine.certificate + mine.key)
    found = Hooks("", base64.b64encode(authority.certificate).decode())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path = self.path.partition("?")[0]
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.asked.setdefault(path, []).append({**review, "timeout": self.path.partition("?")[2]})
            kind = path.rpartition("/")[2]
            if kind == "sleeps" or kind.endswith("-late"):
                found.release.wait(30)
            answer: Any = {**review, "response": {"uid": review["request"]["uid"], **ANSWERS[kind](review["request"])}} \
                if kind in ANSWERS else {}
            body = b"nonsense" if kind == "speaks-nonsense" else json.dumps(answer).encode()
            self.send_response(500 if kind == "fails" else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on the standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "pair.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    found.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        found.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


def hook(hooks: Hooks, side: str, case: str, answer: str, **more: Any) -> Object:
    """A webhook that is asked about ConfigMaps with the label of its case, unless `more` says otherwise."""
    url = "https://127.0.0.1:1/nobody" if answer == "is-not-there" else f"{hooks.url}/{side}/{case}/{answer}"
    return {"name": f"{case}.book.example", "clientConfig": {"url": url, "caBundle": hooks.ca}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "objectSelector": {"matchLabels": {"case": case}}, "timeoutSeconds": 10,
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
            **more}


IGNORE, SHORT = {"failurePolicy": "Ignore"}, {"timeoutSeconds": 1}
MUTATING: dict[str, list[tuple[str, Object]]] = {
    "adds": [("adds", {})], "patches-badly": [("patches-badly", {})], "patches-to-nonsense": [("patches-to-nonsense", {})],
    "again": [("counts", {"reinvocationPolicy": "IfNeeded"}), ("adds-later", {})],
    "not-again": [("counts", {}), ("adds-later", {})],
    "denied-early": [("denies", {})], "broken": [("is-not-there", {})], "broken-ignored": [("is-not-there", IGNORE)]}
VALIDATING: dict[str, tuple[str, Object]] = {
    "denies": ("denies", {}), "denies-silently": ("denies-silently", {}), "denies-in-words": ("denies-in-words", {}),
    "warns": ("warns", {}), "validating-patch": ("adds", {}), "allows": ("allows", {}), "other-uid": ("other-uid", {}),
    "fails": ("fails", {}), "fails-ignored": ("fails", IGNORE), "speaks-nonsense": ("speaks-nonsense", {}),
    "answers-nothing": ("nothing", {}), "sleeps": ("sleeps", SHORT), "sleeps-ignored": ("sleeps", {**SHORT, **IGNORE}),
    "elsewhere": ("denies", {"namespaceSelector": {"matchLabels": {"none": "1"}}}),
    "here": ("denies", {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}),
    "cluster-only": ("denies", {"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
                                           "scope": "Cluster"}]}),
    "everything": ("denies", {"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]}),
    "deletions": ("denies", {"rules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"],
                                        "resources": ["configmaps"]}]}),
    "zz-last": ("denies", {})}


@pytest.fixture(scope="module")
def sides(hooks: Hooks) -> Iterator[tuple[Side, Side]]:
    with tiny_side(dial=ask_webhook) as tiny, genuine_side() as genuine:
        for side in (tiny, genuine):
            for case, each in MUTATING.items():
                listed = [hook(hooks, side.name, case, answer, **{**more, "name": f"{number}.{case}.book.example"})
                          for number, (answer, more) in enumerate(each)]
                made = side.ask("admin", "POST", f"{CONFIGS}mutatingwebhookconfigurations", {
                    "metadata": {"name": case}, "webhooks": listed})
                assert made[0] == 201, made
            for case, (answer, more) in VALIDATING.items():
                made = side.ask("admin", "POST", f"{CONFIGS}validatingwebhookconfigurations", {
                    "metadata": {"name": case}, "webhooks": [hook(hooks, side.name, case, answer, **more)]})
                assert made[0] == 201, made
            asked = "POST", f"{D}/configmaps?dryRun=All", config("zz-last")
            wait(lambda side=side, asked=asked: side.ask("admin", *asked)[0] == 400, "the hooks")
        yield tiny, genuine


def config(case: str, **more: Any) -> Object:
    return {"metadata": {"name": f"c-{case}", "labels": {"case": case}}, "data": {"a": "b"}, **more}


def plain(value: Any, hooks: Hooks, side: Side) -> Any:
    """What an answer or a question says, without what differs from one server to the other."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UID", json.dumps(value).replace(f"/{side.name}/", "/SIDE/"))
    return json.loads(text)


OWN_WORDS = {                            # after these, each says in the words of its own libraries what went wrong
    "broken": '?timeout=10s": ', "speaks-nonsense": 'failed calling webhook "speaks-nonsense.book.example": ',
    "patches-badly": "Internal error occurred: "}


@pytest.mark.parametrize("case", [*MUTATING, *VALIDATING])
def test_both_do_as_they_are_told(sides: tuple[Side, Side], hooks: Hooks, case: str) -> None:
    answers = []
    for side in sides:
        response = side.session("admin").post(f"{side.url}{D}/configmaps", json=config(case), timeout=30)
        body = response.json()
        told = {key: body["metadata"].get("labels") for key in ("labels",)} if response.status_code == 201 else {
            "message": body["message"], "reason": body.get("reason"), "details": body.get("details"), "code": body["code"]}
        if case in OWN_WORDS and "message" in told:
            told = {"message": told["message"].partition(OWN_WORDS[case])[:2]}
        answers.append((response.status_code, response.headers.get("Warning"), plain(told, hooks, side)))
    assert answers[0] == answers[1]


def test_both_ask_the_same_question(sides: tuple[Side, Side], hooks: Hooks) -> None:
    questions = []
    for side in sides:
        path = f"/{side.name}/allows/allows"
        side.ask("admin", "DELETE", f"{D}/configmaps/c-allows")
        hooks.asked.pop(path, None)
        assert side.ask("admin", "POST", f"{D}/configmaps", config("allows"))[0] == 201
        assert side.ask("admin", "POST", f"{D}/configmaps?dryRun=All", {**config("allows"), "metadata": {
            "generateName": "x-", "labels": {"case": "allows"}}})[0] == 201
        assert side.ask("admin", "PUT", f"{D}/configmaps/c-allows", config("allows", data={"a": "c"}))[0] == 200
        questions.append([without_times(plain(each, hooks, side)) for each in hooks.asked[path]])
    assert len(questions[0]) == 3
    assert questions[0] == questions[1]


def without_times(review: Object) -> Object:
    request = review["request"]
    request["uid"] = ""
    request["userInfo"]["extra"] = sorted(request["userInfo"]["extra"])
    for each in (request["object"], request.get("oldObject")):
        for name in ("uid", "creationTimestamp", "resourceVersion", "managedFields"):
            (each or {}).get("metadata", {}).pop(name, None)
    if request["object"]["metadata"].get("generateName"):
        request["name"] = request["object"]["metadata"]["name"] = ""
    return review


def test_a_deletion_can_be_denied(sides: tuple[Side, Side], hooks: Hooks) -> None:
    said = []
    for side in sides:
        side.ask("admin", "POST", f"{D}/configmaps", config("deletions"))
        code, answer = side.ask("admin", "DELETE", f"{D}/configmaps/c-deletions")
        question = hooks.asked[f"/{side.name}/deletions/denies"][-1]["request"]
        said.append((code, answer["message"], question["object"], question["oldObject"]["data"], question["operation"],
                     question["options"]))
    assert said[0] == said[1]
    assert said[0][0] == 400
