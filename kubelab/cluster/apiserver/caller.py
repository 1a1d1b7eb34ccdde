"""Who asks, and by which program: for authorization, admission and the record of who manages which field.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/authentication/user/user.go and
../serviceaccount/util.go; https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kubelab.cluster.objects import Key, Object

MASTERS = "system:masters"
NODES = "system:nodes"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
SCHEDULER = "system:kube-scheduler"
CONTROLLER_MANAGER = "system:kube-controller-manager"
PROXY = "system:kube-proxy"
NODE_PREFIX = "system:node:"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
SERVICE_ACCOUNTS = "system:serviceaccounts"


@dataclass(frozen=True, slots=True)
class User:
    """`groups` are in the order in which the credentials name them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> Object:
        """Return the user as reviews show one (authentication.k8s.io/v1 UserInfo)."""
        info: Object = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the name under which the fields that it sets are noted; "" until the server has a name."""

    user: User
    field_manager: str = ""


SYSTEM = Caller(User("system:apiserver", (MASTERS,)), "kube-apiserver")


def service_account_name(namespace: str, name: str) -> str:
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def service_account_groups(namespace: str) -> tuple[str, ...]:
    return SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"


def service_account_of(user_name: str) -> Key | None:
    """Return which service account a user of that name is; None if it is none."""
    if not user_name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    parts = user_name.removeprefix(SERVICE_ACCOUNT_PREFIX).split(":")
    return Key(*parts) if len(parts) == 2 and all(parts) else None


def service_account(namespace: str, name: str) -> User:
    """Return the user that a controller of that name is in this process."""
    groups = (*service_account_groups(namespace), AUTHENTICATED)
    return User(service_account_name(namespace, name), groups)


def node_name(user: User) -> str | None:
    """Return which node's kubelet *user* is; "" for one of the nodes that does not say, None for others.

    Source: kubernetes, pkg/auth/nodeidentifier/default.go.
    """
    if not user.name.startswith(NODE_PREFIX):
        return None
    return user.name.removeprefix(NODE_PREFIX) if NODES in user.groups else None
