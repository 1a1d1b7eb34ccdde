"""The objects that every cluster has from its first moment: the system's namespaces, roles, service.

Source: kubernetes, pkg/controlplane/controller/systemnamespaces, pkg/registry/rbac/rest/storage_rbac.go and
`kubernetes_service`.
"""

import asyncio
from collections.abc import Iterable, Sequence
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
    Key,
    Object,
    key_of,
)

SERVER_PORT = 6443
AT_ONCE = 8  # More would hold up the loop for too long.
_RECONCILED = (CLUSTERROLES, ROLES, CLUSTERROLEBINDINGS, ROLEBINDINGS)
_KINDS = {each.kind: each for each in (NAMESPACES, PRIORITYCLASSES, *_RECONCILED)}


async def bootstrap(
    registry: Registry, servers: Sequence[IPv4Address] = (), server_port: int = SERVER_PORT
) -> None:
    """Create what is missing; running it again changes nothing, and brings back what people took away.

    *servers* are the addresses of the API servers, for the endpoints of the service `kubernetes`.
    """
    namespaces = [{"kind": "Namespace", "metadata": {"name": name}} for name in BOOTSTRAP]
    rights = [*default_roles(), *default_bindings()]
    classes = [{"kind": "PriorityClass"} | each for each in priority_classes.bootstrap()]
    for several in (namespaces, classes, rights):
        await _ensure_all(registry, several)
    await kubernetes_service.publish(registry, servers, server_port)


async def _ensure_all(registry: Registry, expected: Iterable[Object]) -> None:
    """Ask once for all that is there; write some at a time, so that they share a turn of the disk's."""
    wanted = list(expected)
    there: dict[tuple[str, Key], Object] = {}
    for name in dict.fromkeys(each["kind"] for each in wanted):
        versions = (await registry.list(registry.kinds[_KINDS[name]])).versions
        there |= {(name, key_of(version.object)): version.object for version in versions}
    for first in range(0, len(wanted), AT_ONCE):
        some = wanted[first : first + AT_ONCE]
        found = [there.get((each["kind"], key_of(each))) for each in some]
        await asyncio.gather(*(_ensure(registry, each, old) for each, old in zip(some, found, strict=True)))
        await asyncio.sleep(0)  # There are a hundred of them: others have their turn.


async def _create(registry: Registry, kind: Kind, obj: Object) -> None:
    """Create *obj*, unless another server was quicker."""
    try:
        await registry.create(kind, obj["metadata"].get("namespace", ""), obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


async def _ensure(registry: Registry, expected: Object, existing: Object | None) -> None:
    kind, key = registry.kinds[_KINDS[expected["kind"]]], key_of(expected)
    if existing is None:
        await _create(registry, kind, copied(expected))
    elif kind.resource not in _RECONCILED:
        return
    elif must_be_made_anew(existing, expected):
        await registry.delete(kind, *key)
        await _create(registry, kind, copied(expected))
    elif new := reconciled(existing, expected):
        await registry.update(kind, key.namespace, copied(new))
