"""What a server serves, asked of itself: for those who have to treat all kinds alike, also kinds that are new.

Genuine counterpart: client-go's `discovery` package, ServerPreferredResources.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinykube.client.rest import Client
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import dig


@dataclass(frozen=True)
class Served:
    """One resource that a server serves, with all that is needed to speak about it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """Where on the server the resource lives."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """`deployments.apps`, and `pods.` with its dot for the core group, as group resources are written."""
        return f"{self.plural}.{self.group}"

    def of(self, client: Client) -> Client:
        """A client that finds the resource where it is, whichever other group has one of the same name."""
        return Client(client.send, client.user_agent, {self.plural: self.prefix})


async def preferred_resources(client: Client, verbs: Iterable[str] = ()) -> tuple[list[Served], dict[str, str]]:
    """All resources with these verbs, each in its preferred version; and the groups that did not answer, with why."""
    groups = (await client.call("GET", "/apis")).get("groups") or []
    versions = ["v1", *(dig(group, "preferredVersion", "groupVersion", default="") for group in groups)]
    found: list[Served] = []
    failed: dict[str, str] = {}
    for version in versions:
        group, _, number = version.rpartition("/")
        try:
            listed = await client.call("GET", f"/apis/{version}" if group else f"/api/{version}")
        except (ApiError, OSError) as error:
            failed[version] = str(error)
            continue
        found += [Served(group, number, each["name"], each["kind"], each["namespaced"], frozenset(each["verbs"]))
                  for each in listed.get("resources") or []
                  if "/" not in each["name"] and set(verbs) <= set(each["verbs"])]
    return found, failed
