"""A pod's log, fetched from the kubelet that runs the pod.

Source: kubernetes, pkg/registry/core/pod/strategy.go (LogLocation), rest/log.go. The kubelet's own refusals
(a container that waits to start, say) are handed on in its words.
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext

import aiohttp

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, Object

KUBELET_PORT = 10250
DEFAULT_CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container"
KEPT_S = 60  # Longer than between two readings of what a node uses: a handshake costs more than they do.
CONNECT_TIMEOUT_S = 5
_OPTIONS = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes")

Dial = Callable[[int, int], socket.socket]
"""From address family and socket type to a new socket, in the network namespace of the server's machine."""


@dataclass(frozen=True, slots=True)
class LogLocation:
    url: str
    query: Mapping[str, str]


class Kubelets:
    """The server's connections to kubelets, over TLS with its own client certificate."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def log(self, location: LogLocation) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the log at *location*; the bytes come as the kubelet sends them."""
        try:
            async with self._session.get(location.url, params=location.query) as response:
                if response.status != 200:
                    raise _refusal(response.status, (await response.text()).strip())
                yield response.content.iter_any()
        except aiohttp.ClientConnectorError as error:
            raise refusals.unreachable(f'Get "{location.url}": {error}') from error

    async def resource_metrics(self, address: str) -> str:
        """Return what the kubelet at *address* says of what its pods use; raises aiohttp.ClientError."""
        url = f"https://{address}:{KUBELET_PORT}/metrics/resource"
        async with self._session.get(url, raise_for_status=True) as response:
            return await response.text()


@asynccontextmanager
async def connect(tls: SSLContext, dial: Dial | None) -> AsyncIterator[Kubelets]:
    connector = aiohttp.TCPConnector(
        ssl=tls,
        socket_factory=None if dial is None else lambda info: dial(int(info[0]), int(info[1])),
        keepalive_timeout=KEPT_S,
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Kubelets(session)


async def locate(
    registry: Registry, namespace: str, name: str, query: Mapping[str, str]
) -> LogLocation | None:
    """Return where the log is that *query* asks for; None while the pod is on no node (there is none yet)."""
    pod = (await registry.get(registry.kinds[PODS], namespace, name)).object
    container = container_name(pod, query.get("container", ""))
    _check(query)
    if not (node_name := pod["spec"].get("nodeName")):
        return None
    node = (await registry.get(registry.kinds[NODES], "", node_name)).object
    url = f"https://{address_of(node)}:{KUBELET_PORT}/containerLogs/{namespace}/{name}/{container}"
    return LogLocation(url, {key: query[key] for key in _OPTIONS if query.get(key)})


def container_name(pod: Object, asked: str) -> str:
    """Return the container whose log is meant."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [each["name"] for each in spec.get("containers") or ()]
    init_containers = [each["name"] for each in spec.get("initContainers") or ()]
    ephemeral = [each["name"] for each in spec.get("ephemeralContainers") or ()]
    if asked:
        if asked not in (*containers, *init_containers, *ephemeral):
            raise refusals.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    default: str = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER_ANNOTATION, "")
    if default in containers:
        return default
    if len(containers) == 1 and not init_containers:
        return str(containers[0])
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(containers)}]"
    if init_containers:
        message += f" or one of the init containers: [{' '.join(init_containers)}]"
    raise refusals.bad_request(message)


def _check(query: Mapping[str, str]) -> None:
    for key, minimum in (("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)):
        value = query.get(key, "")
        if value and (not value.lstrip("-").isdecimal() or int(value) < minimum):
            detail = f"must be greater than or equal to {minimum}"
            raise refusals.invalid_log_option(key, value, detail)


def address_of(node: Object) -> str:
    """Return where the server reaches the node's kubelet."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    internal = (each["address"] for each in addresses if each["type"] == "InternalIP")
    if (address := next(internal, None)) is None:
        raise refusals.internal(f'no preferred addresses found for node "{node["metadata"]["name"]}"')
    return str(address)


def _refusal(status: int, text: str) -> ApiError:
    if status == 400:
        return refusals.bad_request(text)
    if status == 404:
        return ApiError(404, "NotFound", f"the server could not find the requested resource ({text})")
    return refusals.internal(f"the kubelet answered {status}: {text}")
