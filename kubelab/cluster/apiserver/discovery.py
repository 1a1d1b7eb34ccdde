"""What the server tells clients of itself: version, groups, resources, all from the table of kinds.

Source: kubernetes, staging/src/k8s.io/api/apidiscovery/v2/types.go (aggregated: two requests) and
apimachinery/pkg/apis/meta/v1/types.go (APIGroupList, APIResourceList: what older clients read);
pkg/controlplane/apiserver/aggregator.go (the groups' priorities); apiserver/pkg/endpoints/discovery/
storageversionhash.go.
"""

import base64
import hashlib
import platform
from collections.abc import Iterator
from typing import Any

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.apiserver.crd.custom_kinds import version_order
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.routes import PROXY
from kubelab.cluster.objects import Object, Resource

Kinds = tuple[Kind, ...]
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
_PRIORITIES = {
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "metrics.k8s.io": 100,
}
_CUSTOM_PRIORITY = 1000
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_TERMINATING_VERBS = ("delete", "deletecollection", "get", "list", "watch")
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_SUBRESOURCE_VERBS = {
    "approval": ("get", "patch", "update"),
    "attach": ("create", "get"),
    "ephemeralcontainers": ("get", "patch", "update"),
    "exec": ("create", "get"),
    "finalize": ("update",),
    "log": ("get",),
    "portforward": ("create", "get"),
    "proxy": ("create", "delete", "get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "status": ("get", "patch", "update"),
}
_STREAM_KINDS = {
    "attach": "PodAttachOptions",
    "exec": "PodExecOptions",
    "portforward": "PodPortForwardOptions",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # In Go's words.
_FOREIGN_KINDS = {"scale": ("autoscaling", "v1", "Scale")}


def version() -> Object:
    """Return the version of Kubernetes whose API this is: kubectl's own, marked as the lab's."""
    kubernetes = bundled_kubectl.version()
    major, minor, _ = kubernetes[1:].split(".", 2)
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{kubernetes}+kubelab",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}",
    }


def aggregated_version(accept: str) -> str:
    """Return the version of the aggregated form that *accept* asks for first, "" if it asks for none."""
    for media_type in accept.replace(" ", "").split(","):
        parameters = media_type.split(";")
        if "as=APIGroupDiscoveryList" in parameters:
            for version in ("v2", "v2beta1"):
                if f"v={version}" in parameters:
                    return version
    return ""


def media_type(aggregated: str) -> str:
    return _AGGREGATED.format(aggregated)


def answer(kinds: Kinds, path: str, aggregated: str) -> Object | None:
    """Return the discovery document at *path*, None if there is none.

    The lists of groups are told in the *aggregated* version, or the legacy way ("").
    """
    match path.strip("/").split("/"):
        case ["api"]:
            return _aggregated(kinds, [""], aggregated) if aggregated else _api_versions(kinds)
        case ["apis"]:
            groups = _groups(kinds)
            return _aggregated(kinds, groups, aggregated) if aggregated else _group_list(kinds)
        case ["apis", group] if group in _groups(kinds):
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(kinds, group)
        case ["api", version]:
            return _resource_list(kinds, "", version)
        case ["apis", group, version]:
            return _resource_list(kinds, group, version)
    return None


def _groups(kinds: Kinds) -> list[str]:
    """Return the groups as upstream orders them: its own by their priorities, then others by name."""
    groups = {kind.resource.group for kind in kinds if kind.resource.group}
    return sorted(groups, key=lambda group: (-_PRIORITIES.get(group, _CUSTOM_PRIORITY), group))


def _versions(kinds: Kinds, group: str) -> list[str]:
    """Return the versions of *group*, the one that clients prefer first."""
    versions = {kind.resource.version for kind in kinds if kind.resource.group == group}
    return sorted(versions, key=version_order)


def preferred(kinds: Kinds) -> tuple[Resource, ...]:
    """Return what objects are kept of *kinds*, each resource in the version that clients prefer."""
    stored = (kind.resource for kind in kinds if not kind.review)
    known: dict[tuple[str, str], Resource] = {}
    for resource in sorted(stored, key=lambda each: version_order(each.version)):
        known.setdefault((resource.group, resource.plural), resource)
    return tuple(known.values())


def _of(kinds: Kinds, group: str, version: str) -> list[Kind]:
    found = [kind for kind in kinds if (kind.resource.group, kind.resource.version) == (group, version)]
    return sorted(found, key=lambda kind: kind.resource.plural)


def _api_versions(kinds: Kinds) -> Object:
    return {"kind": "APIVersions", "versions": _versions(kinds, ""), "serverAddressByClientCIDRs": []}


def _group(kinds: Kinds, group: str) -> Object:
    versions = [{"groupVersion": f"{group}/{each}", "version": each} for each in _versions(kinds, group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _group_list(kinds: Kinds) -> Object:
    groups = [_group(kinds, group) for group in _groups(kinds)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _resource_list(kinds: Kinds, group: str, version: str) -> Object | None:
    if not (found := _of(kinds, group, version)):
        return None
    resources = [entry for kind in found for entry in _legacy_entries(kind)]
    group_version = found[0].resource.api_version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _legacy_entries(kind: Kind) -> Iterator[Object]:
    resource = kind.resource
    entry: Object = {
        "name": resource.plural,
        "singularName": kind.singular,
        "namespaced": resource.namespaced,
    }
    entry |= {"kind": resource.kind, "verbs": list(_own_verbs(kind))}
    entry |= {"shortNames": list(kind.short_names)} if kind.short_names else {}
    entry |= {"categories": list(kind.categories)} if kind.categories else {}
    yield entry | ({"storageVersionHash": _storage_version_hash(kind)} if _is_stored(kind) else {})
    for name in kind.all_subresources:
        group, version, shown = _subresource_kind(kind, name)
        sub: Object = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
        }
        foreign = name in kind.actions or name in _FOREIGN_KINDS
        sub |= {"group": group, "version": version} if foreign else {}
        yield sub | {"kind": shown, "verbs": list(_verbs_of(kind, name))}


def _is_stored(kind: Kind) -> bool:
    """Reviews, bindings and measurements are not."""
    return bool(kind.custom) or {"create", "get"} <= set(_own_verbs(kind))


def _storage_version_hash(kind: Kind) -> str:
    """Return what changes when the version changes in which objects are kept."""
    kept = kind.conversion.storage if kind.conversion else kind.resource
    version = kind.custom.storage_version if kind.custom else kept.version
    digest = hashlib.sha256(f"{kept.group}/{version}/{kept.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _own_verbs(kind: Kind) -> tuple[str, ...]:
    if kind.review:
        return ("create",)
    if kind.verbs:
        return kind.verbs
    if kind.custom:
        return _TERMINATING_VERBS if kind.custom.terminating else _CUSTOM_VERBS
    return VERBS


def _verbs_of(kind: Kind, subresource: str) -> tuple[str, ...]:
    return ("create",) if subresource in kind.actions else _SUBRESOURCE_VERBS[subresource]


def _subresource_kind(kind: Kind, name: str) -> tuple[str, str, str]:
    if action := kind.actions.get(name):
        group, _, version = action.api_version.rpartition("/")
        return group, version, action.kind
    resource = kind.resource
    kind_of_its_own = _STREAM_KINDS.get(name, resource.kind)
    if name == PROXY:
        kind_of_its_own = f"{resource.kind}ProxyOptions"
    return _FOREIGN_KINDS.get(name, (resource.group, resource.version, kind_of_its_own))


def _aggregated(kinds: Kinds, groups: list[str], version: str) -> Object:
    items = [
        {"metadata": {"name": group} if group else {}, "versions": _versions_of(kinds, group)}
        for group in groups
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _versions_of(kinds: Kinds, group: str) -> list[Object]:
    return [
        {
            "version": version,
            "resources": [_aggregated_entry(kind) for kind in _of(kinds, group, version)],
            "freshness": "Current",
        }
        for version in _versions(kinds, group)
    ]


def _aggregated_entry(kind: Kind) -> Object:
    resource = kind.resource
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _gvk(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(_own_verbs(kind)),
    }
    entry |= {"shortNames": list(kind.short_names)} if kind.short_names else {}
    entry |= {"categories": list(kind.categories)} if kind.categories else {}
    subresources: list[Any] = [
        {
            "subresource": name,
            "responseKind": _gvk(*_subresource_kind(kind, name)),
            "verbs": list(_verbs_of(kind, name)),
        }
        for name in kind.all_subresources
    ]
    return entry | ({"subresources": subresources} if subresources else {})


def _gvk(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}
