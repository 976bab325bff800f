"""Serves "web VERSION on HOSTNAME" on ADDRESS:PORT until TERM: what /bin/web does in the image, on any host."""

from __future__ import annotations

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("VERSION", "1")
HOSTNAME = os.environ.get("HOSTNAME") or socket.gethostname()
PAGES = {"/": f"web {VERSION} on {HOSTNAME}\n", "/index.html": f"web {VERSION} on {HOSTNAME}\n", "/healthz": "ok\n"}


class Pages(BaseHTTPRequestHandler):
    """Answers GET and HEAD from PAGES, 404 for the rest."""

    server_version, sys_version = "web", ""

    def do_GET(self) -> None:
        page = PAGES.get(self.path)
        body = (page or "404 Not Found\n").encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the image's httpd is silent, too."""


class Server(ThreadingHTTPServer):
    """One thread a request; threads never hold up the exit."""

    daemon_threads = True


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    address, port = os.environ.get("ADDRESS", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
    server = Server((address, port), Pages)
    print(f"web {VERSION} serving on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
