"""exec, attach and port-forward: the client's connection is joined with one to the kubelet of the pod's node.

The kubelet speaks the protocols (see `kubelab.cluster.streams` and the kubelet's `streaming`): WebSocket with
channels, SPDY/3.1, SPDY through a WebSocket. The server asks it for the same upgrade over TLS with its own
client certificate, and from then on only passes bytes on, as upstream's proxy for SPDY does, and the one for
WebSockets where kubelets take them (KEP-4006, ExtendWebSocketsToKubelet). No older kubelet is part of a lab.
Source: kubernetes, pkg/registry/core/pod/strategy.go (streamLocation, validateContainer) and
rest/subresources.go; staging/src/k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go.
Left out: admission of CONNECT (no plug-in of ours looks at it).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ssl import SSLContext
from urllib.parse import urlencode

from multidict import MultiMapping

from kubelab.cluster.apiserver import refusals, upgrading
from kubelab.cluster.apiserver.logs import KUBELET_PORT, Dial, address_of
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.apiserver.upgrading import Backend
from kubelab.cluster.objects import NODES, PODS, Object
from kubelab.cluster.streams import web

SUBRESOURCES = ("attach", "exec", "portforward")
_ASKED = ("stdin", "stdout", "stderr", "tty")
# The kubelet has other names for them.
_PASSED = dict(zip(_ASKED, ("input", "output", "error", "tty"), strict=True))
_FORWARDED_HEADERS = (
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "X-Stream-Protocol-Version",
)
_RETURNED_HEADERS = ("Content-Type", "X-Accepted-Stream-Protocol-Versions")
CHUNK_BYTES = 64 * 1024
HEAD_BYTES_MAX = 64 * 1024
CLOSE_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Where the kubelet serves it."""

    address: str
    path: str


async def locate(registry: Registry, route: Route, query: MultiMapping[str]) -> StreamLocation:
    """Return where the stream is that the request asks for.

    Raises:
        ApiError: there is no such pod or container, or it is on no node yet.
    """
    pod = (await registry.get(registry.kinds[PODS], route.namespace, route.name)).object
    place = f"{route.namespace}/{route.name}"
    if route.subresource == "portforward":
        parameters = [("port", ",".join(ports))] if (ports := query.getall("ports", [])) else []
        path = f"/portForward/{place}"
    else:
        parameters = stream_parameters(query)
        path = f"/{route.subresource}/{place}/{container_of(pod, query.get('container', ''))}"
    if not (node_name := pod["spec"].get("nodeName")):
        raise refusals.bad_request(f"pod {route.name} does not have a host assigned")
    node = (await registry.get(registry.kinds[NODES], "", node_name)).object
    return StreamLocation(address_of(node), f"{path}?{urlencode(parameters)}")


def stream_parameters(query: MultiMapping[str]) -> list[tuple[str, str]]:
    """Return PodExecOptions or PodAttachOptions in the kubelet's words."""
    flags = [(_PASSED[name], "1") for name in _ASKED if _is_set(query, name)]
    return flags + [("command", word) for word in query.getall("command", [])]


def _is_set(query: Mapping[str, str], name: str) -> bool:
    """Source: apimachinery, pkg/runtime/conversion.go (Convert_Slice_string_To_bool)."""
    return name in query and query[name].lower() not in ("false", "0")


def container_of(pod: Object, asked: str) -> str:
    """Return the container that is meant; without a name that of the pod's only one."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    kinds = ("initContainers", "containers", "ephemeralContainers")
    names = [each["name"] for kind in kinds for each in spec.get(kind) or ()]
    if asked:
        if asked not in names:
            raise refusals.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(spec["containers"]) == 1:
        return str(spec["containers"][0]["name"])
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    raise refusals.bad_request(message)


class StreamProxy:
    """The server's streams to kubelets; *dial* opens the sockets, without it they are opened here."""

    def __init__(self, tls: SSLContext, dial: Dial | None) -> None:
        self._tls = tls
        self._dial = dial

    async def answer(
        self,
        request: web.BaseRequest,
        location: StreamLocation,
        limit: AbstractAsyncContextManager[None],
        began: Callable[[int], None],
    ) -> web.StreamResponse:
        """Call *began* when the two connections are joined, until one of them ends or *limit* does.

        Raises:
            ApiError: it is no request for an upgrade, or the kubelet cannot be reached.
        """
        if not upgrading.wants_upgrade(request):
            raise refusals.bad_request("Upgrade request required")
        where = Backend(location.address, KUBELET_PORT, self._tls)
        head = _request_head(request, location)
        return await upgrading.passed_on(request, where, head, self._dial, limit, began)


def _request_head(request: web.BaseRequest, location: StreamLocation) -> bytes:
    headers = request.headers
    lines = [f"{request.method} {location.path} HTTP/1.1", f"Host: {location.address}:{KUBELET_PORT}"]
    lines += [f"{name}: {value}" for name in _FORWARDED_HEADERS for value in headers.getall(name, [])]
    lines += ["Content-Length: 0"] if request.method == "POST" else []
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def must_also_create(request: web.BaseRequest) -> bool:
    """Tell whether the user must be allowed to create the stream, although a WebSocket begins with a GET.

    Source: kubernetes 1.35, the feature AuthorizePodWebsocketUpgradeCreatePermission.
    """
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
