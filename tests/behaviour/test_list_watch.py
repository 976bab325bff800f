"""Lists and watches: selectors, pages, revisions, and a stream of changes with no gap in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.behaviour.target import Namespace, Target, configmap
from tests.behaviour.test_objects import refused


@pytest.fixture
def colors(ns: Namespace) -> Namespace:
    """Four configmaps with labels to select by."""
    for name, labels in {"a": {"color": "red", "size": "1"}, "b": {"color": "blue", "size": "2"},
                         "c": {"color": "red"}, "d": {"shape": "round"}}.items():
        ns.make("configmaps", configmap(name, labels=labels))
    return ns


def names(answer: Any) -> set[str]:
    """The names in a list, without what genuine clusters put in each namespace."""
    assert answer.status_code == 200, answer.text
    return {item["metadata"]["name"] for item in answer.json()["items"]} - {"kube-root-ca.crt"}


def test_list_is_a_list(colors: Namespace) -> None:
    answer = colors.call("GET", "/configmaps").json()
    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert answer["metadata"]["resourceVersion"].isdigit()
    assert all("kind" not in item for item in answer["items"])


def test_list_is_in_order_of_names(colors: Namespace) -> None:
    items = colors.call("GET", "/configmaps").json()["items"]
    assert [i["metadata"]["name"] for i in items] == sorted(i["metadata"]["name"] for i in items)


def test_empty_list_has_items(ns: Namespace) -> None:
    assert ns.call("GET", "/pods").json()["items"] == []


@pytest.mark.parametrize(("selector", "expected"), [
    ("color=red", "ac"), ("color==red", "ac"), ("color!=red", "bd"), ("color in (red,blue)", "abc"),
    ("color notin (red)", "bd"), ("size", "ab"), ("!size", "cd"), ("color=red,size", "a"), ("size>1", "b"), ("", "abcd")])
def test_label_selectors(colors: Namespace, selector: str, expected: str) -> None:
    assert names(colors.call("GET", "/configmaps", labelSelector=selector)) == set(expected)


def test_label_selector_that_is_none(colors: Namespace) -> None:
    refused(colors.call("GET", "/configmaps", labelSelector="color in red"), 400, "BadRequest",
            r"unable to parse requirement: found 'red',? expected: '\('")


@pytest.mark.parametrize(("selector", "expected"), [
    ("metadata.name=a", "a"), ("metadata.name!=a", "bcd"), ("metadata.namespace=elsewhere", "")])
def test_field_selectors(colors: Namespace, selector: str, expected: str) -> None:
    assert names(colors.call("GET", "/configmaps", fieldSelector=selector)) == set(expected)


def test_field_that_cannot_be_selected_by(colors: Namespace) -> None:
    refused(colors.call("GET", "/configmaps", fieldSelector="data.color=red"), 400, "BadRequest",
            r'.*field label not supported: data\.color|.*"data\.color" is not a known field selector.*')


def test_pages(colors: Namespace) -> None:
    first = colors.call("GET", "/configmaps", limit=2, labelSelector="color").json()
    assert len(first["items"]) == 2
    second = colors.call("GET", "/configmaps", limit=2, labelSelector="color", **{"continue": first["metadata"]["continue"]})
    assert [i["metadata"]["name"] for i in first["items"] + second.json()["items"]] == ["a", "b", "c"]
    assert "continue" not in second.json()["metadata"]


def test_remaining_item_count(colors: Namespace) -> None:
    total = len(colors.call("GET", "/configmaps").json()["items"])
    first = colors.call("GET", "/configmaps", limit=1).json()
    assert first["metadata"]["remainingItemCount"] == total - 1


def test_pages_come_from_one_moment(colors: Namespace) -> None:
    first = colors.call("GET", "/configmaps", limit=2, labelSelector="color").json()
    colors.make("configmaps", configmap("cc", labels={"color": "late"}))
    second = colors.call("GET", "/configmaps", labelSelector="color", **{"continue": first["metadata"]["continue"]}).json()
    assert [i["metadata"]["name"] for i in second["items"]] == ["c"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_continue_that_is_nonsense(colors: Namespace) -> None:
    refused(colors.call("GET", "/configmaps", limit=1, **{"continue": "nonsense"}), 400, "BadRequest",
            r"(continue key is not valid.*|.*continue.*)")


def test_list_across_namespaces(colors: Namespace) -> None:
    found = colors.target.call("GET", "/api/v1/configmaps", labelSelector="color").json()["items"]
    assert {i["metadata"]["namespace"] for i in found} >= {colors.name}


def test_list_from_the_future(colors: Namespace) -> None:
    now = int(colors.call("GET", "/configmaps").json()["metadata"]["resourceVersion"])
    answer = colors.call("GET", "/configmaps", resourceVersion=str(now + 100_000), timeout=30)
    assert answer.status_code == 504, answer.text
    assert answer.json()["reason"] == "Timeout"
    assert "Too large resource version" in answer.json()["message"]


def test_list_of_an_exact_past(colors: Namespace) -> None:
    then = colors.call("GET", "/configmaps").json()["metadata"]["resourceVersion"]
    colors.call("DELETE", "/configmaps/a")
    past = colors.call("GET", "/configmaps", resourceVersion=then, resourceVersionMatch="Exact")
    assert names(past) == set("abcd")
    assert past.json()["metadata"]["resourceVersion"] == then


def test_match_without_a_version(colors: Namespace) -> None:
    answer = colors.call("GET", "/configmaps", resourceVersionMatch="Exact")
    assert answer.status_code == 422
    assert "resourceVersionMatch is forbidden unless resourceVersion is provided" in answer.text


def test_send_initial_events_is_for_watches(colors: Namespace) -> None:
    assert colors.call("GET", "/configmaps", sendInitialEvents="true").status_code == 422


# ---- watch

def path(ns: Namespace, plural: str = "configmaps") -> str:
    return f"{ns.core}/{plural}"


def test_watch_tells_what_happened_in_order(ns: Namespace) -> None:
    start = ns.call("GET", "/configmaps").json()["metadata"]["resourceVersion"]
    made = ns.make("configmaps", configmap("a", color="red"))
    changed = ns.call("PUT", "/configmaps/a", made | {"data": {"color": "blue"}}).json()
    ns.call("DELETE", "/configmaps/a")
    events = ns.target.watch(path(ns), resourceVersion=start, fieldSelector="metadata.name=a")
    got = [next(events) for _ in range(3)]
    events.close()
    assert [e["type"] for e in got] == ["ADDED", "MODIFIED", "DELETED"]
    assert got[0]["object"] == made
    assert got[1]["object"] == changed
    assert got[2]["object"]["data"] == {"color": "blue"}
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in got]
    assert versions == sorted(set(versions)), "a deletion has a revision of its own"


def test_watch_from_nowhere_begins_with_what_is_there(colors: Namespace) -> None:
    events = colors.target.watch(path(colors), labelSelector="color")
    got = [next(events) for _ in range(3)]
    events.close()
    assert {(e["type"], e["object"]["metadata"]["name"]) for e in got} == {("ADDED", n) for n in "abc"}


def test_watch_sees_objects_come_into_and_leave_a_selector(ns: Namespace) -> None:
    start = ns.call("GET", "/configmaps").json()["metadata"]["resourceVersion"]
    for color in ("blue", "red", "red too", "blue"):
        labels = {"color": color.split()[0]}
        body = configmap("a", labels=labels, note=color)
        answer = ns.call("PUT", "/configmaps/a", body)
        if answer.status_code == 404:
            ns.make("configmaps", body)
    events = ns.target.watch(path(ns), resourceVersion=start, labelSelector="color=red")
    got = [next(events)["type"] for _ in range(3)]
    events.close()
    assert got == ["ADDED", "MODIFIED", "DELETED"]


def test_watch_ends_when_its_time_is_up(ns: Namespace) -> None:
    assert list(ns.target.watch(path(ns), timeoutSeconds="1", fieldSelector="metadata.name=none")) == []


def test_watch_with_a_version_that_is_no_number(ns: Namespace) -> None:
    answer = ns.call("GET", "/configmaps", watch="true", resourceVersion="soon", timeoutSeconds=1)
    assert answer.status_code >= 400, "genuine says 500, which is hard to call right"
    assert 'resourceVersion: Invalid value: "soon"' in answer.json()["message"]


def test_watch_list_marks_the_end_of_the_beginning(colors: Namespace) -> None:
    events = colors.target.watch(path(colors), sendInitialEvents="true", allowWatchBookmarks="true",
                                 resourceVersionMatch="NotOlderThan", labelSelector="color")
    got = []
    for event in events:
        got.append(event)
        if event["type"] == "BOOKMARK":
            break
    events.close()
    assert {e["object"]["metadata"]["name"] for e in got[:-1]} == set("abc")
    mark = got[-1]["object"]
    assert mark["kind"] == "ConfigMap"
    assert mark["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    assert mark["metadata"]["resourceVersion"].isdigit()


def test_watch_list_without_a_match_is_refused(colors: Namespace) -> None:
    answer = colors.call("GET", "/configmaps", watch="true", sendInitialEvents="true", timeoutSeconds=1)
    assert answer.status_code == 422, answer.text


def test_watch_one_object_by_name(colors: Namespace) -> None:
    events = colors.target.watch(path(colors), fieldSelector="metadata.name=b")
    first = next(events)
    events.close()
    assert first["object"]["metadata"]["name"] == "b"


def test_many_watchers_see_the_same(ns: Namespace) -> None:
    start = ns.call("GET", "/configmaps").json()["metadata"]["resourceVersion"]
    watchers = [ns.target.watch(path(ns), resourceVersion=start) for _ in range(5)]
    for name in "abc":
        ns.make("configmaps", configmap(name))
    seen = []
    for events in watchers:
        got: list[str] = []
        for event in events:
            if event["object"]["metadata"]["name"] in "abc":
                got.append(event["object"]["metadata"]["resourceVersion"])
            if len(got) == 3:
                break
        events.close()
        seen.append(got)
    assert all(s == seen[0] for s in seen)


def test_table(target: Target, colors: Namespace) -> None:
    answer = colors.call("GET", "/configmaps", headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
                         labelSelector="color").json()
    assert (answer["kind"], answer["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [c["name"] for c in answer["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][:2] for row in answer["rows"]] == [["a", 0], ["b", 0], ["c", 0]]
    assert answer["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
