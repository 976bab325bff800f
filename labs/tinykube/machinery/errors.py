"""Failures as the API tells them: an exception here, a `Status` object on the wire, with the genuine texts."""
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tinykube.machinery.wire import Object

REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
           406: "NotAcceptable", 409: "Conflict", 410: "Expired", 413: "RequestEntityTooLarge",
           415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError",
           503: "ServiceUnavailable", 504: "Timeout"}


class ApiError(Exception):
    """A request that failed, with all that a client may want to know about it."""

    def __init__(self, code: int, message: str, reason: str = "", details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details
        self.reason = reason or REASONS.get(code, "Unknown")

    def status(self) -> Object:
        """The `Status` object that goes to the client."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": self.message, "reason": self.reason}
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}

    @classmethod
    def from_status(cls, code: int, body: Any) -> ApiError:
        """The error behind an answer: its `Status` if the body is one, else what little the code says."""
        if isinstance(body, dict) and body.get("kind") == "Status":
            return cls(int(body.get("code") or code), str(body.get("message", "")), str(body.get("reason", "")),
                       body.get("details"))
        return cls(code, f"the server answered {code} without a Status: {str(body)[:200]}")


def qualified(resource: str, group: str) -> str:
    """A resource with its group, as messages have it: `deployments.apps`, or `pods` for the core group."""
    return f"{resource}.{group}" if group else resource


def details_of(kind: str, name: str = "", group: str = "", **more: Any) -> Object:
    """The `details` of a Status: what it was about. Empty fields are left out, as everywhere on the wire."""
    return {key: value for key, value in {"name": name, "group": group, "kind": kind, **more}.items() if value}


def not_found(resource: str, name: str, group: str = "") -> ApiError:
    """404: there is no object of that name."""
    return ApiError(404, f'{qualified(resource, group)} "{name}" not found', "NotFound",
                    details_of(resource, name, group))


def no_such_resource() -> ApiError:
    """404: the path names no resource that this server knows."""
    return ApiError(404, "the server could not find the requested resource", "NotFound", {})


def already_exists(resource: str, name: str, group: str = "") -> ApiError:
    """409: a create met an object that has this name."""
    return ApiError(409, f'{qualified(resource, group)} "{name}" already exists', "AlreadyExists",
                    details_of(resource, name, group))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: str, name: str, why: str = MODIFIED, group: str = "") -> ApiError:
    """409: somebody else wrote first. Read again, then decide again."""
    return ApiError(409, f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}',
                    "Conflict", details_of(resource, name, group))


def bad_request(message: str) -> ApiError:
    """400: the request makes no sense, whatever the state of the cluster."""
    return ApiError(400, message, "BadRequest")


def unauthorized() -> ApiError:
    """401: the server doesn't know who is asking."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: str, name: str, why: str, group: str = "") -> ApiError:
    """403: the server knows who is asking, and what, and says no."""
    subject = f'{qualified(resource, group)} "{name}"' if name else qualified(resource, group)
    return ApiError(403, f"{subject} is forbidden: {why}", "Forbidden", details_of(resource, name, group))


def method_not_allowed() -> ApiError:
    """405: the resource exists, this verb on it does not."""
    return ApiError(405, "the server does not allow this method on the requested resource", "MethodNotAllowed", {})


def not_acceptable(available: Iterable[str]) -> ApiError:
    """406: the client accepts none of the media types that the server can write."""
    text = f"406: Not Acceptable\n\nAvailable representations: {', '.join(available)}"
    return ApiError(406, text, "NotAcceptable", {})


def gone(message: str, continue_token: str = "") -> ApiError:
    """410: the past that was asked for has been compacted away. List again."""
    error = ApiError(410, message, "Expired")
    error.continue_token = continue_token  # type: ignore[attr-defined]
    return error


def too_old(revision: int, oldest: int) -> ApiError:
    """410 for a watch: `revision` is older than anything that the server still remembers."""
    return gone(f"too old resource version: {revision} ({oldest})")


def too_large(limit: int) -> ApiError:
    """413: the body is larger than `limit` bytes."""
    return ApiError(413, f"Request entity too large: limit is {limit}", "RequestEntityTooLarge")


def unsupported_media_type(accepted: Iterable[str] = ()) -> ApiError:
    """415: the body is of a type that the server can't read here. Without a list, the answer to a PATCH."""
    types = ", ".join(accepted)
    if not types:
        return ApiError(415, "415: Unsupported Media Type", "UnsupportedMediaType", {})
    return ApiError(415, "the body of the request was in an unknown format - accepted media types include: "
                    + types, "UnsupportedMediaType")


def too_many_requests(message: str, retry_after: int = 1) -> ApiError:
    """429: come back in `retry_after` seconds."""
    return ApiError(429, message, "TooManyRequests", {"retryAfterSeconds": retry_after})


def internal(message: str) -> ApiError:
    """500: a fault of the server's own."""
    return ApiError(500, f"Internal error occurred: {message}", "InternalError", {"causes": [{"message": message}]})


def unavailable(message: str) -> ApiError:
    """503: the server, or something that it needs, is not there now."""
    return ApiError(503, message, "ServiceUnavailable")


def timeout(message: str) -> ApiError:
    """504: the server did not finish in time. What it was asked to do may still have happened."""
    return ApiError(504, f"Timeout: {message}", "Timeout", {})


def future_revision(wanted: int, current: int) -> ApiError:
    """504: the client has seen a state that this server has not reached yet."""
    return ApiError(504, f"Timeout: Too large resource version: {wanted}, current: {current}", "Timeout",
                    {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                     "retryAfterSeconds": 1})


def invalid(kind: str, name: str, causes: list[Object], group: str = "") -> ApiError:
    """422: the object is well-formed and wrong. One cause per field, from the functions below."""
    texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in causes))
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return ApiError(422, f'{qualified(kind, group)} "{name}" is invalid: {listed}', "Invalid",
                    details_of(kind, name, group, causes=causes))


def said(value: Any) -> str:
    """A value as messages have it: JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def required(field: str, detail: str = "") -> Object:
    """Cause: the field must be there and is not."""
    return _cause("Required", "Required value", field, detail)


def invalid_value(field: str, value: Any, detail: str = "") -> Object:
    """Cause: the field's value breaks a rule, which `detail` states."""
    return _cause("Invalid", f"Invalid value: {said(value)}", field, detail)


def unsupported_value(field: str, value: Any, supported: Iterable[str]) -> Object:
    """Cause: the field's value is none of those listed."""
    listed = ", ".join(json.dumps(item) for item in supported)
    return _cause("NotSupported", f"Unsupported value: {said(value)}", field, f"supported values: {listed}")


def duplicate_value(field: str, value: Any) -> Object:
    """Cause: the value occurs twice where it must be unique."""
    return _cause("Duplicate", f"Duplicate value: {said(value)}", field)


def forbidden_value(field: str, detail: str) -> Object:
    """Cause: the field may not be set, or not changed."""
    return _cause("Forbidden", "Forbidden", field, detail)


def missing_value(field: str, value: Any) -> Object:
    """Cause: the field names something that is not there."""
    return _cause("NotFound", f"Not found: {json.dumps(value)}", field)


def too_long_value(field: str, limit: int) -> Object:
    """Cause: the field holds more than `limit` bytes."""
    return _cause("TooLong", "Too long", field, f"may not be more than {limit} bytes")


def too_many(field: str, size: int, limit: int) -> Object:
    """Cause: the field holds `size` items, more than `limit`."""
    return _cause("TooMany", f"Too many: {size}", field, f"must have at most {limit} items")


def _cause(reason: str, what: str, field: str, detail: str = "") -> Object:
    return {"reason": f"FieldValue{reason}", "message": f"{what}: {detail}" if detail else what, "field": field}
