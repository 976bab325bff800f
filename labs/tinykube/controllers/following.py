"""Controllers that look at an object when another one changes: each collection says which keys its objects touch.

Genuine counterpart: the event handlers that each controller of kube-controller-manager registers.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable

from tinykube.client.informer import SharedInformer
from tinykube.client.rest import Client
from tinykube.controllers.controller import Context, Controller
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, key_of

Keys = Callable[[Object], str | Iterable[str] | None]


class NotYet(Exception):
    """Nothing is wrong, and nothing is finished: try the key again, later each time."""


class Following(Controller):
    """A controller that names what it looks at in `setup`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.setup()

    def setup(self) -> None:
        """Say what to watch, and for which keys."""
        raise NotImplementedError(f"{type(self).__name__} watches nothing")

    def watch(self, resource: str, keys: Keys = key_of) -> SharedInformer:
        """Look at the keys that an object touches whenever it appears, changes (before and after), or goes."""
        def tell(*objects: Object) -> None:
            for obj in objects:
                found = keys(obj)
                for key in [found] if isinstance(found, str) else found or ():
                    self.queue.add(key)
        return self.follow(resource, tell, tell, tell)

    def copy_of(self, resource: str) -> SharedInformer:
        """The copy of a collection, to look things up in."""
        return self.context.informer(resource)

    async def delete(self, resource: str, obj: Object, policy: str = "Background", client: Client | None = None) -> bool:
        """Delete an object as it is in our copy; False when it has changed, or is gone. The policy is for what it owns."""
        client, meta = client or self.client, obj["metadata"]
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy,
                   "preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}
        try:
            await client.call("DELETE", client.path(resource, meta.get("namespace"), meta["name"]), None, options)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            return False
        return True
