"""What a container asks to be done after its start and before its end: postStart and preStop.

Source: kubernetes, pkg/kubelet/lifecycle/handlers.go; https://kubernetes.io/docs/concepts/containers/
container-lifecycle-hooks/. As there, tcpSocket always fails, and of an HTTP answer the status does not count.
Different from upstream: the request comes out of the pod itself, not from its node.
"""

import asyncio
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.node.pod_network import connect_in
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Runtime

USER_AGENT = "kube-lifecycle/kubelab"


class HookError(Exception):
    """The hook has failed. What people read of it is the event; this says why."""


@dataclass(frozen=True, slots=True)
class HookPlace:
    """Where a hook runs: the container, and its pod's network."""

    container_id: str
    sandbox_pid: int
    address: IPv4Address


async def run_hook(runtime: Runtime, clock: Clock, container: Object, hook: Object, place: HookPlace) -> None:
    """Carry out *hook*, a LifecycleHandler of the *container*.

    Raises:
        HookError: it has failed.
    """
    if action := hook.get("exec"):
        await _execute(runtime, place.container_id, action.get("command") or [])
    elif action := hook.get("httpGet"):
        await _get(container, action, place)
    elif action := hook.get("sleep"):
        await clock.sleep(float(action["seconds"]))
    else:
        raise HookError(f"invalid handler: {hook}")


async def _execute(runtime: Runtime, container_id: str, command: list[str]) -> None:
    try:
        process = await runtime.exec(container_id, command)
    except LabError as refusal:
        raise HookError(str(refusal)) from refusal
    try:
        code = await process.wait()
    finally:
        await process.close()
    if code:
        raise HookError(f"command '{' '.join(command)}' exited with {code}")


async def _get(container: Object, action: Object, place: HookPlace) -> None:
    host = action.get("host") or str(place.address)
    port = port_number(container, action["port"])
    tls = _without_verification() if action.get("scheme") == "HTTPS" else None
    try:
        sock = await connect_in(place.sandbox_pid, host, port)
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname=host if tls else None
        )
        try:
            writer.write(_request(action, host, port))
            first = await reader.readline()
        finally:
            writer.transport.abort()  # By TLS, who hangs would be waited for half a minute, to say goodbye.
    except (KernelError, OSError, ValueError) as error:
        raise HookError(f'Get "{host}:{port}": {error}') from error
    if not first.startswith(b"HTTP/"):
        raise HookError(f'Get "{host}:{port}": malformed HTTP response')


def port_number(container: Object, port: int | str) -> int:
    """Return the port that a number, or the name of one of the container's ports, stands for.

    Raises:
        HookError: it has none of that name.
    """
    if isinstance(port, int) or port.isdecimal():
        return int(port)
    ports = container.get("ports") or ()
    named = (each["containerPort"] for each in ports if each.get("name") == port)
    number = next(named, None)
    if number is None:
        raise HookError(f"couldn't find port: {port} in {container['name']}")
    return int(number)


def _request(action: Object, host: str, port: int) -> bytes:
    headers = {"Host": f"{host}:{port}", "User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
    headers |= {each["name"]: each["value"] for each in action.get("httpHeaders") or ()}
    path = action.get("path") or "/"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1\r\n{lines}\r\n".encode()


def _without_verification() -> ssl.SSLContext:
    """As upstream: a pod's certificate is its own affair."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
