"""Checks for the exercises of the chapter on objects."""

from __future__ import annotations

from bookkit.exercises import Answer, exercise


@exercise
def merge_defaults(answer: Answer) -> None:
    """An object, filled up from defaults."""
    answer({"a": 1}, {"a": 2, "b": 3}).gives({"a": 1, "b": 3}, hint="What is given stands; only what is missing is filled.")
    answer({"a": None}, {"a": 2}).gives({"a": 2}, hint="A null counts as left out.")
    answer({"a": 0, "b": ""}, {"a": 2, "b": "x"}).gives({"a": 0, "b": ""}, hint="0 and the empty text are values.")
    answer({"s": {"x": 1}}, {"s": {"x": 2, "y": 3}}).gives({"s": {"x": 1, "y": 3}}, hint="Look deep inside, too.")
    answer({"l": [1]}, {"l": [2, 3]}).gives({"l": [1]}, hint="A list is taken whole.")


@exercise
def split_update(answer: Answer) -> None:
    """What is stored when the halves of an object have different authors."""
    old = {"metadata": {"v": 1}, "spec": {"n": 1}, "status": {"phase": "Pending"}}
    new = {"metadata": {"v": 2}, "spec": {"n": 2}, "status": {"phase": "Running"}}
    answer(old, new, "").gives({"metadata": {"v": 2}, "spec": {"n": 2}, "status": {"phase": "Pending"}},
                               hint="The main path can't change the status.")
    answer(old, new, "status").gives({"metadata": {"v": 2}, "spec": {"n": 1}, "status": {"phase": "Running"}},
                                     hint="By /status, the spec stays the old one.")
    bare = {"metadata": {}, "spec": {"n": 1}}
    answer(bare, new, "").gives({"metadata": {"v": 2}, "spec": {"n": 2}},
                                hint="An object that had no status gets none by the main path.")


@exercise
def read_path(answer: Answer) -> None:
    """What a path of the API is about: (group, resource, namespace, name)."""
    answer("/api/v1/namespaces/default/pods/web").gives(("", "pods", "default", "web"),
                                                        hint="The oldest group has no name, and lies below /api.")
    answer("/apis/apps/v1/namespaces/shop/deployments").gives(("apps", "deployments", "shop", ""),
                                                              hint="All other groups lie below /apis, with their name.")
    answer("/api/v1/nodes/ant").gives(("", "nodes", "", "ant"), hint="A node lies in no namespace.")
    answer("/api/v1/pods").gives(("", "pods", "", ""), hint="Without a namespace, the pods of all are meant.")
    answer("/api/v1/namespaces/shop").gives(("", "namespaces", "", "shop"), hint="A namespace is an object, too: it has a name.")
    answer("/api/v1/namespaces").gives(("", "namespaces", "", ""), hint="And there is a list of them.")
    answer("/api/v1/namespaces/default/pods/web/log").gives(("", "pods", "default", "web"),
                                                            hint="A subresource comes after the name.")
