"""What a request is about: its path and method as upstream's RequestInfo reads them.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
Left out: the old /watch/ and /proxy/ paths; dry-run on query strings is `queries`' business.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.kinds import Catalogue
from kubelab.cluster.apiserver.queries import flag
from kubelab.cluster.objects import NAMESPACES

PROXY = "proxy"
CONNECTS = frozenset({"attach", "exec", "portforward", PROXY})
_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
}


@dataclass(frozen=True, slots=True)
class Route:
    """`name` is "" for a collection, `namespace` "" for a cluster-scoped resource or all namespaces."""

    kind: Kind
    verb: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def writes(self) -> bool:
        return self.verb not in {"get", "list", "watch"}

    def is_long_running(self, query: Mapping[str, str]) -> bool:
        """Tell whether this takes as long as its client wants: such requests neither count nor time out."""
        follows = self.subresource == "log" and flag(query, "follow")
        return self.verb == "watch" or follows or self.subresource in CONNECTS


def parse(kinds: Catalogue, method: str, path: str, query: Mapping[str, str]) -> Route | None:
    """Return what a request for a resource is about; None if *path* names none that is served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == NAMESPACES.plural and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    kind = kinds.by_path.get((group, version, rest[0]))
    name, subresource = [*rest[1:], "", ""][:2]
    if kind is None or bool(namespace) > kind.resource.namespaced:
        return None
    if len(rest) > 3 and subresource != PROXY:  # What follows it is the business of whoever is behind.
        return None
    if subresource and subresource not in (*kind.subresources, *kind.actions):
        return None
    if kind.resource.namespaced and not namespace and (name or method not in {"GET", "HEAD"}):
        return None
    asked = {} if subresource == PROXY else query
    return Route(kind, verb_of(method, name, asked), namespace, name, subresource)


def verb_of(method: str, name: str, query: Mapping[str, str]) -> str:
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and flag(query, "watch"):
        return "watch"
    if not name and verb in {"get", "delete"}:
        return "list" if verb == "get" else "deletecollection"
    return verb
