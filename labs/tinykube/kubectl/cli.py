"""The command line: what was typed, to whom it goes, and what is said when it fails.

Genuine counterpart: kubectl itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.kubectl.verbs import Kubectl, Trouble
from tinykube.machinery.errors import ApiError
from tinykube.machinery.wire import Request, Response

VERBS = ("get", "describe", "create", "apply", "delete", "label", "logs")


def parser() -> argparse.ArgumentParser:
    """The options, for all verbs alike."""
    top = argparse.ArgumentParser(prog="tinykubectl", description="A kubectl that fits into a chapter.")
    top.add_argument("verb", choices=VERBS)
    top.add_argument("what", nargs="*", help="pods, pod/web, pods web, key=value")
    for short, name, about in (("-n", "namespace", "where"), ("-o", "output", "wide, yaml, json, name, jsonpath=..."),
                               ("-l", "selector", "labels"), ("-f", "filename", "a file, or - for stdin"),
                               ("-c", "container", "of a pod, for logs"), ("-k", "kubeconfig", "default: $KUBECONFIG"),
                               ("-x", "context", "default: the current one")):
        top.add_argument(short, f"--{name}", default="", help=about)
    for short, name, about in (("-A", "all", "in all namespaces"), ("-w", "watch", "go on"), ("-v", "verbose", "show requests")):
        top.add_argument(short, f"--{name}", action="store_true", help=about)
    top.add_argument("--follow", action="store_true", help="logs: go on")
    return top


def out(text: str) -> None:
    """Print at once, also when somebody reads along at the end of a pipe."""
    print(text, flush=True)


def say(text: str) -> None:
    """Print to stderr."""
    print(text, file=sys.stderr)


def read(name: str) -> str:
    """A file, or standard input."""
    return sys.stdin.read() if name == "-" else Path(name).read_text()


async def run(options: argparse.Namespace) -> None:
    """Connect, and do what the verb says."""
    access = load(options.kubeconfig or os.environ.get("KUBECONFIG"), options.context or None)
    options.namespace, options.url = options.namespace or access.namespace, access.url
    async with HttpTransport.from_access(access) as transport:
        async def send(request: Request) -> Response:
            response = await transport(request)
            if options.verbose:
                say(f"{request.method} {request.target} {response.status}")
            return response
        await getattr(Kubectl(Client(send, "tinykubectl"), options, out, say, read), options.verb)()


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code, and on failure kubectl's own sentence."""
    words = sys.argv[1:] if argv is None else argv
    options = parser().parse_intermixed_args(["--follow" if words[0] == "logs" and word == "-f" else word for word in words])
    try:
        asyncio.run(run(options))
    except ApiError as error:
        say(f"Error from server ({error.reason}): {error.message}")
    except ConnectionRefusedError:
        say(f"The connection to the server {urlsplit(options.url).netloc} was refused - "
            "did you specify the right host or port?")
    except (Trouble, OSError, ValueError) as error:
        say(f"error: {error}")
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    return 1
