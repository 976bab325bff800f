"""What a list or a watch asks for: selectors, pages, and a place in history.

Genuine counterpart: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""
from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinykube.api.registry import Record, Registry
from tinykube.machinery import errors
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, labels
from tinykube.machinery.selectors import parse_field_selector, parse_label_selector
from tinykube.machinery.wire import Request
from tinykube.store import Compacted, FutureRevision

if TYPE_CHECKING:
    from tinykube.api.resources import Resource

Selects = Callable[[Object], bool]
TRUE = ("1", "true", "True", "t", "T", "TRUE")
TOO_OLD = ("The provided continue parameter is too old to display a consistent list result. You can start a new list "
           "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
           "the results. Continuing with the provided token results in an inconsistent list - objects that were "
           "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
           "list.")


@dataclass(frozen=True)
class ListOptions:
    """The query of a list or watch, read and checked."""

    selects: Selects | None              # None: everything
    revision: int | None                 # None: not given
    match: str = ""
    limit: int = 0
    token: str = ""
    timeout: int = 0
    bookmarks: bool = False
    initial_events: bool | None = None


def list_options(request: Request, resource: Resource, watch: bool) -> ListOptions:
    """Read the options of a request. Raises ApiError for what can't be, or can't be together."""
    given = request.param("sendInitialEvents")
    options = ListOptions(selection(request, resource), parse_revision(request.param("resourceVersion"), watch),
                          request.param("resourceVersionMatch"), integer(request.param("limit")),
                          request.param("continue"), integer(request.param("timeoutSeconds")),
                          request.param("allowWatchBookmarks") in TRUE, given in TRUE if given else None)
    causes = list(watch_causes(options) if watch else list_causes(options, request.param("resourceVersion")))
    if causes:
        raise errors.invalid("ListOptions", "", causes, "meta.k8s.io")
    return options


def list_causes(options: ListOptions, version: str) -> list[Object]:
    """What a list may not ask for."""
    if options.initial_events is not None:
        return [errors.forbidden_value("sendInitialEvents", "sendInitialEvents is forbidden for list")]
    at = "resourceVersionMatch"
    if options.match and not version:
        return [errors.forbidden_value(at, "resourceVersionMatch is forbidden unless resourceVersion is provided")]
    if options.match and options.token:
        return [errors.forbidden_value(at, "resourceVersionMatch is forbidden when continue is provided")]
    if options.match not in ("", "Exact", "NotOlderThan"):
        return [errors.unsupported_value(at, options.match, ("Exact", "NotOlderThan", ""))]
    if options.match == "Exact" and version == "0":
        return [errors.forbidden_value(at, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')]
    return []


def watch_causes(options: ListOptions) -> list[Object]:
    """What a watch may not ask for."""
    at, found = "resourceVersionMatch", list[Object]()
    if options.initial_events is not None and not options.match:
        return [errors.forbidden_value(at, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")]
    if options.match and options.initial_events is None:
        found.append(errors.forbidden_value(at, "resourceVersionMatch is forbidden for watch unless sendInitialEvents "
                                            "is provided"))
    if options.match not in ("", "NotOlderThan"):
        found.append(errors.unsupported_value(at, options.match, ("NotOlderThan",)))
    return found


def integer(text: str) -> int:
    """A number of the query; 0 if it is not given."""
    try:
        number = int(text or 0)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if not -1 << 63 <= number < 1 << 63:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


def parse_revision(text: str, watch: bool = False) -> int | None:
    """A resourceVersion of the query. Clients may not read anything into it, but we may: it is a number."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    raise plain_error(500, why) if watch else errors.bad_request(f"invalid resource version: {why}")


def plain_error(code: int, message: str) -> ApiError:
    """An error that the genuine server gives no reason for."""
    error = ApiError(code, message)
    error.reason = ""
    return error


def unselectable(resource: Resource, field: str) -> str:
    """That a field can't be selected by, in the words that each kind has for it."""
    if resource.plural == "jobs":
        return f'field label "{field}" not supported for {resource.kind}'
    if resource.plural == "resourceslices":
        return f"field label not supported for {resource.api_version}, Kind={resource.kind}: {field}"
    if resource.strategy.fields or resource.schema or resource.group == "certificates.k8s.io":
        return f"field label not supported: {field}"
    return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def selection(request: Request, resource: Resource) -> Selects | None:
    """The predicate that a request's labelSelector and fieldSelector make together, or None for everything."""
    try:
        by_label = parse_label_selector(request.param("labelSelector"))
        by_field = parse_field_selector(request.param("fieldSelector"))
    except ValueError as error:
        raise errors.bad_request(str(error)) from None
    strategy = resource.strategy
    for each in by_field:
        if strategy.field({}, each.field) is None:
            raise errors.bad_request(unselectable(resource, each.field))
    if not by_label and not by_field:
        return None

    def selects(obj: Object) -> bool:
        return by_label.matches(labels(obj)) and all(
            (strategy.field(obj, each.field) == each.value) != each.negated for each in by_field)
    return selects


@dataclass
class Page:
    """Part of a collection, as it was at one revision; `token` leads to the next part."""

    records: list[Record]
    revision: int
    token: str = ""
    remaining: int | None = None

    def metadata(self) -> Object:
        """The metadata of the List object."""
        meta: Object = {"resourceVersion": str(self.revision)}
        if self.token:
            meta["continue"] = self.token
            if self.remaining:
                meta["remainingItemCount"] = self.remaining
        return meta


async def read_page(registry: Registry, namespace: str, options: ListOptions) -> Page:
    """One page. All pages of a list show the collection at the revision of the first."""
    prefix = registry.key(namespace)
    revision, start = read_token(options.token, prefix) if options.token else (exact_revision(options), b"")
    records: list[Record] = []
    while True:
        wanted = options.limit - len(records) if options.limit > 0 else 0
        try:
            found = await registry.range(namespace, start, revision, wanted)
        except FutureRevision:
            raise errors.future_revision(revision, (await registry.range(namespace, limit=1)).revision) from None
        except Compacted:
            raise expired(options.token) from None
        revision = revision or found.revision
        for record in await registry.records(found.kvs):
            if options.selects is None or options.selects(record.obj):
                records.append(record)
        left = found.count - len(found.kvs)
        if left <= 0 or not found.kvs:
            break
        start = found.kvs[-1].key + b"\0"
        if len(records) >= options.limit:
            return Page(records, revision, make_token(revision, start, prefix), left if not options.selects else None)
    await check_reached(options, found.revision, revision)
    return Page(records, revision)


def exact_revision(options: ListOptions) -> int:
    """The revision to read at: 0, the newest, unless the client wants exactly one."""
    if options.match == "Exact" or (options.limit > 0 and options.revision and not options.match):
        return options.revision or 0
    return 0


async def check_reached(options: ListOptions, current: int, revision: int) -> None:
    """Raise ApiError 504 if the client has seen more than there is to see here."""
    if options.revision and options.revision > max(current, revision):
        raise errors.future_revision(options.revision, current)


def make_token(revision: int, start: bytes, prefix: bytes) -> str:
    """What leads to the next page: opaque to clients, and in truth a revision and a key."""
    content = {"v": "meta.k8s.io/v1", "rv": revision, "start": "/" + start[len(prefix):].decode()}
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def read_token(token: str, prefix: bytes) -> tuple[int, bytes]:
    """The revision and key that a token stands for; revision -1 goes on in the present. Raises ApiError 400."""
    try:
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return max(0, int(content["rv"])), prefix + str(content["start"]).removeprefix("/").encode()
    except (ValueError, KeyError, TypeError):
        raise errors.bad_request("invalid continue token: continue key is not valid: invalid character 'i' looking "
                                 "for beginning of value") from None


def expired(token: str) -> ApiError:
    """410: the revision is gone. A page's answer carries a token with which to go on in the present."""
    if not token:
        return errors.gone("The resourceVersion for the provided list is too old.")
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return errors.gone(TOO_OLD, make_token(-1, str(content["start"]).removeprefix("/").encode(), b""))
