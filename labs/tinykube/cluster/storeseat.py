"""`tinykube store`: the store alone, as a process that speaks etcd's protocol.

Genuine counterpart: the program etcd, with its option --listen-client-urls.
"""
from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from tinykube.store import LocalStorage


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `tinykube`."""
    about = "serve a store by etcd's protocol"
    command = commands.add_parser("store", help=about, description=about)
    command.add_argument("--listen", default="127.0.0.1:2379", help="host:port; port 0 takes a free one (%(default)s)")
    command.set_defaults(run=lambda arguments: asyncio.run(serve_store(arguments.listen)))


async def serve_store(listen: str) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    from tinykube.store.wire.server import EtcdServer
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    storage = LocalStorage()
    server = EtcdServer(storage)
    try:
        await server.start(listen)
    except OSError as error:
        print(f"tinykube: {error}", file=sys.stderr)
        return 1
    print(f"serving at {server.address}", flush=True)
    await told_to_stop.wait()
    await server.stop()
    await storage.aclose()
    return 0
