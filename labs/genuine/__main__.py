"""`python -m genuine`: what is here, lab images, a kind cluster, a control plane, a run that shares them, what is left."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from genuine.find import MissingPart, docker_problem, parts
from genuine.processes import GuardedProcesses, PartFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 1 with one sentence when it fails."""
    options = _parser().parse_args(arguments)
    try:
        code: int | None = options.run(options)
    except (MissingPart, PartFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m genuine", description="Genuine parts for the book.")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("status", help="which genuine parts are here").set_defaults(run=_status)
    commands.add_parser("images", help="build the lab images into Docker").set_defaults(run=_images)
    commands.add_parser("leftovers", help="what of the book is still there").set_defaults(run=_leftovers)
    commands.add_parser("clean", help="remove all that the book has made on this machine").set_defaults(run=_clean)
    remove = commands.add_parser("remove", help="remove what one run has made in Docker")
    remove.add_argument("label")
    remove.set_defaults(run=_remove)
    plane = commands.add_parser("control-plane", help="run a genuine control plane until interrupted")
    plane.add_argument("--only-apiserver", action="store_true", help="etcd and kube-apiserver alone")
    plane.set_defaults(run=_control_plane)
    kind = commands.add_parser("kind", help="the shared kind cluster").add_subparsers(required=True)
    for name, run in {"up": _up, "down": _down, "status": _kind_status, "release": _release}.items():
        command = kind.add_parser(name)
        command.add_argument("name", nargs="?", default=os.environ.get("KIND_CLUSTER_NAME") or "kubernetes-by-hand")
        command.set_defaults(run=run)
        if name == "up":
            command.add_argument("--nodes", type=int, default=1)
        if name == "release":
            command.add_argument("holder")
    session = commands.add_parser("session", help="run a command; what its parts create is shared, and gone after it")
    session.add_argument("command", nargs=argparse.REMAINDER)
    session.set_defaults(run=_session)
    return parser


def _status(_: argparse.Namespace) -> None:
    for part in parts().values():
        print(f"{part.name:<24} {part.version or '-':<10} {part.path or 'missing: ' + part.install}")
    print(f"{'Docker daemon':<24} {docker_problem() or 'answers'}")


def _images(_: argparse.Namespace) -> None:
    from genuine import images

    for name, id in images.ensure().items():
        print(f"{name:<28} {id.removeprefix('sha256:')[:12]}")


def _leftovers(_: argparse.Namespace) -> int:
    from genuine.leaks import leftovers

    for line in leftovers():
        print(line)
    return 0


def _remove(options: argparse.Namespace) -> None:
    from genuine.docker import remove_labeled

    remove_labeled(options.label)


def _clean(_: argparse.Namespace) -> None:
    """Clusters, containers, networks, volumes and images of the book, and the state beside the clusters."""
    from genuine import images, kind
    from genuine.docker import docker_client, remove_labeled

    if not docker_problem():
        for name in kind.created():
            kind.delete(name)
        remove_labeled()
        client = docker_client()
        for name in [tag for image in client.images.list(filters={"label": images.CONTENT}) for tag in image.tags]:
            client.images.remove(name)
    shutil.rmtree(kind.STATE.parent, ignore_errors=True)


def _control_plane(options: argparse.Namespace) -> None:
    from genuine.controlplane import COMPONENTS, control_plane

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with control_plane(("apiserver",) if options.only_apiserver else COMPONENTS) as plane:
        print(f"export KUBECONFIG={plane.kubeconfig}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


def _up(options: argparse.Namespace) -> None:
    from genuine import kind

    cluster = kind.KindCluster(options.name, nodes=options.nodes, keep=True).start()
    cluster.stop()
    print(kind.status(options.name))


def _down(options: argparse.Namespace) -> None:
    from genuine import kind

    kind.delete(options.name)


def _kind_status(options: argparse.Namespace) -> None:
    from genuine import kind

    print(kind.status(options.name))


def _release(options: argparse.Namespace) -> None:
    from genuine import kind

    if options.holder.startswith("all-"):
        kind.release_session(int(options.holder.removeprefix("all-")))
    else:
        kind.release(options.name, options.holder)


def _session(options: argparse.Namespace) -> int:
    """Run a command so that a kind cluster which one part of it creates stays for the others, and goes at the end."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise ValueError("give a command to run: python -m genuine session -- pytest tests")
    guard = GuardedProcesses()
    guard.finally_run([sys.executable, "-m", "genuine", "kind", "release", "any", f"all-{os.getpid()}"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return subprocess.call(command, env={**os.environ, "KUBERNETES_BY_HAND_SESSION": str(os.getpid())})
    except KeyboardInterrupt:
        return 130
    finally:
        os.environ.pop("KUBERNETES_BY_HAND_SESSION", None)
        from genuine import kind

        kind.release_session(os.getpid())
        guard.close()


if __name__ == "__main__":
    sys.exit(main())
