"""No more at a time than a server can bear, and nothing for longer: beyond that, come back later.

Genuine counterpart: --max-requests-inflight and --request-timeout of kube-apiserver, and API priority and fairness.
"""
from __future__ import annotations

import asyncio
import json
import re

from tinykube.api.filters import Filter
from tinykube.machinery.errors import bad_request, timeout, too_many_requests
from tinykube.machinery.wire import Handler, Request, Response

MOST = 400
LONGEST = 60.0                           # seconds that an answer may take
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONG = ("log", "exec", "attach", "portforward", "proxy")


def is_long(request: Request) -> bool:
    """Whether a request stays for as long as its client wants, and so must not count."""
    return request.param("watch") in ("1", "true") or request.path.rpartition("/")[2] in LONG


def limit_concurrency(most: int = MOST) -> Filter:
    """Refuse, with a 429 that says when to come back, what comes while `most` others are being answered."""
    under_way = [0]

    async def counted(request: Request, then: Handler) -> Response:
        if is_long(request):
            return await then(request)
        if under_way[0] >= most:
            raise too_many_requests("too many requests, please try again later", 1)
        under_way[0] += 1
        try:
            return await then(request)
        finally:
            under_way[0] -= 1
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
