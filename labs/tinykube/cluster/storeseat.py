"""The seat of etcd: `tinykube store`, our store as a process of its own; and the way to whatever sits in that seat.

Genuine counterpart: the program etcd, and kube-apiserver's options that begin with --etcd-.
"""
from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.store import Damaged, LocalStorage
from tinykube.store.directory import open_storage

if TYPE_CHECKING:
    import grpc

    from tinykube.store.wire.client import EtcdStorage

CLIENT_FILES = {"cafile": "authority that signed etcd's certificate", "certfile": "certificate to show to etcd",
                "keyfile": "its key"}
SERVER_FILES = {"cert-file": "certificate to show; with it, TLS is spoken", "key-file": "its key",
                "trusted-ca-file": "authority that has to have signed the certificate of each client"}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `tinykube`."""
    about = "serve a store by etcd's protocol"
    command = commands.add_parser("store", help=about, description=about)
    command.add_argument("--listen", default="127.0.0.1:2379", help="host:port; port 0 takes a free one (%(default)s)")
    command.add_argument("--data-dir", type=Path, help="where it is kept (default: in memory, and gone at the end)")
    command.add_argument("--quota-backend-bytes", type=int, default=2 << 30, help="how much there may be (%(default)s)")
    for name, help in SERVER_FILES.items():
        command.add_argument(f"--{name}", type=Path, help=help)
    command.set_defaults(run=lambda arguments: asyncio.run(serve_store(arguments)))


async def serve_store(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    from tinykube.store.wire.server import EtcdServer
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    storage: LocalStorage | None = None
    try:
        tls = server_credentials(arguments.cert_file, arguments.key_file, arguments.trusted_ca_file)
        storage = open_storage(arguments.data_dir, SystemClock(), EventLog()) if arguments.data_dir else LocalStorage()
        server = await EtcdServer(storage, quota=arguments.quota_backend_bytes).start(arguments.listen, tls)
    except (OSError, ValueError, Damaged) as error:
        print(f"tinykube: {error}", file=sys.stderr)
        if storage:
            await storage.aclose()
        return 1
    print(f"serving at {server.address}", flush=True)
    await told_to_stop.wait()
    await server.stop()
    await storage.aclose()
    return 0


def server_credentials(certificate: Path | None, key: Path | None, clients: Path | None) -> grpc.ServerCredentials | None:
    """How the store speaks TLS, and whom it lets in; None for plain text. Raises ValueError for half of a pair."""
    if bool(certificate) != bool(key) or (clients and not certificate):
        raise ValueError("--cert-file and --key-file belong together, and --trusted-ca-file needs both")
    if not certificate or not key:
        return None
    import grpc
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())],
                                       clients.read_bytes() if clients else None, require_client_auth=bool(clients))


def add_client_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say which etcd to use, and how to be let in. They are called as kube-apiserver's."""
    command.add_argument("--etcd-servers", help="keep all objects there, such as http://127.0.0.1:2379, and not in a "
                                                "store of our own (several, with commas: members of one etcd)")
    for name, help in CLIENT_FILES.items():
        command.add_argument(f"--etcd-{name}", help=help)


def client_settings(arguments: argparse.Namespace) -> dict[str, str] | None:
    """What these options say; None if they name no etcd. Raises ValueError for what can't be."""
    given = {name: str(Path(path).resolve()) for name in CLIENT_FILES if (path := getattr(arguments, f"etcd_{name}"))}
    if not arguments.etcd_servers:
        if given:
            raise ValueError("--etcd-cafile, --etcd-certfile and --etcd-keyfile need --etcd-servers")
        return None
    return {"servers": arguments.etcd_servers, **given}


def etcd_storage(servers: str, *, cafile: str = "", certfile: str = "", keyfile: str = "") -> EtcdStorage:
    """Storage in an etcd, ours or genuine. To be called in the event loop that uses it. Raises ValueError, OSError."""
    from tinykube.store.wire.client import EtcdStorage
    urls = [urlsplit(each) for each in servers.split(",")]
    schemes = {url.scheme for url in urls}
    if not schemes <= {"http", "https"} or len(schemes) > 1 or not all(url.hostname for url in urls):
        raise ValueError(f"--etcd-servers {servers}: write http://HOST:PORT or https://HOST:PORT, all alike")
    address = ",".join(url.netloc for url in urls)
    if schemes == {"http"}:
        return EtcdStorage(address)
    import grpc
    authority, certificate, key = (Path(path).read_bytes() if path else None for path in (cafile, certfile, keyfile))
    return EtcdStorage(address, grpc.ssl_channel_credentials(authority, key, certificate))
