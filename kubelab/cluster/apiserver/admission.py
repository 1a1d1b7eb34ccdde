"""What may still change or refuse a request that was authenticated and allowed: the plug-ins' contract.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/admission/{interfaces,attributes,chain}.go;
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Object

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
