"""What may still change or refuse a request that was authenticated and allowed: the plug-ins' contract.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/admission/{interfaces,attributes,chain}.go;
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

_GENERATED_PREFIX_MAX = 58  # Of a name, which has 63.

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(slots=True)
class Attributes:
    """One request as plug-ins see it.

    `new` is what is to be stored, None for DELETE (and the options for CONNECT); `old` what is, None for
    CREATE. Plug-ins change `new` in place, or put another object there; `old` stays as it is.
    """

    kind: Kind
    operation: Operation
    namespace: str
    name: str
    subresource: str
    caller: Caller
    new: Object | None
    old: Object | None
    dry_run: bool = False

    def is_of(self, resource: Resource, *operations: Operation, subresource: str = "") -> bool:
        """Tell whether the request is one of *operations* (any, if none is named) on *resource* itself."""
        own = self.kind.resource
        return (
            (own is resource or own == resource)  # Nearly always told by the first, many times a request.
            and self.subresource == subresource
            and (not operations or self.operation in operations)
        )

    def forbidden(
        self, why: str, *, unnamed: bool = False, causes: Sequence[Mapping[str, str]] = ()
    ) -> ApiError:
        """Return the refusal to raise.

        With *unnamed* the object is called by its `generateName` if it has one, as upstream does where
        names are generated only after `admit`.
        """
        generated = ((self.new or {}).get("metadata") or {}).get("generateName") or ""
        if not (unnamed and generated and self.name.startswith(generated[:_GENERATED_PREFIX_MAX])):
            generated = ""
        name = generated or self.name or "Unknown"
        return refusals.forbidden(self.kind.resource, name, why, causes=[dict(cause) for cause in causes])


class Plugin(Protocol):
    """Both methods raise ApiError (403 as a rule) to refuse the request."""

    async def admit(self, attributes: Attributes) -> None:
        """Change `attributes.new`, after its defaults were set and before it is validated."""

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what may not be, when all changes are made and the object is valid."""


class Chain:
    """The plug-ins in their order."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self.plugins = list(plugins)

    async def admit(self, attributes: Attributes) -> None:
        for plugin in self.plugins:
            await plugin.admit(attributes)

    async def validate(self, attributes: Attributes) -> None:
        for plugin in self.plugins:
            await plugin.validate(attributes)
