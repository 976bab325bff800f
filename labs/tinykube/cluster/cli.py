"""`tinykube up`, `tinykube down`, `tinykube status`: a cluster of processes, its state in one directory.

Genuine counterpart: `kind create cluster`, `kind delete cluster`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from random import SystemRandom

from tinykube.cluster.capacity import node_capacities
from tinykube.cluster.process import Seat
from tinykube.cluster.storeseat import add_client_options, add_command, client_settings
from tinykube.kubelet.eviction import thresholds
from tinykube.machinery.clock import SystemClock

CONTROL_PLANE = ("api", "scheduler", "controller-manager")
HOME = Path.home() / ".tinykube"


class Trouble(Exception):
    """Something that the person at the keyboard should read, as a sentence and without a traceback."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except Trouble as trouble:
        print(f"tinykube: {trouble}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="tinykube", description="A tiny Kubernetes, one process a seat.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (("up", up, "start a cluster, or one that was stopped with all its objects; wait for it"),
                             ("stop", partial(end, halt), "stop it and all its pods, and keep its objects for `up`"),
                             ("down", partial(end, take_down), "stop it and all its pods, and forget its objects"),
                             ("status", status, "say what runs")):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--directory", "-d", type=Path, default=HOME, help="where its state is (%(default)s)")
        command.set_defaults(run=run)
        if name == "up":
            command.add_argument("--nodes", "-n", type=int, help="how many nodes (default: as many as before, or 1)")
            command.add_argument("--port", "-p", type=int, default=0, help="of the api-server (default: a free one)")
            command.add_argument("--controllers", default="*", help="names by comma, -NAME for all but that (%(default)s)")
            command.add_argument("--eviction-hard", default="", help="e.g. memory.available<100Mi,nodefs.available<10%%")
            command.add_argument("--runtime", choices=("process", "docker"), default="process")
            add_client_options(command)
    add_command(commands)
    return top


def seats_of(directory: Path) -> list[Seat]:
    """The seats of the cluster in a directory, in the order in which they are started."""
    settings = directory / "cluster.json"
    if not settings.exists():
        return []
    nodes = json.loads(settings.read_text())["nodes"]
    return [Seat(directory, name) for name in (*CONTROL_PLANE, *(f"kubelet/{node}" for node in nodes))]


def up(arguments: argparse.Namespace) -> None:
    """Start every seat; leave nothing behind when one fails."""
    directory: Path = arguments.directory.expanduser().resolve()
    before = seats_of(directory)
    missing = [seat for seat in before if seat.pid() is None]
    if missing != before and (not missing or arguments.nodes not in (None, len(before) - len(CONTROL_PLANE))):
        running = ", ".join(seat.name for seat in before if seat not in missing)
        raise Trouble(f"a cluster is up already in {directory} ({running}); `tinykube down` stops it")
    if missing != before:
        start(missing)
        print(f"started again: {', '.join(seat.name for seat in missing)}")
        return
    if arguments.nodes is None:
        arguments.nodes = len(before) - len(CONTROL_PLANE) if before else 1
    if arguments.nodes < 0:
        raise Trouble(f"--nodes {arguments.nodes}: a cluster has 0 nodes or more")
    remove = halt if (directory / "store").exists() else take_down
    if before:
        halt(directory)
    prepare(directory, arguments)
    try:
        start(seats_of(directory))
    except BaseException as error:
        remove(directory)
        if isinstance(error, (TimeoutError, OSError, RuntimeError)):
            raise Trouble(f"the cluster did not start: {error}") from None
        raise
    print(f"{arguments.nodes} node{'s' * (arguments.nodes != 1)} ready.  export KUBECONFIG={directory}/kubeconfig")


def start(seats: list[Seat], seconds: float = 60) -> None:
    """Load all programs at once; let the api-server begin, and the others when it answers."""
    for seat in seats:
        seat.start()
    for group in ([seat for seat in seats if seat.name == "api"], [seat for seat in seats if seat.name != "api"]):
        for seat in group:
            seat.go()
        for seat in group:
            seat.wait_ready(seconds)


def prepare(directory: Path, arguments: argparse.Namespace) -> None:
    """Write what the seats read: the settings, and the kubeconfigs by which they find the server."""
    directory.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", arguments.port))
        except OSError as error:
            raise Trouble(f"port {arguments.port} on 127.0.0.1 cannot be had ({error.strerror}): "
                          "choose another with --port, or leave it out for a free one") from None
        port = probe.getsockname()[1]
    settings = {"port": port, "nodes": node_capacities(arguments.nodes), "runtime": arguments.runtime,
                "controllers": arguments.controllers.split(","), "evictionHard": eviction(arguments.eviction_hard),
                "etcd": etcd_settings(directory, arguments)}
    (directory / "cluster.json").write_text(json.dumps(settings, indent=2))
    introduce(directory, f"https://127.0.0.1:{port}", settings["nodes"])


def eviction(text: str) -> str:
    """The thresholds that an option names, if they can be read."""
    try:
        thresholds(text)
    except ValueError as error:
        raise Trouble(str(error)) from None
    return text


def etcd_settings(directory: Path, arguments: argparse.Namespace) -> dict[str, str] | None:
    """The etcd that the options name, or that this cluster had before it was stopped; None for a store of its own."""
    try:
        named = client_settings(arguments)
    except ValueError as error:
        raise Trouble(str(error)) from None
    before = directory / "cluster.json"
    return named or (json.loads(before.read_text()).get("etcd") if before.exists() else None)


def introduce(directory: Path, url: str, nodes: Iterable[str]) -> None:
    """Make an authority, and give each seat an identity of its own, with no more rights than it needs."""
    from tinykube.cluster.identities import ADMIN, MANAGER, SCHEDULER, Identities, node_user
    identities, place = Identities(), directory / "pki"
    identities.save(place)
    identities.kubeconfig(directory / "kubeconfig", url, ADMIN)
    identities.kubeconfig(place / "scheduler.kubeconfig", url, SCHEDULER)
    identities.kubeconfig(place / "controller-manager.kubeconfig", url, MANAGER)
    for node in nodes:
        identities.kubeconfig(place / f"{node}.kubeconfig", url, node_user(node))
        identities.save_kubelet(place, node)


def end(how: Callable[[Path], dict[str, str]], arguments: argparse.Namespace) -> None:
    """Stop every seat that `up` started, and every pod."""
    directory: Path = arguments.directory.expanduser().resolve()
    if not seats_of(directory):
        print(f"No cluster in {directory}.")
        return
    for name, outcome in how(directory).items():
        print(f"{name}: {outcome}")


def halt(directory: Path) -> dict[str, str]:
    """Stop the seats, last started first, then what their pods left. What the store keeps, and the logs, stay."""
    outcomes = {seat.name: seat.stop() for seat in reversed(seats_of(directory))}
    settings = json.loads((directory / "cluster.json").read_text())
    for node in settings["nodes"]:
        asyncio.run(remove_pods(node, settings["runtime"], directory / "nodes" / node / "runtime"))
    for name in ("run", "nodes"):
        shutil.rmtree(directory / name, ignore_errors=True)
    return outcomes


def take_down(directory: Path) -> dict[str, str]:
    """Stop everything, then remove what `up` and the seats wrote, and nothing else; the logs stay."""
    outcomes = halt(directory)
    (directory / "cluster.json").unlink(missing_ok=True)
    (directory / "kubeconfig").unlink(missing_ok=True)
    for name in ("store", "pki"):
        shutil.rmtree(directory / name, ignore_errors=True)
    return outcomes


async def remove_pods(node: str, kind: str, directory: Path) -> None:
    """End the pods of a node, which live on when their kubelet ends, also when it crashed."""
    from tinykube.cluster.parts import make_runtime
    from tinykube.runtime.interface import remove_everything
    runtime = make_runtime(kind, node, directory, keep=True, clock=SystemClock(), random=SystemRandom())
    await runtime.start()
    await remove_everything(runtime)
    await runtime.close()


def status(arguments: argparse.Namespace) -> int:
    """Say which seats run; exit code 1 when not all do."""
    directory: Path = arguments.directory.expanduser().resolve()
    seats = seats_of(directory)
    if not seats:
        print(f"No cluster in {directory}.")
        return 1
    pids = {seat.name: seat.pid() for seat in seats}
    for name, pid in pids.items():
        print(f"{name:20} {'running, pid ' + str(pid) if pid else 'not running'}")
    print(f"kubeconfig           {directory}/kubeconfig\nlogs                 {directory}/logs")
    return 0 if all(pids.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
