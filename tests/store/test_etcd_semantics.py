"""One suite on what etcd does, against our store and against a genuine etcd (by its JSON gateway)."""
from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import requests
from genuine import etcd, tier_problems
from tinykube.store import Compact, Compare, Delete, Grant, Put, Range, Revoke, Store, StoreError, Txn, prefix_end

PODS = (b"/pods/", b"/pods0")
NUMBERS = ("create_revision", "mod_revision", "version", "lease")


def text(value: bytes) -> str:
    return base64.b64encode(value).decode()


class Tiny:
    """Our store, its answers as plain values, revisions counted from where the test began."""

    def __init__(self) -> None:
        self.store, self.base = Store(), 1

    def do(self, command: Any) -> Any:
        try:
            if isinstance(command, Range):
                answer: Any = self.store.range(**asdict(command))
            else:
                answer = self.store.apply(command)
        except StoreError as error:
            return str(error)
        return None if answer is None else self.plain(answer)

    def plain(self, answer: Any) -> Any:
        told: dict[str, Any] = {"revision": answer.revision}
        for name in ("succeeded", "deleted", "count", "more", "ttl", "id"):
            if getattr(answer, name, None):
                told[name] = getattr(answer, name)
        for name in ("kvs", "prev_kvs"):
            if getattr(answer, name, None):
                told[name] = [asdict(kv) for kv in getattr(answer, name)]
        if getattr(answer, "prev_kv", None):
            told["prev_kv"] = asdict(answer.prev_kv)
        if getattr(answer, "responses", None):
            told["responses"] = [self.plain(each) | {"revision": 0} for each in answer.responses]
        return told

    def watch(self, start: int, expected: int, *, prev_kv: bool = False) -> Any:
        cursor, events = self.store.watch(*PODS, start_revision=start, prev_kv=prev_kv), []
        try:
            while batch := cursor.take():
                events += [(e.type, e.kv.key, e.kv.mod_revision, e.prev_kv.mod_revision if e.prev_kv else 0)
                           for e in batch.events]
        except StoreError:
            return f"compacted {self.store.compacted}"
        finally:
            cursor.close()
        assert len(events) == expected
        return events


class Genuine:
    """The same of a genuine etcd. One process serves all tests: each has its own keys and counts from its start."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, body: Any) -> Any:
        answer = requests.post(f"{self.url}/v3/{path}", json=body, timeout=20).json()
        return answer["message"] if "code" in answer else answer

    def do(self, command: Any) -> Any:
        kind, body = self.encode(command)
        answer = self.post(kind if "/" in kind else f"kv/{kind}", body)
        if isinstance(answer, str):
            return answer
        return None if kind == "compaction" else self.plain(answer)

    def encode(self, command: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(command, Grant):
            return "lease/grant", {"TTL": str(command.ttl), "ID": str(command.id)}
        if isinstance(command, Revoke):
            return "lease/revoke", {"ID": str(command.id)}
        if isinstance(command, Txn):
            branches = {name: [self.operation(each) for each in getattr(command, name)]
                        for name in ("success", "failure")}
            return "txn", {"compare": [self.compare(each) for each in command.compares], **branches}
        body = {name: text(value) if isinstance(value, bytes) else value
                for name, value in asdict(command).items() if value not in (None, 0, False)}
        return {Put: "put", Delete: "deleterange", Range: "range", Compact: "compaction"}[type(command)], body

    def operation(self, command: Any) -> dict[str, Any]:
        kind, body = self.encode(command)
        names = {"put": "request_put", "deleterange": "request_delete_range", "range": "request_range",
                 "txn": "request_txn"}
        return {names[kind]: body}

    def compare(self, compare: Compare) -> dict[str, Any]:
        field = {"mod": "mod_revision", "create": "create_revision"}.get(compare.target, compare.target)
        ops = {"==": "EQUAL", "!=": "NOT_EQUAL", "<": "LESS", ">": "GREATER"}
        body = {"key": text(compare.key), "target": compare.target.upper(), "result": ops[compare.op],
                field: text(compare.value) if isinstance(compare.value, bytes) else str(compare.value)}
        return body | ({"range_end": text(compare.range_end)} if compare.range_end else {})

    def plain(self, answer: Any) -> Any:
        told: dict[str, Any] = {"revision": int(answer["header"].get("revision", 0))}
        for name in ("succeeded", "more"):
            if answer.get(name):
                told[name] = True
        for name in ("deleted", "count", "ID", "TTL"):
            if int(answer.get(name, 0)):
                told[name.lower()] = int(answer[name])
        for name in ("kvs", "prev_kvs"):
            if answer.get(name):
                told[name] = [self.kv(each) for each in answer[name]]
        if answer.get("prev_kv"):
            told["prev_kv"] = self.kv(answer["prev_kv"])
        if answer.get("responses"):
            told["responses"] = [self.plain(next(iter(each.values()))) | {"revision": 0} for each in answer["responses"]]
        return told

    def kv(self, kv: dict[str, Any]) -> dict[str, Any]:
        return {"key": base64.b64decode(kv["key"]), "value": base64.b64decode(kv.get("value", "")),
                **{name: int(kv.get(name, 0)) for name in NUMBERS}}

    def watch(self, start: int, expected: int, *, prev_kv: bool = False) -> Any:
        body = {"create_request": {"key": text(PODS[0]), "range_end": text(PODS[1]), "start_revision": str(start),
                                   "prev_kv": prev_kv}}
        events: list[Any] = []
        with requests.post(f"{self.url}/v3/watch", json=body, stream=True, timeout=20) as answer:
            for line in answer.iter_lines():
                result = json.loads(line)["result"]
                if result.get("canceled"):
                    return f"compacted {result['compact_revision']}"
                for event in result.get("events", []):
                    before = int(event.get("prev_kv", {}).get("mod_revision", 0))
                    events.append((event.get("type", "PUT"), base64.b64decode(event["kv"]["key"]),
                                   int(event["kv"]["mod_revision"]), before))
                if len(events) >= expected:
                    return events
        return events


@pytest.fixture(params=["tiny", "genuine"])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty store at revision 1."""
    if request.param == "tiny":
        yield Tiny()
        return
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    with etcd(fsync=False) as member:
        yield Genuine(member.url)


def test_writes_are_numbered(store: Any) -> None:
    assert store.do(Put(b"/pods/a", b"1")) == {"revision": 2}
    assert store.do(Put(b"/pods/a", b"2", prev_kv=True))["prev_kv"]["value"] == b"1"
    assert store.do(Delete(b"/pods/no")) == {"revision": 3}
    assert store.do(Range(b"/pods/a")) == {"revision": 3, "count": 1, "kvs": [
        {"key": b"/pods/a", "value": b"2", "create_revision": 2, "mod_revision": 3, "version": 2, "lease": 0}]}
    assert store.do(Delete(b"/pods/a", prev_kv=True))["prev_kvs"][0]["mod_revision"] == 3
    store.do(Put(b"/pods/a", b"3"))
    assert store.do(Range(b"/pods/a"))["kvs"][0] == {"key": b"/pods/a", "value": b"3", "create_revision": 5,
                                                     "mod_revision": 5, "version": 1, "lease": 0}


def test_ranges(store: Any) -> None:
    for name in (b"b", b"a", b"d", b"c"):
        store.do(Put(b"/pods/" + name, name))
    store.do(Put(b"/other", b"x"))
    keys = lambda answer: [kv["key"] for kv in answer.get("kvs", [])]  # noqa: E731
    assert keys(store.do(Range(*PODS))) == [b"/pods/a", b"/pods/b", b"/pods/c", b"/pods/d"]
    page = store.do(Range(*PODS, limit=2))
    assert (keys(page), page["count"], page["more"]) == ([b"/pods/a", b"/pods/b"], 4, True)
    rest = store.do(Range(b"/pods/b\x00", PODS[1], limit=2))
    assert (keys(rest), rest["count"], rest.get("more")) == ([b"/pods/c", b"/pods/d"], 2, None)
    assert store.do(Range(*PODS, count_only=True)) == {"revision": 6, "count": 4}
    assert store.do(Range(*PODS, keys_only=True))["kvs"][0]["value"] == b""
    assert keys(store.do(Range(b"/pods/c", b"\x00"))) == [b"/pods/c", b"/pods/d"]
    assert store.do(Range(b"\x00", b"\x00", count_only=True))["count"] == 5
    assert store.do(Range(b"/pods/c", b"/pods/b")) == {"revision": 6}
    assert keys(store.do(Range(*PODS, revision=3))) == [b"/pods/a", b"/pods/b"]
    past = store.do(Range(*PODS, revision=4, limit=1))
    assert (keys(past), past["count"], past["revision"]) == ([b"/pods/a"], 3, 6)


def test_deleting_a_range_is_one_revision(store: Any) -> None:
    for name in (b"a", b"b"):
        store.do(Put(b"/pods/" + name, b""))
    assert store.do(Delete(*PODS)) == {"revision": 4, "deleted": 2}
    assert store.watch(4, 2) == [("DELETE", b"/pods/a", 4, 0), ("DELETE", b"/pods/b", 4, 0)]


@pytest.mark.parametrize(("compare", "holds"), [
    (Compare(b"/pods/a", "mod", "==", 3), True), (Compare(b"/pods/a", "mod", "==", 2), False),
    (Compare(b"/pods/a", "create", "<", 3), True), (Compare(b"/pods/a", "version", ">", 1), True),
    (Compare(b"/pods/a", "value", "==", b"2"), True), (Compare(b"/pods/a", "value", "!=", b"2"), False),
    (Compare(b"/pods/a", "lease", "==", 0), True), (Compare(b"/no", "mod", "==", 0), True),
    (Compare(b"/no", "version", "!=", 0), False), (Compare(b"/no", "value", "!=", b"x"), False),
    (Compare(b"/pods/", "mod", ">", 1, b"/pods0"), True), (Compare(b"/pods/", "mod", ">", 3, b"/pods0"), False),
    (Compare(b"/no/", "create", "==", 0, b"/no0"), True),
])
def test_compares_tiny_and_genuine(compare: Compare, holds: bool, pair: tuple[Any, Any]) -> None:
    for store in pair:
        assert store.do(Txn((compare,))).get("succeeded", False) == holds


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Any, ...]]:
    """Both stores with the same content, or ours alone."""
    def fill(store: Any) -> Any:
        for key, value in ((b"/pods/a", b"1"), (b"/pods/a", b"2"), (b"/pods/b", b"1")):
            store.do(Put(key, value))
        return store
    if tier_problems("genuine"):
        yield (fill(Tiny()),)
        return
    with etcd(fsync=False) as member:
        yield fill(Tiny()), fill(Genuine(member.url))


def test_transactions_see_their_own_writes(store: Any) -> None:
    answer = store.do(Txn((), (Put(b"/pods/a", b"1"), Range(b"/pods/a"), Delete(b"/pods/x"), Put(b"/pods/b", b"2"))))
    assert answer["revision"] == 2
    assert answer["responses"][1]["kvs"][0]["mod_revision"] == 2
    assert store.watch(2, 2) == [("PUT", b"/pods/a", 2, 0), ("PUT", b"/pods/b", 2, 0)]
    assert store.do(Txn((Compare(b"/pods/a", "mod", "==", 9),), (Put(b"/x", b""),), (Range(*PODS),)))[
        "responses"][0]["count"] == 2
    nested = Txn((), (Put(b"/pods/c", b""), Txn((Compare(b"/pods/c", "mod", "==", 0),), (Put(b"/pods/d", b""),))))
    assert store.do(nested)["responses"][1]["succeeded"]
    assert store.do(Range(*PODS, count_only=True)) == {"revision": 3, "count": 4}


@pytest.mark.parametrize("command", [
    Put(b"", b""), Range(b""), Delete(b""), Txn((), (Put(b"", b""),)),
    Txn((), (Put(b"/a", b""), Put(b"/a", b""))), Txn((), (Put(b"/b", b""), Delete(b"/a", b"/c"))),
    Txn((), (Put(b"/a", b""), Txn((), (Put(b"/a", b""),)))), Txn((), (Put(b"/a", b""), Range(b"/a", revision=99))),
    Txn((), tuple(Put(b"/%d" % n, b"") for n in range(129))), Range(b"/a", revision=99), Compact(99), Compact(0),
    Txn((), (Delete(b"/a"), Delete(b"/a"))), Txn((), (Txn((), (Put(b"/a", b""),), (Put(b"/a", b""),)),)),
])
def test_what_is_refused_and_how(command: Any, pair: tuple[Any, ...]) -> None:
    answers = [store.do(command) for store in pair]
    assert len({json.dumps(answer, default=repr) for answer in answers}) == 1
    if isinstance(answers[0], str):
        assert answers[0].startswith("etcdserver: ")


def test_compaction(store: Any) -> None:
    for command in (Put(b"/pods/a", b"1"), Put(b"/pods/a", b"2"), Put(b"/pods/b", b"1"), Delete(b"/pods/b"),
                    Put(b"/pods/a", b"3")):
        store.do(command)
    assert store.do(Compact(5)) is None
    gone, future = ("etcdserver: mvcc: required revision has been compacted",
                    "etcdserver: mvcc: required revision is a future revision")
    assert [store.do(Range(*PODS, revision=at)) for at in (2, 4)] == [gone, gone]
    assert store.do(Range(*PODS, revision=5))["kvs"][0]["value"] == b"2"
    assert [store.do(Compact(at)) for at in (5, 4, 99)] == [gone, gone, future]
    assert store.watch(4, 1) == "compacted 5"
    assert store.watch(5, 2, prev_kv=True) == [("DELETE", b"/pods/b", 5, 0), ("PUT", b"/pods/a", 6, 3)]
    assert store.do(Range(*PODS, count_only=True))["count"] == 1


def test_watching_the_past_with_what_was_before(store: Any) -> None:
    for command in (Put(b"/pods/a", b"1"), Put(b"/other", b""), Put(b"/pods/a", b"2"), Delete(b"/pods/a"),
                    Put(b"/pods/a", b"3")):
        store.do(command)
    assert store.watch(1, 4, prev_kv=True) == [("PUT", b"/pods/a", 2, 0), ("PUT", b"/pods/a", 4, 2),
                                               ("DELETE", b"/pods/a", 5, 4), ("PUT", b"/pods/a", 6, 0)]
    assert [event[2] for event in store.watch(5, 2)] == [5, 6]


def test_leases(store: Any) -> None:
    assert store.do(Grant(60, 7)) == {"revision": 1, "id": 7, "ttl": 60}
    assert [store.do(Grant(ttl, 20 + ttl))["ttl"] for ttl in (0, 1, 2, 3)] == [2, 2, 2, 3]
    assert store.do(Grant(60, -5))["id"] == -5
    for name in (b"c", b"a", b"b", b"d"):
        store.do(Put(b"/pods/" + name, b"", lease=7))
    store.do(Put(b"/pods/b", b"stays", lease=0))
    store.do(Delete(b"/pods/c"))
    assert [kv["lease"] for kv in store.do(Range(*PODS))["kvs"]] == [7, 0, 7]
    assert store.do(Txn((Compare(b"/pods/a", "lease", "==", 7),), (Put(b"/pods/e", b"", lease=7),)))["succeeded"]
    before = store.do(Range(*PODS))["revision"]
    store.do(Revoke(7))
    assert store.do(Range(*PODS))["revision"] == before + 1
    assert [kv["key"] for kv in store.do(Range(*PODS))["kvs"]] == [b"/pods/b"]
    assert store.watch(before + 1, 3) == [("DELETE", b"/pods/" + name, before + 1, 0) for name in (b"a", b"d", b"e")]
    store.do(Revoke(-5))
    assert store.do(Range(*PODS))["revision"] == before + 1


def test_what_is_refused_about_leases(pair: tuple[Any, ...]) -> None:
    missing = Put(b"/pods/a", b"", lease=99)
    commands = [Grant(60, 7), Grant(60, 7), Grant(9_000_000_001), Revoke(99), missing, Txn((), (missing,)),
                Txn((), (Put(b"/pods/b", b""), Txn((), (missing,)))), Txn((), (), (missing,))]
    answers = [[store.do(command) for command in commands] for store in pair]
    assert all(answer == answers[0] for answer in answers)
    assert [answer for answer in answers[0] if isinstance(answer, str)] == [
        "etcdserver: lease already exists", "etcdserver: too large lease TTL",
        *["etcdserver: requested lease not found"] * 4]


def test_prefix_end() -> None:
    assert [prefix_end(p) for p in (b"/a/", b"a\xff", b"\xff\xff")] == [b"/a0", b"b", b"\x00"]
