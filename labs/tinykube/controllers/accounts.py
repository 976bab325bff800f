"""A client for each controller, with the rights of its own service account and none besides.

Genuine counterpart: the DynamicClientBuilder of kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Handler, Request, Response

LIFE, RENEW_AFTER = 3600, 0.8         # seconds of a token's life, and the part of it after which a new one is fetched
SYSTEM = "kube-system"


class Bearer:
    """A Handler that sends each request with a token of a service account; makes the account if it is missing."""

    def __init__(self, send: Handler, manager: Client, account: str, clock: Clock) -> None:
        self.send, self.manager, self.account, self.clock = send, manager, account, clock
        self.token, self.good_until = "", 0.0

    async def __call__(self, request: Request) -> Response:
        if self.clock.monotonic() >= self.good_until:
            await self.fetch()
        response = await self.send(replace(request, headers={**request.headers, "authorization": f"Bearer {self.token}"}))
        if response.status == 401:
            self.good_until = 0.0           # the account was deleted and made anew, or the server has other keys now
        return response

    async def fetch(self) -> None:
        """Ask for a new token, and for an account first if there is none."""
        asked: Object = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                         "spec": {"expirationSeconds": LIFE}}
        try:
            made = await self.request(asked)
        except ApiError as error:
            if error.code != 404:
                raise
            await self.make()
            made = await self.request(asked)
        self.token, self.good_until = made["status"]["token"], self.clock.monotonic() + LIFE * RENEW_AFTER

    async def request(self, asked: Object) -> Object:
        """One TokenRequest."""
        return await self.manager.create("serviceaccounts", asked, SYSTEM, name=self.account, subresource="token")

    async def make(self) -> None:
        """Make the account; that somebody was faster is all right."""
        account: Object = {"apiVersion": "v1", "kind": "ServiceAccount",
                           "metadata": {"name": self.account, "namespace": SYSTEM}}
        try:
            await self.manager.create("serviceaccounts", account)
        except ApiError as error:
            if error.code != 409:
                raise


def own_accounts(send_as_manager: Handler, send_with_token: Handler, clock: Clock) -> Callable[[str], Client]:
    """What a Manager asks its clients of: its own through the first handler, the others by token through the second."""
    agent = "tinykube-controller-manager"
    manager = Client(send_as_manager, agent)

    def client(account: str) -> Client:
        """The manager's client for an empty name, else that of a service account in kube-system."""
        return Client(Bearer(send_with_token, manager, account, clock), f"{agent}/{account}") if account else manager
    return client
