# ruff: noqa: E501 - texts of the server stand in one line each
"""One kind in two versions that differ: a webhook converts, and the server believes it only so far."""

from __future__ import annotations

import base64
import itertools
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tinykube.api.keys import Authority

from tests.behaviour.target import Object, Target, wait
from tests.behaviour.test_custom_resources import CRDS, MERGE, definition, fields, version
from tests.behaviour.test_objects import refused

APPLY = "application/apply-patch+yaml"
TEXT, WORDS, SIZE = {"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "integer"}
STATUS = fields(seen={"type": "string"})
V1 = version("v1", fields(spec=fields(text=TEXT, size=SIZE | {"default": 3}), status=STATUS), subresources={"status": {}})
V2 = version("v2", fields(spec=fields(words=WORDS, size=SIZE, color=TEXT | {"default": "red"}), status=STATUS), storage=False,
             subresources={"status": {}})


class Webhook:
    """An HTTPS server that converts between a text and a list of its words, and keeps the questions; `spoil` spoils answers."""

    def __init__(self, folder: Path, here: str) -> None:
        self.asked: list[Object] = []
        self.paths: list[str] = []
        self.spoil: Callable[[Object], Any] = lambda answer: answer
        authority = Authority()
        pair = authority.server("converter", (here,))
        (folder / "pair.pem").write_bytes(pair.certificate + pair.key)
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.asked.append(review)
                webhook.paths.append(self.path)
                body = json.dumps(webhook.spoil(webhook.answer(review))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing on the standard error."""

        self.server = ThreadingHTTPServer((here, 0), Handler)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(folder / "pair.pem")
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.client = {"url": f"https://{here}:{self.server.server_port}/convert",
                       "caBundle": base64.b64encode(authority.certificate).decode()}
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def answer(self, review: Object) -> Object:
        request = review["request"]
        converted = [self.convert(each, request["desiredAPIVersion"]) for each in request["objects"]]
        return {"kind": review["kind"], "apiVersion": review["apiVersion"], "response": {
            "uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": converted}}

    @staticmethod
    def convert(obj: Object, wanted: str) -> Object:
        spec = dict(obj.get("spec") or {})
        if "text" in spec and wanted.endswith("v2"):
            spec["words"] = spec.pop("text").split()
        elif "words" in spec and wanted.endswith("v1"):
            spec["text"] = " ".join(spec.pop("words"))
        return {**obj, "apiVersion": wanted, "spec": spec}

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def webhook(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    if not target.here:
        pytest.skip(f"it is not known how the api-server of {target.name} would reach this machine")
    opened = Webhook(tmp_path_factory.mktemp("converter"), target.here)
    yield opened
    opened.close()


class Notes:
    """A kind with two versions."""

    def __init__(self, target: Target, webhook: Webhook) -> None:
        self.target, self.webhook = target, webhook
        self.plural = f"notes{uuid.uuid4().hex[:6]}"
        self.kind, self.crd = self.plural.capitalize(), f"{CRDS}/{self.plural}.book.example"
        self.told = f"Kind={self.kind}"

    @property
    def asked(self) -> list[Object]:
        """The questions about this kind: those who watched an earlier one may still ask about that."""
        return [each for each in self.webhook.asked if each["request"]["objects"][0]["kind"] == self.kind]

    def path(self, version: str, name: str = "") -> str:
        return f"/apis/book.example/{version}/namespaces/default/{self.plural}" + (f"/{name}" if name else "")

    def body(self, version: str, name: str, **spec: Any) -> Object:
        return {"apiVersion": f"book.example/{version}", "kind": self.kind, "metadata": {"name": name}, "spec": spec}

    def make(self, version: str, name: str, **spec: Any) -> Any:
        return self.target.call("POST", self.path(version), self.body(version, name, **spec))

    def get(self, version: str, name: str) -> Any:
        return self.target.call("GET", self.path(version, name))

    def change(self, **spec: Any) -> Object:
        answer = self.target.call("PATCH", self.crd, {"spec": spec}, kind=MERGE)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]


def by_webhook(client: Object, reviews: list[str] | None = None) -> Object:
    return {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": reviews or ["v1"]}}


@pytest.fixture
def notes(target: Target, webhook: Webhook) -> Iterator[Notes]:
    found = Notes(target, webhook)
    webhook.spoil = lambda answer: answer
    made = target.call("POST", CRDS, definition(found.plural, found.kind, versions=[V1, V2], conversion=by_webhook(webhook.client)))
    assert made.status_code == 201, made.text
    for each in ("v1", "v2"):
        wait(lambda each=each: target.call("GET", found.path(each)).status_code == 200, f"{each} to be served")
    webhook.asked.clear()
    webhook.paths.clear()
    yield found
    webhook.spoil = lambda answer: answer
    target.call("DELETE", found.crd)


C = "spec.conversion"
DNS = "a DNS-1035 label must consist of lower case.*"
URL = f"{C}.webhookClientConfig.url"
SERVICE = f"{C}.webhookClientConfig.service"
GOOD = {"url": "https://there.example/convert"}
BAD: dict[str, tuple[Object, str]] = {
    "no webhook": ({"strategy": "Webhook"}, f"[{C}.webhookClientConfig: Required value: required when strategy is set to Webhook, {C}.conversionReviewVersions: Required value]"),
    "no client": ({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}, f"{C}.webhookClientConfig: Required value: required when strategy is set to Webhook"),
    "no versions": ({"strategy": "Webhook", "webhook": {"clientConfig": GOOD, "conversionReviewVersions": []}}, f"{C}.conversionReviewVersions: Required value"),
    "unknown versions": (by_webhook(GOOD, ["v7"]), f'{C}.conversionReviewVersions: Invalid value: ["v7"]: must include at least one of v1, v1beta1'),
    "twice": (by_webhook(GOOD, ["v1", "v1"]), f'{C}.conversionReviewVersions[1]: Invalid value: "v1": duplicate version'),
    "none with webhook": (by_webhook(GOOD) | {"strategy": "None"}, f"[{C}.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook, {C}.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook]"),
    "http": (by_webhook({"url": "http://x/y"}), f"{URL}: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]"),
    "no host": (by_webhook({"url": "https:///y"}), f'{URL}: Invalid value: "": host must be specified; desired format: https://host[/path]'),
    "no URL": (by_webhook({"url": "%"}), f'{URL}: Required value: url must be a valid URL: parse "%": invalid URL escape "%"; desired format: https://host[/path]'),
    "more than a URL": (by_webhook({"url": "https://u:p@x/y?a=b#c"}), f'[{URL}: Invalid value: "u:p": user information is not permitted in the URL, {URL}: Invalid value: "c": fragments are not permitted in the URL, {URL}: Invalid value: "a=b": query parameters are not permitted in the URL]'),
    "both": (by_webhook(GOOD | {"service": {"name": "a", "namespace": "b"}}), f"{C}.webhookClientConfig: Required value: exactly one of url or service is required"),
    "neither": (by_webhook({}), f"{C}.webhookClientConfig: Required value: exactly one of url or service is required"),
    "service": (by_webhook({"service": {"name": "", "namespace": "", "port": 0, "path": "x//y"}}), f'[{SERVICE}.name: Required value, {SERVICE}.namespace: Required value, {SERVICE}.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive, {SERVICE}.path: Invalid value: "x//y": must start with a \'/\', {SERVICE}.path: Invalid value: "x//y": segment[0] may not be empty, {SERVICE}.path: Invalid value: "x//y": segment[1] may not be empty]'),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_a_conversion_must_say(target: Target, case: str) -> None:
    how, text = BAD[case]
    refused(target.call("POST", CRDS, definition(versions=[V1, V2], conversion=how), dryRun="All"), 422, "Invalid",
            rf'CustomResourceDefinition\.apiextensions\.k8s\.io ".*" is invalid: {re.escape(text)}')


def test_a_review_version_is_a_name(target: Target) -> None:
    answer = target.call("POST", CRDS, definition(versions=[V1, V2], conversion=by_webhook(GOOD, ["V_7", "v1"])), dryRun="All")
    refused(answer, 422, "Invalid", rf'.*{re.escape(C)}\.conversionReviewVersions\[0\]: Invalid value: "V_7": {DNS}')


def test_a_service_has_a_port(target: Target) -> None:
    how = by_webhook({"service": {"name": "a", "namespace": "b"}})
    made = target.call("POST", CRDS, definition(versions=[V1, V2], conversion=how), dryRun="All").json()
    assert made["spec"]["conversion"]["webhook"]["clientConfig"]["service"] == {"name": "a", "namespace": "b", "port": 443}


def test_read_in_the_other_version(notes: Notes) -> None:
    assert notes.make("v1", "a", text="one two").json()["spec"] == {"text": "one two", "size": 3}
    other = notes.get("v2", "a").json()
    assert (other["apiVersion"], other["spec"]) == ("book.example/v2", {"words": ["one", "two"], "size": 3})
    asked = len(notes.asked)
    assert notes.get("v1", "a").json()["spec"] == {"text": "one two", "size": 3}
    assert len(notes.asked) == asked, "nobody is asked about what is stored in the version that is wanted"


def test_written_in_the_other_version(notes: Notes) -> None:
    made = notes.make("v2", "a", words=["one", "two"])
    assert made.status_code == 201
    assert made.json()["spec"] == {"words": ["one", "two"], "size": 3}, "a color is a field that v1 has no place for"
    assert made.json()["metadata"]["resourceVersion"] == notes.get("v1", "a").json()["metadata"]["resourceVersion"]
    assert notes.get("v1", "a").json()["spec"] == {"text": "one two", "size": 3}
    assert notes.get("v1", "a").json()["metadata"]["generation"] == 1


def test_the_question(notes: Notes) -> None:
    made = notes.make("v2", "a", words=["x"]).json()
    first = notes.asked[0]
    assert (first["kind"], first["apiVersion"]) == ("ConversionReview", "apiextensions.k8s.io/v1")
    assert notes.webhook.paths[0] == "/convert?timeout=30s"
    request = first["request"]
    assert (request["desiredAPIVersion"], sorted(request)) == ("book.example/v1", ["desiredAPIVersion", "objects", "uid"])
    told = request["objects"][0]
    assert (told["apiVersion"], told["kind"], told["spec"]) == ("book.example/v2", notes.kind, {"words": ["x"], "color": "red"})
    assert told["metadata"]["uid"] == made["metadata"]["uid"]
    assert "resourceVersion" not in told["metadata"]
    assert notes.asked[1]["request"]["desiredAPIVersion"] == "book.example/v2"
    assert len({each["request"]["uid"] for each in notes.asked}) == len(notes.asked)


def test_an_older_form_of_the_question(notes: Notes) -> None:
    notes.make("v1", "a", text="x")
    unknown = itertools.count(7)                 # a request that meets a change halfway may leave the genuine server with the old

    def older() -> bool:
        if notes.get("v2", "a").status_code == 200 and notes.asked[-1]["apiVersion"] == "apiextensions.k8s.io/v1beta1":
            return True
        notes.change(conversion=by_webhook(notes.webhook.client, [f"v{next(unknown)}", "v1beta1", "v1"]))
        return False
    wait(older, "the older form")


def test_a_dry_run_converts_and_keeps_nothing(notes: Notes) -> None:
    made = notes.target.call("POST", notes.path("v2"), notes.body("v2", "a", words=["x"]), dryRun="All")
    assert (made.status_code, made.json()["spec"]) == (201, {"words": ["x"], "size": 3})
    assert notes.get("v1", "a").status_code == 404


def test_lists_in_the_other_version(notes: Notes) -> None:
    for number in range(3):
        notes.make("v1", f"n{number}", text=f"{number} x")
    listed = notes.target.call("GET", notes.path("v2")).json()
    assert (listed["kind"], listed["apiVersion"]) == (f"{notes.kind}List", "book.example/v2")
    assert [(each["apiVersion"], each["spec"]["words"]) for each in listed["items"]] == [
        ("book.example/v2", [str(number), "x"]) for number in range(3)]
    page = notes.target.call("GET", notes.path("v2"), limit=2).json()
    rest = notes.target.call("GET", notes.path("v2"), limit=2, **{"continue": page["metadata"]["continue"]}).json()
    assert [each["spec"]["words"][0] for each in page["items"] + rest["items"]] == ["0", "1", "2"]


def test_update_in_the_other_version(notes: Notes) -> None:
    notes.make("v1", "a", text="one two")
    body = notes.get("v2", "a").json()
    body["spec"]["words"] = ["three"]
    answer = notes.target.call("PUT", notes.path("v2", "a"), body)
    assert (answer.status_code, answer.json()["spec"], answer.json()["metadata"]["generation"]) == (200, {"words": ["three"], "size": 3}, 2)
    assert notes.get("v1", "a").json()["spec"] == {"text": "three", "size": 3}
    refused(notes.target.call("PUT", notes.path("v2", "a"), body), 409, "Conflict", ".*the object has been modified.*")


def test_patch_in_the_other_version(notes: Notes) -> None:
    notes.make("v1", "a", text="one two")
    answer = notes.target.call("PATCH", notes.path("v2", "a"), [{"op": "add", "path": "/spec/words/-", "value": "three"}],
                               kind="application/json-patch+json")
    assert answer.json()["spec"]["words"] == ["one", "two", "three"]
    assert notes.get("v1", "a").json()["spec"]["text"] == "one two three"


def test_status_in_the_other_version(notes: Notes) -> None:
    notes.make("v1", "a", text="one")
    answer = notes.target.call("PATCH", notes.path("v2", "a") + "/status", {"status": {"seen": "yes"}, "spec": {"words": []}}, kind=MERGE)
    assert (answer.json()["status"], answer.json()["spec"]["words"]) == ({"seen": "yes"}, ["one"])
    assert notes.get("v1", "a").json()["metadata"]["generation"] == 1


def test_apply_in_the_other_version(notes: Notes) -> None:
    body = notes.body("v2", "a", words=["six"])
    for code in (201, 200):
        answer = notes.target.call("PATCH", notes.path("v2", "a"), body, kind=APPLY, fieldManager="me")
        assert (answer.status_code, answer.json()["spec"]) == (code, {"words": ["six"], "size": 3})
    mine = [each for each in notes.get("v1", "a").json()["metadata"]["managedFields"] if each["manager"] == "me"]
    assert [(each["apiVersion"], each["fieldsV1"]) for each in mine] == [("book.example/v2", {"f:spec": {"f:words": {}}})]
    assert notes.get("v1", "a").json()["spec"] == {"text": "six", "size": 3}
    notes.target.call("PATCH", notes.path("v2", "a"), body | {"spec": {"words": ["seven"]}}, kind=APPLY, fieldManager="me")
    assert notes.get("v1", "a").json()["spec"]["text"] == "seven"


def test_a_schema_of_its_own(notes: Notes) -> None:
    notes.webhook.asked.clear()
    refused(notes.make("v2", "a", words=[1]), 422, "Invalid", r'.*spec\.words\[0\]: Invalid value: "integer": .*')
    assert notes.asked == [], "what is wrong in its own version is not worth a question"


def test_delete_in_the_other_version(notes: Notes) -> None:
    notes.make("v1", "a", text="x")
    notes.make("v1", "b", text="x")
    assert notes.target.call("DELETE", notes.path("v2", "a")).status_code == 200
    assert notes.target.call("DELETE", notes.path("v2")).json()["items"][0]["spec"] == {"words": ["x"], "size": 3}
    assert notes.target.call("GET", notes.path("v1")).json()["items"] == []


def test_watch_in_the_other_version(notes: Notes) -> None:
    since = notes.target.call("GET", notes.path("v2")).json()["metadata"]["resourceVersion"]
    notes.make("v1", "a", text="p q")
    notes.target.call("PATCH", notes.path("v2", "a"), {"spec": {"words": ["r"]}}, kind=MERGE)
    notes.target.call("DELETE", notes.path("v1", "a"))
    seen = [(each["type"], each["object"]["apiVersion"], each["object"]["spec"]["words"])
            for each in notes.target.watch(notes.path("v2"), resourceVersion=since, timeoutSeconds="2")]
    assert seen == [(kind, "book.example/v2", words) for kind, words in (("ADDED", ["p", "q"]), ("MODIFIED", ["r"]), ("DELETED", ["r"]))]


def broken(**response: Any) -> Callable[[Object], Any]:
    return lambda answer: answer | {"response": answer["response"] | response}


def each_object(change: Callable[[Object], Any]) -> Callable[[Object], Any]:
    def spoil(answer: Object) -> Object:
        for each in answer["response"]["convertedObjects"]:
            change(each)
        return answer
    return spoil


LABEL = r"a valid label must be an empty string or consist of.*"
SPOILT: dict[str, tuple[Callable[[Object], Any], str]] = {
    "uid": (broken(uid="other"), r'failed: expected response\.uid="UID", got "other"'),
    "fewer": (broken(convertedObjects=[]), "returned 0 objects, expected 1"),
    "more": (lambda answer: broken(convertedObjects=answer["response"]["convertedObjects"] * 2)(answer), "returned 2 objects, expected 1"),
    "failure": (broken(result={"status": "Failure", "message": "no way"}), "failed: no way"),
    "failure without words": (broken(result={"status": "Failure"}), r"failed: response\.result\.status was 'Failure', not 'Success'"),
    "no result": (broken(result=None), r"failed: response\.result\.status was '', not 'Success'"),
    "no response": (lambda answer: answer | {"response": None}, "failed: no response provided"),
    "nothing": (lambda answer: {}, r"failed: expected webhook response of apiextensions\.k8s\.io/v1, Kind=ConversionReview, got /, Kind="),
    "name": (each_object(lambda obj: obj["metadata"].update(name="other")), "returned invalid object: must have the same name: a != other"),
    "namespace": (each_object(lambda obj: obj["metadata"].update(namespace="other")), "returned invalid object: must have the same namespace: default != other"),
    "identity": (each_object(lambda obj: obj["metadata"].update(uid="other")), "returned invalid object: must have the same UID: UID != other"),
    "kind": (each_object(lambda obj: obj.update(kind="Other")), r"returned invalid object at index 0: invalid kind \(expected KIND, received Other\)"),
    "version": (each_object(lambda obj: obj.update(apiVersion="book.example/v3")), r"returned invalid object at index 0: invalid groupVersion \(expected book\.example/v2, received book\.example/v3\)"),
    "no metadata": (each_object(lambda obj: obj.pop("metadata")), "returned invalid object: must have the same name: a != "),
    "label of another type": (each_object(lambda obj: obj["metadata"].update(labels={"by": 5})), r"returned invalid metadata: metadata\.labels\[by\] must be a string, but is int64 in converted object"),
    "label": (each_object(lambda obj: obj["metadata"].update(labels={"by": "-x-"})), rf'returned invalid metadata: metadata\.labels: Invalid value: "-x-": {LABEL}'),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_an_answer_that_is_refused(notes: Notes, case: str) -> None:
    spoil, text = SPOILT[case]
    notes.make("v1", "a", text="x")
    wait(lambda: notes.get("v2", "a").status_code == 200, "the object")
    notes.webhook.spoil = spoil
    uid = "[0-9a-f-]{36}"
    text = text.replace("UID", uid, 1) if case in ("uid",) else text.replace(": UID", f": {uid}")
    refused(notes.get("v2", "a"), 500, "InternalError",
            rf"Internal error occurred: StorageError: corrupt object, Code: 7, Key: /book\.example/{notes.plural}/default/a, "
            rf"ResourceVersion: 0, AdditionalErrorMsg: object not decodable revision=\d+: conversion webhook for book\.example/v1, "
            rf"{notes.told} {text.replace('KIND', notes.kind)}")
    assert notes.get("v1", "a").status_code == 200


def test_a_write_that_cannot_be_converted(notes: Notes) -> None:
    notes.webhook.spoil = broken(result={"status": "Failure", "message": "no way"})
    answer = notes.make("v2", "a", words=["x"])
    assert (answer.status_code, answer.json()["message"]) == (500, f"conversion webhook for book.example/v2, {notes.told} failed: no way")
    assert "reason" not in answer.json()
    assert notes.get("v1", "a").status_code == 404


def test_metadata_stays(notes: Notes) -> None:
    notes.make("v1", "a", text="x")
    before = notes.get("v1", "a").json()["metadata"]
    notes.webhook.spoil = each_object(lambda obj: obj["metadata"].update(
        finalizers=["a/b"], generation=77, generateName="x-", managedFields=[], labels={"by": "hook"}, annotations={"by": "hook"}))
    after = notes.get("v2", "a").json()["metadata"]
    assert after.pop("labels") == after.pop("annotations") == {"by": "hook"}, "the two that a webhook may change"
    assert after == before


def test_unknown_fields_are_dropped(notes: Notes) -> None:
    notes.make("v1", "a", text="x")
    notes.webhook.spoil = each_object(lambda obj: (obj["spec"].update(strange=1), obj.update(stranger=1)))
    other = notes.get("v2", "a").json()
    assert (other["spec"], "stranger" in other) == ({"words": ["x"], "size": 3}, False)


@pytest.mark.parametrize(("client", "text"), [
    ({"url": "https://127.0.0.1:1/x"}, r'Post "https://127\.0\.0\.1:1/x\?timeout=30s": .*'),
    ({"url": None, "caBundle": None, "service": {"name": "nosuch", "namespace": "default"}},
     r'Post "https://nosuch\.default\.svc:443/\?timeout=30s": service "nosuch" not found'),
    ({"caBundle": base64.b64encode(Authority().certificate).decode()}, r'Post "https://[\d.]+:\d+/convert\?timeout=30s": .*')],
    ids=["nobody listens", "no such service", "another authority"])
def test_a_webhook_that_is_away(notes: Notes, client: Object, text: str) -> None:
    notes.make("v1", "a", text="x")
    notes.change(conversion={"webhook": {"clientConfig": client}})
    wait(lambda: notes.get("v2", "a").status_code == 500, "the change")
    refused(notes.get("v2", "a"), 500, "InternalError", rf".*conversion webhook for book\.example/v1, {notes.told} failed: {text}")
    assert notes.target.call("GET", notes.path("v2")).status_code in (429, 500), "a list, too"
    assert notes.get("v1", "a").status_code == 200, "who asks for what is stored needs nobody"
    notes.change(conversion={"webhook": {"clientConfig": {"url": None, "service": None} | notes.webhook.client}})
    wait(lambda: notes.get("v2", "a").status_code == 200, "the webhook to be back")
    wait(lambda: notes.target.call("GET", notes.path("v2")).status_code == 200, "the list")


def test_a_storage_version_moves(notes: Notes) -> None:
    notes.make("v1", "a", text="one two")
    moved = notes.change(versions=[V1 | {"storage": False}, V2 | {"storage": True}])
    assert moved["status"]["storedVersions"] == ["v1", "v2"]
    refused(notes.target.call("PATCH", notes.crd, {"spec": {"versions": [V2 | {"storage": True}]}}, kind=MERGE), 422, "Invalid",
            r'.*status\.storedVersions\[0\]: Invalid value: "v1": missing from spec\.versions; v1 was previously a storage version, '
            r"and must remain in spec\.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from "
            r"status\.storedVersions")

    def written() -> bool:               # by v1's path, and so converted on the way to the storage
        notes.webhook.asked.clear()
        answer = notes.target.call("PATCH", notes.path("v1", "a"), {"metadata": {"labels": {"n": uuid.uuid4().hex[:6]}}}, kind=MERGE)
        assert answer.json()["spec"] == {"text": "one two", "size": 3}
        return "book.example/v2" in [each["request"]["desiredAPIVersion"] for each in notes.asked]
    wait(written, "v2 to be the version in which objects are stored")
    answer = notes.target.call("PATCH", notes.crd + "/status", {"status": {"storedVersions": ["v2"]}}, kind=MERGE)
    assert answer.json()["status"]["storedVersions"] == ["v2"]
    notes.change(versions=[V2 | {"storage": True}], conversion={"strategy": "None", "webhook": None})
    wait(lambda: notes.get("v1", "a").status_code == 404, "v1 to be gone")
    assert notes.get("v2", "a").json()["spec"]["words"] == ["one", "two"]


def test_a_write_of_what_is_there_moves_it(notes: Notes) -> None:
    notes.make("v1", "a", text="one")
    before = notes.get("v1", "a").json()
    assert notes.target.call("PUT", notes.path("v1", "a"), before).json()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    notes.change(versions=[V1 | {"storage": False}, V2 | {"storage": True}])

    def revision() -> str:
        answer = notes.target.call("PUT", notes.path("v1", "a"), notes.get("v1", "a").json())
        return str(answer.json()["metadata"]["resourceVersion"])
    moved = wait(lambda: (now := revision()) != before["metadata"]["resourceVersion"] and now, "the object to be written anew")
    assert revision() == moved, "once is enough"
    assert notes.get("v1", "a").json()["spec"] == before["spec"]


def test_a_write_back_loses_what_a_version_does_not_know(notes: Notes) -> None:
    notes.make("v1", "a", text="one", size=4)
    notes.change(conversion={"strategy": "None", "webhook": None})
    other = wait(lambda: (found := notes.get("v2", "a").json()).get("spec") == {"size": 4} and found, "the change")
    assert notes.target.call("PUT", notes.path("v2", "a"), other).status_code == 200
    assert notes.get("v1", "a").json()["spec"] == {"size": 4}


def test_without_a_webhook_only_the_name_changes(notes: Notes) -> None:
    notes.make("v1", "a", text="x")
    notes.change(conversion={"strategy": "None", "webhook": None})
    other = wait(lambda: (found := notes.get("v2", "a").json()).get("spec") == {"size": 3} and found, "the change")
    assert other["apiVersion"] == "book.example/v2"
    assert notes.get("v1", "a").json()["spec"] == {"text": "x", "size": 3}
