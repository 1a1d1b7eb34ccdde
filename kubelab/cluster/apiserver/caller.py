"""Who asks, and by which program: for authorization, admission and the record of who manages which field.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/authentication/user/user.go;
https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MASTERS = "system:masters"
NODES = "system:nodes"
SCHEDULER = "system:kube-scheduler"
CONTROLLER_MANAGER = "system:kube-controller-manager"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: frozenset[str] = frozenset()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the name under which the fields that it sets are noted; "" until the server has a name."""

    user: User
    field_manager: str = ""


SYSTEM = Caller(User("system:apiserver", frozenset({MASTERS})), "kube-apiserver")
