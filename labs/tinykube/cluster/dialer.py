"""How an api-server reaches those that it asks: over HTTPS, verified."""
from __future__ import annotations

import ssl

from tinykube.client.http import HttpTransport
from tinykube.machinery.wire import Request, Response


async def ask_webhook(url: str, ca: str, request: Request, seconds: float) -> Response:
    """Send one request to a URL whose certificate the authority in `ca` (PEM) vouches for. Raises OSError."""
    tls = ssl.create_default_context(cadata=ca or None)
    async with HttpTransport(url, tls=tls, timeout=seconds) as transport:
        return await transport(request)
