"""Which resources a server serves, from its aggregated discovery documents. Pure.

Source: kubernetes, staging/src/k8s.io/api/apidiscovery/v2/types.go.
Left out: servers before Kubernetes 1.27, which answer group by group.
"""

from collections.abc import Iterator

from kubelab.cluster.objects import Object, Resource

_VERSIONS = ("v2", "v2beta1")
_KEPT = frozenset({"list", "watch"})
ACCEPT = ",".join(
    [f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in _VERSIONS]
)


def resources_in(document: Object) -> Iterator[Resource]:
    """Yield what is kept of an APIGroupDiscoveryList, in the version that the server prefers.

    What can be listed but not watched is computed for whoever asks: the figures of metrics.k8s.io.
    """
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        known: dict[str, Resource] = {}
        for version in group.get("versions") or ():
            for entry in version.get("resources") or ():
                if {*entry.get("verbs", _KEPT)} >= _KEPT:
                    known.setdefault(entry["resource"], _resource(name, version["version"], entry))
        yield from known.values()


def _resource(group: str, version: str, entry: Object) -> Resource:
    kind = (entry.get("responseKind") or {}).get("kind", "")
    return Resource(group, version, entry["resource"], kind, namespaced=entry.get("scope") == "Namespaced")
