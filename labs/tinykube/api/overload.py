"""No more at a time than a server can bear, and nothing for longer: beyond that, come back later.

Genuine counterpart: --max-requests-inflight, --max-mutating-requests-inflight and --request-timeout of kube-apiserver,
and API priority and fairness.
"""
from __future__ import annotations

import asyncio
import json
import re

from tinykube.api.authorization import MASTERS
from tinykube.api.filters import Filter
from tinykube.api.requestinfo import request_info
from tinykube.machinery.errors import bad_request, timeout
from tinykube.machinery.wire import Handler, Request, Response

READS, WRITES = 400, 200                 # of each, as many at a time
SENT_AWAY = b"Too many requests, please try again later.\n"
LATER = {"retry-after": "1", "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
HEALTH = ("/healthz", "/livez", "/readyz")
LONGEST = 60.0                           # seconds that an answer may take
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONG = ("log", "exec", "attach", "portforward", "proxy")


def is_long(request: Request) -> bool:
    """Whether a request stays for as long as its client wants, and so must not count."""
    info = request_info(request.method, request.path, request.param("watch") in ("1", "true"))
    return info.verb == "watch" or info.subresource in LONG


def limit_concurrency(reads: int = READS, writes: int = WRITES) -> Filter:
    """Send away what comes while that many others are answered, but for administrators and those who ask how we are."""
    most, under_way = {True: reads, False: writes}, {True: 0, False: 0}

    async def counted(request: Request, then: Handler) -> Response:
        if is_long(request) or request.path.startswith(HEALTH):
            return await then(request)
        reading = request.method in ("GET", "HEAD")
        if under_way[reading] >= most[reading]:
            privileged = request.user and MASTERS in request.user.groups
            return await then(request) if privileged else Response(429, SENT_AWAY, dict(LATER))
        under_way[reading] += 1
        try:
            return await then(request)
        finally:
            under_way[reading] -= 1
    return counted


def limit_time(longest: float = LONGEST) -> Filter:
    """Answer 504 where an answer takes longer than `longest` seconds, or than `?timeout=` grants, which can't be more."""
    async def timed(request: Request, then: Handler) -> Response:
        if is_long(request):
            return await then(request)
        try:
            granted = duration(request.param("timeout") or "0")
        except ValueError as error:
            raise bad_request(f"invalid timeout specified in the request URL - {error}") from None
        try:
            async with asyncio.timeout(min(granted, longest) if granted > 0 else longest) as limit:
                if granted > 0:
                    await asyncio.sleep(0)           # so that the time can be up before anything is done
                return await then(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise timeout("request did not complete within the allotted timeout") from None
    return timed


def duration(text: str) -> float:
    """Seconds in a text such as `1m30s` or `-0.5h`. Raises ValueError, in the words of Go's parser."""
    rest, total = text.lstrip("+-") if text[1:2] not in ("+", "-") else text, 0.0
    while rest != "0":
        match = re.match(r"(\d+\.?\d*|\.\d+)([^\d.]*)", rest)
        if not match:
            raise ValueError(f"time: invalid duration {json.dumps(text)}")
        number, unit = match.groups()
        if unit not in UNITS:
            why = f"unknown unit {json.dumps(unit)}" if unit else "missing unit"
            raise ValueError(f"time: {why} in duration {json.dumps(text)}")
        total, rest = total + float(number) * UNITS[unit], rest[match.end():] or "0"
    return -total if text.startswith("-") else total
