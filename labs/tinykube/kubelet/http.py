"""Asks containers questions: by a command inside, by HTTP, by a connection, by gRPC. For probes and lifecycle hooks.

Genuine counterpart: pkg/probe, and pkg/kubelet/lifecycle.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from tinykube.client.http import HttpTransport
from tinykube.kubelet.probes import port_of
from tinykube.kubelet.streams import Collected
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Request
from tinykube.runtime.interface import Container, CriError

if TYPE_CHECKING:
    from tinykube.kubelet.kubelet import Kubelet

SERVING = b"\x08\x01"                 # HealthCheckResponse{status: SERVING}, as protobuf writes it


async def ask(kubelet: Kubelet, run: Container, container: Object, handler: Object, ip: str, seconds: float) -> tuple[bool, str]:
    """One question to a container: whether the answer is good, and what it was."""
    try:
        async with asyncio.timeout(seconds):
            if "exec" in handler:
                return await by_command(kubelet, run, handler["exec"]["command"])
            if "httpGet" in handler:
                return await by_http(container, handler["httpGet"], ip, seconds)
            if "grpc" in handler:
                return await by_grpc(handler["grpc"], ip)
            if "sleep" in handler:
                await kubelet.clock.sleep(handler["sleep"]["seconds"])
                return True, ""
            where = handler["tcpSocket"]
            _, writer = await kubelet.dial(where.get("host") or ip, port_of(container, where["port"]))
            writer.close()
            return True, ""
    except TimeoutError:
        return False, f"command timed out after {seconds:g}s" if "exec" in handler else "context deadline exceeded"
    except (OSError, CriError, ValueError) as error:
        return False, str(error)


async def by_command(kubelet: Kubelet, run: Container, command: list[str]) -> tuple[bool, str]:
    """Exit code 0 is good."""
    said = Collected()
    code = await kubelet.runtime.exec(run.id, command, said)
    return code == 0, said.said.decode(errors="replace")


async def by_http(container: Object, where: Object, ip: str, seconds: float) -> tuple[bool, str]:
    """A status from 200 to 399 is good. Nobody looks at a certificate."""
    scheme, host = where.get("scheme", "HTTP").lower(), where.get("host") or ip
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    headers = {"user-agent": "kube-probe/1.37", "accept": "*/*"} | {
        each["name"].lower(): each["value"] for each in where.get("httpHeaders") or []}
    url = f"{scheme}://{host}:{port_of(container, where['port'])}"
    async with HttpTransport(url, tls=tls, timeout=seconds) as transport:
        answer = await transport(Request("GET", where.get("path") or "/", headers=headers))
    return 200 <= answer.status < 400, f"HTTP probe failed with statuscode: {answer.status}"


async def by_grpc(where: Object, ip: str) -> tuple[bool, str]:
    """The service's own word, by the health checking protocol of gRPC."""
    import grpc
    name = (where.get("service") or "").encode()
    async with grpc.aio.insecure_channel(f"{ip}:{where['port']}") as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = await check(b"\x0a" + bytes([len(name)]) + name if name else b"")
        except grpc.aio.AioRpcError as error:
            return False, f"error: rpc error: code = {error.code().name} desc = {error.details()}"
    return answer == SERVING, "service unhealthy (responded with \"NOT_SERVING\")"
