"""The verbs: each is a request or two, and a sentence about what came of it.

Genuine counterpart: k8s.io/kubectl's commands.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import yaml

from tinykube.client.rest import Client, lines, query_pairs
from tinykube.kubectl.printers import aligned, columns, dump, sheet, without_managed_fields
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, namespace
from tinykube.machinery.wire import Body, Request

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class Trouble(Exception):
    """What kubectl says in its own name and not in the server's: `error: ...`."""


class Kubectl:
    """One run of the command: a client, the namespace that is meant, and where to print."""

    def __init__(self, client: Client, options: Namespace, out: Callable[[str], None], err: Callable[[str], None],
                 read: Callable[[str], str]) -> None:
        self.client, self.options, self.out, self.err, self.read = client, options, out, err, read
        self.served: list[Object] = []

    async def resources(self) -> list[Object]:
        """Everything that the server offers, by two requests. Each knows its group and version."""
        for path in () if self.served else ("/api", "/apis"):
            response = await self.client.send(Request("GET", path, (), {"accept": DISCOVERY}))
            found: Any = json.loads(await whole(response.body))
            self.served += [
                {**resource, "group": group["metadata"].get("name", ""), "version": version["version"]}
                for group in found["items"] for version in group["versions"] for resource in version["resources"]]
        return self.served

    async def resource(self, word: str) -> Object:
        """The resource that a person means by `pods`, `pod`, `po` or `deployments.apps`."""
        name, _, group = word.lower().partition(".")
        for each in await self.resources():
            names = {each["resource"], each["singularResource"], *each.get("shortNames", [])}
            if name in names and each["group"].startswith(group):
                return each
        raise Trouble(f'the server doesn\'t have a resource type "{word}"')

    def path(self, resource: Object, name: str = "", space: str = "", part: str = "") -> str:
        """Where a collection or an object of it lives."""
        root = f"/apis/{resource['group']}/{resource['version']}" if resource["group"] else f"/api/{resource['version']}"
        space = "" if resource["scope"] == "Cluster" or self.options.all else space or self.options.namespace
        return "/".join(filter(None, [root, f"namespaces/{space}" if space else "", resource["resource"], name, part]))

    async def ask(self, method: str, path: str, body: Object | None = None, accept: str = "application/json",
                  **query: str | int | None) -> Object:
        """One request of ours; the answer as an object. Raises ApiError with the server's own words."""
        headers = {"accept": accept, "user-agent": self.client.user_agent}
        if body is not None:
            kind = {"PATCH": "application/merge-patch+json"}.get(method, "application/json")
            headers["content-type"] = "application/apply-patch+yaml" if "fieldManager" in query else kind
        data = json.dumps(body).encode() if body is not None else b""
        response = await self.client.send(Request(method, path, query_pairs(query), headers, data))
        answer: Object = json.loads(await whole(response.body) or b"{}")
        if response.status >= 300:
            raise ApiError.from_status(response.status, answer)
        return answer

    async def named(self) -> tuple[Object, list[str]]:
        """The resource and the names on the command line: `pods a b`, or `pod/a`."""
        first, *names = self.options.what
        kind, _, name = first.partition("/")
        return await self.resource(kind), [name, *names] if name else names

    async def get(self) -> None:
        """Show objects: a table by the server, or yaml, json, name, jsonpath by us. With -w, go on."""
        resource, names = await self.named()
        form = self.options.output
        accept = TABLE if form in ("", "wide") else "application/json"
        query = {"labelSelector": self.options.selector, "limit": 500}
        found = [await self.ask("GET", self.path(resource, name), accept=accept, **({} if name else query))
                 for name in names or [""]]
        if accept != TABLE:
            return self.show(resource, found, whole=not names)
        found[0]["rows"] = [row for table in found for row in table["rows"]]
        if found[0]["rows"]:
            self.out(self.table(found[0]))
        elif not self.options.watch:
            self.err("No resources found" + ("" if self.options.all or resource["scope"] == "Cluster"
                                             else f" in {self.options.namespace} namespace."))
        if self.options.watch:
            await self.follow(resource, names, found[0]["metadata"]["resourceVersion"], head=not found[0]["rows"])
        return None

    def table(self, table: Object) -> str:
        """A Table as text."""
        return aligned(columns(table, wide=self.options.output == "wide", namespaces=self.options.all))

    def show(self, resource: Object, found: list[Object], *, whole: bool) -> None:
        """Print objects in the form that was asked for; several are a List."""
        items = [without_managed_fields(obj) for obj in (found[0]["items"] if whole else found)]
        if whole:
            kind = {"apiVersion": found[0]["apiVersion"], "kind": found[0]["kind"].removesuffix("List")}
            items = [{**kind, **item} for item in items]
        if self.options.output == "name":
            return self.out("\n".join(f"{called(resource)}/{item['metadata']['name']}" for item in items))
        many: Object = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
        return self.out(dump(self.options.output, many if whole or len(items) > 1 else items[0]))

    async def follow(self, resource: Object, names: list[str], version: str, *, head: bool) -> None:
        """Print a row for each change from here on, until interrupted."""
        query = {"watch": "true", "resourceVersion": version, "labelSelector": self.options.selector,
                 "fieldSelector": f"metadata.name={names[0]}" if names else None}
        response = await self.client.send(Request("GET", self.path(resource), query_pairs(query), {"accept": TABLE}))
        known: Object = {}
        async with aclosing(lines(response)) as stream:
            async for line in stream:
                table = json.loads(line)["object"]
                known = known or {"columnDefinitions": table.get("columnDefinitions")}
                text = self.table({**table, **known})
                self.out(text if head else text.partition("\n")[2])
                head = False

    async def describe(self) -> None:
        """Everything about an object, for reading, and the events that are about it."""
        resource, names = await self.named()
        for name in names:
            obj = without_managed_fields(await self.ask("GET", self.path(resource, name)))
            about = f"involvedObject.name={name},involvedObject.uid={obj['metadata']['uid']}"
            space = namespace(obj) or "default"
            events = (await self.ask("GET", f"/api/v1/namespaces/{space}/events", fieldSelector=about))["items"]
            rows = [[e.get("type", ""), e["reason"], dig(e, "source", "component", default=""), e["message"]] for e in events]
            self.out("\n".join([*sheet(obj), "Events:  <none>" if not rows else "Events:",
                                *([aligned([["  Type", "Reason", "From", "Message"], *([f"  {r[0]}", *r[1:]] for r in rows)])]
                                  if rows else [])]))

    async def documents(self) -> AsyncGenerator[tuple[Object, Object], None]:
        """The objects of the file that -f names, each with the resource that serves its kind."""
        for obj in yaml.safe_load_all(self.read(self.options.filename)):
            group, _, version = obj["apiVersion"].rpartition("/")
            served = [each for each in await self.resources() if (
                each["group"], each["version"], each["responseKind"]["kind"]) == (group, version, obj["kind"])]
            if not served:
                raise Trouble(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')
            yield served[0], obj

    async def create(self) -> None:
        """Create what a file says; what is there already is an error."""
        async for resource, obj in self.documents():
            try:
                await self.ask("POST", self.path(resource, space=namespace(obj)), obj)
            except ApiError as error:
                where = "STDIN" if self.options.filename == "-" else self.options.filename
                raise ApiError(error.code, f'error when creating "{where}": {error.message}', error.reason) from None
            self.out(f"{called(resource)}/{obj['metadata']['name']} created")

    async def apply(self) -> None:
        """Make things as a file says, by the server: it knows which fields are ours."""
        async for resource, obj in self.documents():
            path = self.path(resource, obj["metadata"]["name"], namespace(obj))
            await self.ask("PATCH", path, obj, fieldManager="kubectl", fieldValidation="Strict")
            self.out(f"{called(resource)}/{obj['metadata']['name']} serverside-applied")

    async def delete(self) -> None:
        """Delete objects, by name or as a file has them. Does not wait until they are gone."""
        if self.options.filename:
            targets = [(resource, obj["metadata"]["name"], namespace(obj)) async for resource, obj in self.documents()]
        else:
            resource, names = await self.named()
            targets = [(resource, name, "") for name in names]
        for resource, name, space in targets:
            await self.ask("DELETE", self.path(resource, name, space))
            where = "" if resource["scope"] == "Cluster" else f" from {space or self.options.namespace} namespace"
            kind = called(resource)
            self.out(f'{kind} "{name}" deleted{where}')

    async def label(self) -> None:
        """Set labels (`key=value`) and take them off (`key-`)."""
        resource, words = await self.named()
        names = [word for word in words if "=" not in word and word[-1] != "-"]
        labels = {word.rstrip("-").split("=")[0]: word.split("=")[1] if "=" in word else None
                  for word in words if word not in names}
        for name in names:
            await self.ask("PATCH", self.path(resource, name), {"metadata": {"labels": labels}})
            self.out(f"{called(resource)}/{name} {'labeled' if any(labels.values()) else 'unlabeled'}")

    async def logs(self) -> None:
        """What a container has written, and with -f what it goes on to write."""
        pod = self.options.what[0].rpartition("/")[2]
        path = self.path(await self.resource("pods"), pod, part="log")
        query = query_pairs({"container": self.options.container or None, "follow": self.options.follow or None})
        response = await self.client.send(Request("GET", path, query, {}))
        if response.status >= 300:
            error = ApiError.from_status(response.status, json.loads(await whole(response.body)))
            where = f' in namespace "{self.options.namespace}"' if error.code == 404 else ""
            raise Trouble(f"error from server ({error.reason}): {error.message}{where}")
        if isinstance(response.body, bytes):
            return self.out(response.body.decode(errors="replace").removesuffix("\n"))
        async with aclosing(lines(response)) as stream:
            async for line in stream:
                self.out(line.decode(errors="replace"))
        return None


def called(resource: Object) -> str:
    """How kubectl calls an object's kind: `pod`, `deployment.apps`."""
    return ".".join(filter(None, [resource["singularResource"], resource["group"]]))


async def whole(body: Body) -> bytes:
    """All of a body, also of a stream."""
    if isinstance(body, dict):
        return json.dumps(body).encode()
    return body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])
