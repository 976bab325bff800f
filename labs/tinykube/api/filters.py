"""What every request passes on its way in, and its answer on the way out: a chain, outermost first.

Genuine counterpart: the handler chain of k8s.io/apiserver/pkg/server/config.go.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tinykube.api.requestinfo import request_info
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError, bad_request, internal, too_large
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Handler, Request, Response
from tinykube.store import StoreError

Filter = Callable[[Request, Handler], Awaitable[Response]]
LARGEST_BODY = 3 * 1024 * 1024


def chain(filters: Sequence[Filter], handler: Handler) -> Handler:
    """One handler out of several: each filter gets the request and whom to ask next."""
    for each in reversed(filters):
        handler = link(each, handler)
    return handler


def link(first: Filter, then: Handler) -> Handler:
    """A filter in front of a handler."""
    return lambda request: first(request, then)


def log_requests(log: EventLog, clock: Clock) -> Filter:
    """Write down who asked for what and what came of it, one record a request. From these come the traces."""
    async def logged(request: Request, then: Handler) -> Response:
        began = clock.monotonic()
        response = await then(request)
        info = request_info(request.method, request.path, request.param("watch") in ("1", "true"))
        log.add("api", request.method, who=request.headers.get("user-agent", ""), path=request.target,
                action=info.verb, resource=info.resource, namespace=info.namespace, name=info.name,
                subresource=info.subresource, status=response.status, seconds=round(clock.monotonic() - began, 6))
        return response
    return logged


def errors_to_status(log: EventLog) -> Filter:
    """Turn an ApiError into a Status, and anything else that goes wrong into a 500 that says so."""
    async def caught(request: Request, then: Handler) -> Response:
        try:
            return await then(request)
        except ApiError as error:
            return status_response(error)
        except StoreError as error:                   # a full disk: the store's words, and no reason, as genuine
            fault = ApiError(500, str(error))
            fault.reason = ""
            return status_response(fault)
        except RecursionError:
            return status_response(bad_request("the object is nested too deeply"))
        except Exception as error:
            log.add("api", "fault", path=request.target, error=f"{type(error).__name__}: {error}")
            return status_response(internal(f"{type(error).__name__}: {error}"))
    return caught


def status_response(error: ApiError) -> Response:
    """The answer that tells a client about an error."""
    body = error.status()
    if not body["reason"]:
        del body["reason"]
    if token := getattr(error, "continue_token", ""):
        body["metadata"] = {"continue": token}
    retry = (error.details or {}).get("retryAfterSeconds")
    return Response(error.code, body, {"retry-after": str(retry)} if retry else {})


async def limit_body(request: Request, then: Handler) -> Response:
    """Refuse bodies that no object can have."""
    if len(request.body) > LARGEST_BODY:
        raise too_large(LARGEST_BODY)
    return await then(request)
