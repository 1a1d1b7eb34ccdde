"""What an authorizer is asked: who wants to do what, with what.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/authorization/authorizer/interfaces.go and
staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go (the sentences).
Left out: label selectors of lists, which no authorizer here looks at.
"""

from dataclasses import dataclass

from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.errors import ApiError


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """A request for a resource, or for a bare `path` such as /version (then no other field is set)."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""

    @property
    def combined_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def forbidden(attributes: RequestAttributes, reason: str = "") -> ApiError:
    """Return the 403 that tells *attributes*' user what it may not do, and what the authorizers say."""
    why = f"{_cannot(attributes)}: {reason}" if reason else _cannot(attributes)
    if attributes.path:
        return ApiError(403, "Forbidden", f"forbidden: {why}")
    group = f".{attributes.group}" if attributes.group else ""
    name = f" {quoted(attributes.name)}" if attributes.name else ""
    details = {"name": attributes.name, "group": attributes.group, "kind": attributes.resource}
    message = f"{attributes.resource}{group}{name} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, {key: value for key, value in details.items() if value})


def _cannot(attributes: RequestAttributes) -> str:
    who = f"User {quoted(attributes.user.name)} cannot {attributes.verb}"
    if attributes.path:
        return f"{who} path {quoted(attributes.path)}"
    where = "at the cluster scope"
    if attributes.namespace:
        where = f"in the namespace {quoted(attributes.namespace)}"
    what = f"resource {quoted(attributes.combined_resource)} in API group {quoted(attributes.group)}"
    return f"{who} {what} {where}"
