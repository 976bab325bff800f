"""No more at a time than a server can bear: beyond that, come back later.

Genuine counterpart: --max-requests-inflight of kube-apiserver, and API priority and fairness.
"""
from __future__ import annotations

from tinykube.api.filters import Filter
from tinykube.machinery.errors import too_many_requests
from tinykube.machinery.wire import Handler, Request, Response

MOST = 400
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
