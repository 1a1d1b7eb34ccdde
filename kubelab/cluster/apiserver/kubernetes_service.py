"""The service `kubernetes` in the namespace default: where programs in pods find the API servers.

Source: kubernetes, pkg/controlplane/controller/kubernetesservice/controller.go and
pkg/controlplane/reconcilers/{instancecount,endpointsadapter}.go.
Which servers there are, `endpoint_reconciler` knows.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address

from kubelab.cluster.apiserver.pki import SERVICE_ADDRESS
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import ENDPOINTS, ENDPOINTSLICES, SERVICES, Object, Resource

NAME, NAMESPACE = "kubernetes", "default"
_PORT_NAME, _PORT = "https", 443
_LABELS = {"component": "apiserver", "provider": "kubernetes"}
_OF_SERVICE = "kubernetes.io/service-name"
_SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"


async def publish(registry: Registry, servers: Sequence[IPv4Address], server_port: int) -> None:
    """Make the service, and say that *servers* answer for it; doing it again changes nothing."""
    await _put(registry, SERVICES, _service(server_port))
    if servers:
        addresses = sorted(map(str, servers))
        await _put(registry, ENDPOINTS, _endpoints(addresses, server_port))
        await _put(registry, ENDPOINTSLICES, _slice(addresses, server_port))


def _service(server_port: int) -> Object:
    port = {"name": _PORT_NAME, "port": _PORT, "protocol": "TCP", "targetPort": server_port}
    address = str(SERVICE_ADDRESS)
    spec = {"clusterIP": address, "clusterIPs": [address], "ports": [port], "type": "ClusterIP"}
    return _named(_LABELS) | {"spec": spec}


def _endpoints(addresses: Sequence[str], server_port: int) -> Object:
    port = {"name": _PORT_NAME, "port": server_port, "protocol": "TCP"}
    subset = {"addresses": [{"ip": address} for address in addresses], "ports": [port]}
    return _named({_SKIP_MIRROR: "true"}) | {"subsets": [subset]}


def _slice(addresses: Sequence[str], server_port: int) -> Object:
    port = {"name": _PORT_NAME, "port": server_port, "protocol": "TCP"}
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    slice_: Object = {"addressType": "IPv4", "endpoints": endpoints, "ports": [port]}
    return _named({_OF_SERVICE: NAME}) | slice_


def _named(labels: dict[str, str]) -> Object:
    return {"metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels}}


async def _put(registry: Registry, resource: Resource, obj: Object) -> None:
    """Create *obj*; what of it is there and is not metadata is replaced."""
    try:
        await _replace(registry, resource, obj)
    except ApiError as error:
        if not error.is_not_found:
            raise
        await _create(registry, resource, obj)


async def _create(registry: Registry, resource: Resource, obj: Object) -> None:
    """Another server may be quicker; then this one may be told of an address that is taken, too."""
    try:
        await registry.create(registry.kinds[resource], NAMESPACE, obj)
    except ApiError as refusal:
        try:
            await _replace(registry, resource, obj)
        except ApiError:
            raise refusal from None


async def _replace(registry: Registry, resource: Resource, obj: Object) -> None:
    contents = {key: value for key, value in obj.items() if key != "metadata"}
    await registry.change(registry.kinds[resource], NAMESPACE, NAME, lambda old: old | contents)
