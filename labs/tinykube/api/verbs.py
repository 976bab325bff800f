"""What each verb does: read the request, apply the rules, write, answer.

Genuine counterparts: k8s.io/apiserver/pkg/endpoints/handlers and pkg/registry/generic/registry/store.go.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinykube.api.admission import Change, admit, judge
from tinykube.api.codec import (
    as_read,
    as_written,
    cannot_handle,
    decode_json,
    decode_object,
    decode_yaml,
    media_type,
    twice,
    unfit,
)
from tinykube.api.convert import from_stored, to_stored
from tinykube.api.deletion import check_preconditions, marked, may_vanish, policy_causes
from tinykube.api.fieldtypes import kind_of, restore_errors, type_errors
from tinykube.api.listing import ListOptions, integer, list_options, plain_error, read_page
from tinykube.api.managed import manager_causes
from tinykube.api.openapi import go_types, types
from tinykube.api.registry import Record, Registry, encode
from tinykube.api.validation import validate_metadata, validate_metadata_update
from tinykube.api.warnings import warnings_of
from tinykube.api.watch import Watcher, WatchStream, event_line
from tinykube.machinery import errors
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, generated_name, new_uid, timestamp
from tinykube.machinery.patch import Typed, go_text
from tinykube.machinery.wire import NOBODY, Request, Response, User

if TYPE_CHECKING:
    from tinykube.api.requestinfo import RequestInfo
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

JSON = {"content-type": "application/json"}
LABELS = ("namespaces", "services")      # whose names become part of DNS names
LEAST_WATCH = 1800                       # seconds that a watch lasts, at least, if its client names no time
DELETE_OPTIONS: dict[str, tuple[type, ...]] = {
    "gracePeriodSeconds": (int,), "preconditions": (dict,), "dryRun": (list,), "propagationPolicy": (str,),
    "orphanDependents": (bool,)}
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass
class Call:
    """A request on its way through a verb: to whom it came, and what it is about."""

    server: ApiServer
    request: Request
    info: RequestInfo
    resource: Resource

    @property
    def registry(self) -> Registry:
        return self.server.cache(self.resource).registry

    @property
    def user(self) -> User:
        """Who asks."""
        return self.request.user or NOBODY

    @property
    def dry_run(self) -> bool:
        return bool(self.request.params("dryRun"))

    @property
    def where(self) -> str:
        """The namespace in which the object lies. (A path to a namespace names it as name.)"""
        return self.info.namespace if self.resource.namespaced else ""


Own = Callable[[Call, "Object | None", Object], None]


def answer(call: Call, record: Record, status: int = 200) -> Response:
    """An object as an answer, in the form that the client asked for."""
    shape = call.server.shape(call.request, call.resource)
    body = encode(shape(record.obj)) if shape else record.json
    return Response(status, body + b"\n", dict(JSON))


async def get(call: Call) -> Response:
    """GET one object."""
    version = call.request.param("resourceVersion")
    if version and not (version.isascii() and version.isdigit()):
        raise plain_error(500, f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": '
                          "invalid syntax")
    found = await call.registry.get(call.where, call.info.name)
    return answer(call, found)


async def list_(call: Call) -> Response:
    """GET a collection, or a page of it: at one revision, which the answer names."""
    options = options_of(call, watch=False)
    page = await read_page(call.registry, call.where, options)
    head = {"kind": call.resource.list_kind, "apiVersion": call.resource.api_version, "metadata": page.metadata()}
    if shape := call.server.shape(call.request, call.resource):
        return Response(200, encode(shape({**head, "items": [record.obj for record in page.records]})) + b"\n", dict(JSON))
    return Response(200, encode(head)[:-1] + b',"items":[' + b",".join(
        record.json if call.resource.schema else record.item for record in page.records) + b"]}\n", dict(JSON))


def options_of(call: Call, watch: bool) -> ListOptions:
    """The options of a list or watch. A name in the path of a watch is one more condition."""
    request = call.request
    if call.info.name:
        one = [value for value in (request.param("fieldSelector"), f"metadata.name={call.info.name}") if value]
        request = Request(request.method, request.path, (("fieldSelector", ",".join(one)), *request.query),
                          request.headers)
    return list_options(request, call.resource, watch)


async def watch(call: Call) -> Response:
    """GET a collection's changes, as a stream of events that ends only after a time."""
    options = options_of(call, watch=True)
    cache = call.server.cache(call.resource)
    shape = call.server.shape(call.request, call.resource)
    first: Iterator[bytes] = iter(())
    since = options.revision or 0
    try:
        if since == 0 or options.initial_events:
            page = await read_page(call.registry, call.where, ListOptions(options.selects, options.revision))
            since = page.revision
            wants_end = options.initial_events or (options.initial_events is None and options.revision is None)
            end = [bookmark(call, since, INITIAL_EVENTS_END)] if options.bookmarks and wants_end else []
            records = page.records if options.initial_events is not False else []
            first = iter([b"".join(Watcher(None, shape, 0).shaped("ADDED", r, 0) if shape else
                                   event_line("ADDED", r.json) for r in records) + b"".join(end)])
        watcher = cache.subscribe(call.where, since, options.selects, shape)
    except ApiError as error:
        if error.code not in (410, 504):
            raise
        return Response(200, only(event_line("ERROR", encode(error.status()))), dict(JSON))
    timeout = float(options.timeout) or LEAST_WATCH * (1 + call.server.random.random())
    marks = (lambda revision: bookmark(call, revision)) if options.bookmarks else None
    return Response(200, WatchStream(cache, watcher, first, timeout, marks), dict(JSON))


async def only(line: bytes) -> Any:
    """A stream of one line."""
    yield line


def bookmark(call: Call, revision: int, annotations: dict[str, str] | None = None) -> bytes:
    """An event that says only how far the watch is. It has the resource's own kind, and is else empty."""
    meta: Object = {"resourceVersion": str(revision)} | ({"annotations": annotations} if annotations else {})
    mark: Object = {"kind": call.resource.kind, "apiVersion": call.resource.api_version, "metadata": meta}
    shape = call.server.shape(call.request, call.resource)
    return event_line("BOOKMARK", encode(shape(mark) if shape else mark))


async def create(call: Call, given: Object | None = None) -> Response:
    """POST a new object: fill in, ask admission, validate, and put it where nothing is."""
    check_options(call, "CreateOptions")
    return answer(call, await insert(call, given or decode_checked(call)), 201)


def tracked(call: Call, old: Object | None, obj: Object) -> None:
    """Fill in what the client left out, and note whose fields these are, where a server keeps book of that."""
    guarded(call, call.resource.strategy.default, obj)
    if call.server.own:
        call.server.own(call, old, obj)
    else:
        obj["metadata"].pop("managedFields", None)


def as_it_is(call: Call, old: Object | None, obj: Object) -> None:
    """Leave an object alone, which is complete."""


async def insert(call: Call, obj: Object, track: Own = tracked) -> Record:
    """Make `obj` an object of the cluster: name, namespace, uid, time; defaults; admission; rules; store."""
    strategy, meta = call.resource.strategy, obj["metadata"]
    if meta.get("resourceVersion"):
        raise plain_error(500, "resourceVersion should not be set on objects to be created")
    place(call, meta)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated_name(meta["generateName"], call.server.random)
    for field in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        meta.pop(field, None)
    meta.update(uid=new_uid(call.server.random), creationTimestamp=timestamp(call.server.clock))
    if strategy.counts_generations:
        meta["generation"] = 1
    track(call, None, obj)
    guarded(call, strategy.prepare_for_create, obj)
    guarded(call, strategy.ascribe, obj, call.user)
    what = Change("CREATE", call.resource, call.where, meta.get("name", ""), obj, user=call.user, request=call.request)
    await admit(call.server, what)
    refuse_if(call, obj, [*validate_metadata(obj, call.resource.plural in LABELS),
                          *guarded(call, strategy.validate, obj)])
    warn(call, obj, None)
    await judge(call.server, what)
    await strategy.begin(call.server, obj, None, call.dry_run)
    try:
        return await call.registry.insert(obj, dry_run=call.dry_run)
    except ApiError as error:
        if not call.dry_run:
            await strategy.end(call.server, obj, None)
        there = await call.registry.find(call.where, meta["name"])
        if there and there.obj["metadata"].get("deletionTimestamp"):
            error.message = f"object is being deleted: {error.message}"
        raise


def warn(call: Call, obj: Object, old: Object | None) -> None:
    """Say what is unwise about a new object, or about what is new in one."""
    changed = old is None or (content(obj) != content(old) and call.resource.plural != "pods")
    if changed and call.resource.schema is None:
        call.request.notes.setdefault("warnings", []).extend(guarded(call, warnings_of, obj))


def place(call: Call, meta: Object) -> None:
    """Set the namespace from the path. Raises ApiError 400 if the object says another one."""
    if meta.get("namespace", call.where) not in (call.where, ""):
        raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the "
                                 "request")
    meta.pop("namespace", None)
    if call.where:
        meta["namespace"] = call.where


def guarded(call: Call, rule: Callable[..., Any], *objects: Any) -> Any:
    """Apply a rule. What has a wrong type, deep inside, ends in a 400 that names the object's kind."""
    try:
        return rule(*objects)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise cannot_handle(call.resource, call.resource.kind, call.resource.api_version, str(error)) from error


def refuse_if(call: Call, obj: Object, causes: list[Object]) -> None:
    """Raise ApiError 422 if there are causes for it."""
    if causes:
        raise errors.invalid(call.resource.kind, obj["metadata"].get("name", ""), causes, call.resource.group)


def check_options(call: Call, kind: str) -> None:
    """Raise ApiError 422 for options that no write understands."""
    dry, validation = call.request.params("dryRun"), call.request.param("fieldValidation")
    causes = [errors.unsupported_value("dryRun", dry, ("All",))] if set(dry) - {"All"} else []
    if validation not in ("", "Ignore", "Strict", "Warn"):
        causes.append(errors.unsupported_value("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    applying, force = media_type(call.request) in call.server.appliers, call.request.params("force")
    if force and not applying:
        causes.append(errors.forbidden_value("force", "may not be specified for non-apply patch"))
    manager = call.request.param("fieldManager")
    if applying and not manager:
        causes.append(errors.required("fieldManager", "is required for apply patch"))
    if causes := causes + manager_causes(manager):
        raise errors.invalid(kind, "", causes, "meta.k8s.io")


def decode_checked(call: Call) -> Object:
    """The object in the body. Of fields that are in it twice, or that the schema doesn't know, the client is warned."""
    obj = decode_object(call.request, call.resource, call.server.decoders)
    if wrong := field_mistakes(call, obj):
        raise cannot_handle(call.resource, call.resource.kind, call.resource.api_version, wrong)
    return to_stored(call.resource, as_written(obj, call.resource))


def types_of(call: Call) -> Typed:
    """The types of the resource's fields."""
    return types(call.resource)


def field_mistakes(call: Call, obj: Object) -> str:
    """Warn of fields that are there twice or unknown. With fieldValidation=Strict, what to refuse the object with."""
    wanted = call.request.param("fieldValidation") or "Warn"
    found = [*call.request.notes.get("twice", ()), *(call.server.strict(obj, call.resource) if call.server.strict else ())]
    if found and wanted == "Strict":
        return f"strict decoding error: {', '.join(found)}"
    tell(call, found if wanted == "Warn" else [])
    return ""


def tell(call: Call, texts: list[str]) -> None:
    """Tell the client, beside the answer, what it should know."""
    call.request.notes.setdefault("warnings", []).extend(texts)


Mutate = Callable[[Object], Object]


async def update(call: Call) -> Response:
    """PUT a whole object in place of the stored one."""
    check_options(call, "UpdateOptions")
    obj = decode_checked(call)
    check_name(call, obj)
    place(call, obj["metadata"])
    if call.resource.strategy.create_on_update and not call.info.subresource \
            and await call.registry.find(call.where, call.info.name) is None:
        if obj["metadata"].get("resourceVersion"):
            raise errors.conflict(call.resource.plural, call.info.name, invalid_storage(call, obj), call.resource.group)
        return answer(call, await insert(call, obj), 201)
    return answer(call, await change(call, lambda old: copy(obj)))


def invalid_storage(call: Call, obj: Object, why: str = "") -> str:
    """The text of a write that expected another object in the storage."""
    key = call.registry.key(call.where, call.info.name).decode()
    return (f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            + (why or f"Precondition failed: UID in precondition: {obj['metadata'].get('uid', '')}, UID in object "
               "meta: "))


async def patch(call: Call) -> Response:
    """PATCH an object: read, apply the patch, write; and if somebody wrote in between, again."""
    check_options(call, "PatchOptions")
    kind = media_type(call.request) if call.request.headers.get("content-type") else ""
    if kind in call.server.appliers:
        return await call.server.appliers[kind](call)
    patcher = call.server.patchers.get(kind)
    if patcher is None:
        raise errors.unsupported_media_type()
    body = patch_body(call, kind)

    def apply(old: Object) -> Object:
        patched = patcher(from_stored(call.resource, copy(old)), copy(body), call.resource)
        check_patched(call, patched, body if kind == STRATEGIC else None)
        patched = {"kind": call.resource.kind, "apiVersion": call.resource.api_version, **as_read(patched, call.resource)}
        patched["metadata"] = patched.get("metadata") or {}
        check_name(call, patched)
        place(call, patched["metadata"])
        return to_stored(call.resource, as_written(patched, call.resource))
    return answer(call, await change(call, apply))


def check_patched(call: Call, patched: Any, strategic: Object | None) -> None:
    """Raise ApiError 422 if what a patch leaves is no object of this kind. Of a strategic patch, its own text is told."""
    told = encode(patched).decode() if strategic is None else go_text(strategic)
    if not isinstance(patched, dict):
        raise unpatchable(told, f"json: cannot unmarshal {kind_of(patched)} into Go value of type map[string]interface {{}}")
    kind, version = (patched.get(field) or getattr(call.resource, name) for field, name in KIND_FIELDS)
    if why := unfit(call.resource, str(kind), str(version)):
        raise unpatchable(told, why)
    for error in (type_errors if strategic is None else restore_errors)(patched, go_types(call.resource)):
        raise unpatchable(told, error)
    if wrong := field_mistakes(call, patched):
        raise unpatchable(told, wrong)


KIND_FIELDS = (("kind", "kind"), ("apiVersion", "api_version"))
STRATEGIC, OPERATIONS = "application/strategic-merge-patch+json", "application/json-patch+json"


def check_name(call: Call, obj: Object) -> None:
    """Raise ApiError 400 if the object has another name than its path."""
    name = obj["metadata"].get("name", "")
    if not name:
        raise errors.bad_request(f"the name of the object ({call.info.name} based on URL) was undeterminable: name must "
                                 "be provided")
    if name != call.info.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL "
                                 f"({call.info.name})")


def patch_body(call: Call, kind: str) -> Any:
    """The patch itself. Raises ApiError 400."""
    try:
        body = decode_yaml(call.request.body, None) if kind.endswith("+yaml") else decode_json(call.request.body, None)
    except ApiError:
        raise errors.bad_request("invalid JSON patch") from None
    if kind not in (OPERATIONS, STRATEGIC) and not isinstance(body, dict):
        raise errors.bad_request(f"error decoding patch: json: cannot unmarshal {kind_of(body)} into Go value of type "
                                 "map[string]interface {}")
    doubled = twice(call.request.body) if kind.endswith("+json") else []
    if kind == OPERATIONS and isinstance(body, list):
        doubled = [f"json patch {text}" for text in doubled] + [
            f'json patch unknown field "[{at}].{name}"' for at, each in enumerate(body) if isinstance(each, dict)
            for name in each if name not in ("op", "path", "from", "value")]
    call.request.notes["twice"] = doubled
    return body


def unpatchable(told: str, why: str) -> ApiError:
    """422: what the patch leaves is no object of this kind."""
    return errors.invalid("", "", [errors.invalid_value("patch", told, why)])


async def change(call: Call, mutate: Mutate, track: Own = tracked) -> Record:
    """Read, change, and write if nobody wrote in between; else, unless the client named a version, once more."""
    while True:
        old = await call.registry.get(call.where, call.info.name)
        obj = mutate(old.obj)
        track(call, old.obj, obj)
        expected = expected_version(call, obj, old)
        await settle(call, obj, old)
        saved = await save(call, obj, old)
        if saved:
            return saved
        if expected:
            raise errors.conflict(call.resource.plural, call.info.name, group=call.resource.group)


def expected_version(call: Call, obj: Object, old: Record) -> str:
    """The version that the client has seen, or '' if it doesn't care. Raises ApiError 409 if it is an old one."""
    meta, was = obj["metadata"], old.obj["metadata"]
    expected = str(meta.get("resourceVersion") or "")
    if expected in ("", "0"):
        expected = ""
        if call.info.verb == "update" and not call.resource.strategy.unconditional_update:
            cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(call.resource.plural, call.info.name, [cause], call.resource.group)
    elif not expected.isdigit():
        raise plain_error(500, f'strconv.ParseUint: parsing "{expected}": invalid syntax')
    if call.info.verb == "update" and meta.get("uid") not in (None, "", was["uid"]):
        why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {was['uid']}"
        raise errors.conflict(call.resource.plural, call.info.name, invalid_storage(call, obj, why),
                              call.resource.group)
    if expected and expected != was["resourceVersion"]:
        raise errors.conflict(call.resource.plural, call.info.name, group=call.resource.group)
    return expected


async def settle(call: Call, obj: Object, old: Record) -> None:
    """Make `obj` a lawful successor of `old`, in place. Raises ApiError if it can't be one."""
    strategy, meta, was = call.resource.strategy, obj["metadata"], old.obj["metadata"]
    for field in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
                  "namespace", "generateName"):
        if field in was and (field in ("generation", "creationTimestamp") or not meta.get(field)):
            meta[field] = was[field]
    meta.pop("selfLink", None)
    meta["resourceVersion"] = was["resourceVersion"]
    guarded(call, strategy.prepare_for_update, obj, old.obj, call.info.subresource)
    if strategy.counts_generations and call.info.subresource != "status" and content(obj) != content(old.obj):
        meta["generation"] = was.get("generation", 0) + 1
    what = Change("UPDATE", call.resource, call.where, call.info.name, obj, old.obj, call.info.subresource, call.user,
                  call.request)
    await admit(call.server, what)
    refuse_if(call, obj, [*validate_metadata_update(obj, old.obj),
                          *validate_metadata(obj, call.resource.plural in LABELS),
                          *guarded(call, strategy.validate, obj),
                          *guarded(call, strategy.validate_update, obj, old.obj, call.info.subresource)])
    warn(call, obj, old.obj)
    await judge(call.server, what)
    await strategy.begin(call.server, obj, old.obj, call.dry_run)


def content(obj: Object) -> Object:
    """What a generation counts: all that users write, which in most kinds is the spec. A Deployment's notes count, too."""
    notes = obj["metadata"].get("annotations") or {} if obj["kind"] == "Deployment" else {}
    return {"notes": notes, **{field: value for field, value in obj.items() if field not in ("metadata", "status")}}


async def save(call: Call, obj: Object, old: Record) -> Record | None:
    """Write a change: not at all if nothing changed, as a removal if that was the last thing it waited for."""
    if call.registry.same(old, obj):
        return old
    if may_vanish(obj):
        saved, kept = await call.registry.remove(old, obj, dry_run=call.dry_run), None
    else:
        saved, kept = await call.registry.replace(old, obj, dry_run=call.dry_run), obj
    if not call.dry_run:
        await call.resource.strategy.end(call.server, *((old.obj, kept) if saved else (obj, old.obj)))
    return saved


async def delete(call: Call) -> Response:
    """DELETE an object: at once, or with a mark that gives others time to clean up."""
    record = await remove(call, delete_options(call))
    if call.resource.strategy.returns_deleted or not gone(record):
        return answer(call, record)
    details = errors.details_of(call.resource.plural, call.info.name, call.resource.group,
                                uid=record.obj["metadata"]["uid"])
    return Response(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                          "details": details})


def gone(record: Record) -> bool:
    """Whether a deletion left nothing."""
    return "deletionTimestamp" not in record.obj["metadata"] or may_vanish(record.obj)


def delete_options(call: Call) -> Object:
    """The DeleteOptions of a request, from its body and its query. Raises ApiError 400 or 422."""
    options = options_in_body(call) if call.request.body else {}
    for name, read in (("gracePeriodSeconds", integer), ("propagationPolicy", str), ("orphanDependents", "true".__eq__)):
        if name not in options and (text := call.request.param(name)):
            options[name] = read(text)
    return lawful(call, options)


def lawful(call: Call, options: Object) -> Object:
    """The same DeleteOptions; a dry run that they ask for is one of the call. Raises ApiError 422."""
    for each in options.get("dryRun") or []:
        call.request = replace(call.request, query=(*call.request.query, ("dryRun", str(each))))
    check_options(call, "DeleteOptions")
    if causes := policy_causes(options):
        raise errors.invalid("DeleteOptions", "", causes, "meta.k8s.io")
    return options


def options_in_body(call: Call) -> Object:
    """The DeleteOptions in a request's body, of the right types. Raises ApiError 400."""
    decoder = call.server.decoders.get(media_type(call.request))
    if decoder is None:
        raise errors.unsupported_media_type(sorted(call.server.decoders))
    options = decoder(call.request.body, None)
    if not isinstance(options, dict) or options.get("kind", "DeleteOptions") != "DeleteOptions":
        raise errors.bad_request(f"expected DeleteOptions in the body, got {str(options)[:80]}")
    for field, known in DELETE_OPTIONS.items():
        if options.get(field) is not None and type(options[field]) not in known:
            raise errors.bad_request(f"{field} of DeleteOptions can't be a {kind_of(options[field])}")
    return {field: value for field, value in options.items() if value is not None}


async def remove(call: Call, options: Object) -> Record:
    """Delete one object as far as its grace and finalizers allow; the object as it is then, or last was."""
    while True:
        old = await call.registry.get(call.where, call.info.name)
        check_preconditions(old.obj, options, call.resource)
        what = Change("DELETE", call.resource, call.where, call.info.name, None, old.obj, user=call.user, request=call.request)
        await admit(call.server, what)
        await judge(call.server, what)
        going = marked(old.obj, call.resource, options, call.server.clock.now())
        if may_vanish(going):
            done = await call.registry.remove(old, going, dry_run=call.dry_run)
            if done and not call.dry_run:
                await call.resource.strategy.end(call.server, old.obj, None)
        elif going is old.obj:
            return old
        else:
            done = await call.registry.replace(old, going, dry_run=call.dry_run)
        if done:
            return done


async def delete_collection(call: Call) -> Response:
    """DELETE all objects that the selectors select, one after the other."""
    options = delete_options(call)
    page = await read_page(call.registry, call.where, list_options(call.request, call.resource, watch=False))
    for record in page.records:
        name = dig(record.obj, "metadata", "name")
        one = Call(call.server, call.request, type(call.info)(
            "delete", call.info.group, call.info.version, call.info.resource, call.info.namespace, name), call.resource)
        try:
            await remove(one, options)
        except ApiError as error:
            if error.code != 404:
                raise
    head = {"kind": call.resource.list_kind, "apiVersion": call.resource.api_version, "metadata": page.metadata()}
    return Response(200, {**head, "items": [copy(record.obj) for record in page.records]})


Verb = Callable[[Call], Awaitable[Response]]
