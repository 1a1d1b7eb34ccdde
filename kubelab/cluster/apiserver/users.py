"""Who asks, and may they: the client's certificate names the user (CN) and its groups (O).

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/authentication/request/x509/x509.go.
Left out: RBAC, tokens and the node authorizer. Until they come, the lab's own components (kubelets,
scheduler, controller manager) may do all that `system:masters` may; nobody else may do anything.
"""

from collections.abc import Mapping
from typing import Any

from kubelab.cluster.apiserver.caller import CONTROLLER_MANAGER, MASTERS, NODES, SCHEDULER, User
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.errors import ApiError


def from_certificate(certificate: Mapping[str, Any] | None) -> User | None:
    """Return whom a verified certificate (as `ssl.getpeercert` gives it) stands for."""
    subject = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    groups = tuple(value for key, value in subject if key == "organizationName")
    return User(names[-1], groups) if names else None


def authorize(user: User, route: Route) -> None:
    """Raise 403, in upstream's words, unless *user* may do what *route* asks for."""
    if {MASTERS, NODES} & set(user.groups) or user.name in {SCHEDULER, CONTROLLER_MANAGER}:
        return
    resource = route.kind.resource
    target = f"{resource.plural}/{route.subresource}" if route.subresource else resource.plural
    where = f' in the namespace "{route.namespace}"' if route.namespace else " at the cluster scope"
    quoted = f' "{route.name}"' if route.name else ""
    message = (
        f'{resource.group_resource}{quoted} is forbidden: User "{user.name}" cannot {route.verb} resource '
        f'"{target}" in API group "{resource.group}"{where}'
    )
    details = {"name": route.name, "group": resource.group, "kind": resource.plural}
    raise ApiError(403, "Forbidden", message, {key: value for key, value in details.items() if value})
