"""The objects that every cluster has from its first moment: the system's namespaces, roles, service.

Source: kubernetes, pkg/controlplane/controller/systemnamespaces, pkg/registry/rbac/rest/storage_rbac.go and
`kubernetes_service`.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address

from kubelab.cluster.apiserver import kubernetes_service, priority_classes
from kubelab.cluster.apiserver.authorization.default_roles import default_bindings, default_roles
from kubelab.cluster.apiserver.authorization.role_reconciliation import must_be_made_anew, reconciled
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.namespaces import BOOTSTRAP
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.versions import copied
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    NAMESPACES,
    PRIORITYCLASSES,
    ROLEBINDINGS,
    ROLES,
    Object,
    key_of,
)

SERVER_PORT = 6443
_KINDS = {each.kind: each for each in (CLUSTERROLES, ROLES, CLUSTERROLEBINDINGS, ROLEBINDINGS)}


async def bootstrap(
    registry: Registry, servers: Sequence[IPv4Address] = (), server_port: int = SERVER_PORT
) -> None:
    """Create what is missing; running it again changes nothing, and brings back what people took away.

    *servers* are the addresses of the API servers, for the endpoints of the service `kubernetes`.
    """
    for name in BOOTSTRAP:
        await _create(registry, registry.kinds[NAMESPACES], {"metadata": {"name": name}})
    for class_ in priority_classes.bootstrap():
        await _create(registry, registry.kinds[PRIORITYCLASSES], class_)
    for role in default_roles():
        await _ensure(registry, role)
    for binding in default_bindings():
        await _ensure(registry, binding)
    await kubernetes_service.publish(registry, servers, server_port)


async def _create(registry: Registry, kind: Kind, obj: Object) -> bool:
    """Return whether there was none."""
    try:
        await registry.create(kind, obj["metadata"].get("namespace", ""), obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return False
    return True


async def _ensure(registry: Registry, expected: Object) -> None:
    await asyncio.sleep(0)  # There are a hundred of them: others have their turn.
    kind, key = registry.kinds[_KINDS[expected["kind"]]], key_of(expected)
    if await _create(registry, kind, copied(expected)):
        return
    existing = (await registry.get(kind, *key)).object
    if must_be_made_anew(existing, expected):
        await registry.delete(kind, *key)
        await _create(registry, kind, copied(expected))
    elif new := reconciled(existing, expected):
        await registry.update(kind, key.namespace, copied(new))
