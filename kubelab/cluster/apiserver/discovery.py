"""What the server tells clients of itself: version, groups, resources, all from the table of kinds.

Source: kubernetes, staging/src/k8s.io/api/apidiscovery/v2/types.go (aggregated: two requests) and
apimachinery/pkg/apis/meta/v1/types.go (APIGroupList, APIResourceList: what older clients read).
"""

import platform
from collections.abc import Iterator
from functools import cache
from typing import Any

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.apiserver.kinds import KINDS, Kind
from kubelab.cluster.objects import Object

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_SUBRESOURCE_VERBS = {
    "binding": ("create",),
    "finalize": ("update",),
    "log": ("get",),
    "scale": ("get", "patch", "update"),
    "status": ("get", "patch", "update"),
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # In Go's words.
_FOREIGN_KINDS = {"scale": ("autoscaling", "v1", "Scale"), "binding": ("", "v1", "Binding")}


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


def wants_aggregated(accept: str) -> bool:
    return "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept.replace(" ", "") + ";"


@cache
def answer(path: str, *, aggregated: bool) -> Object | None:
    """Return the discovery document at *path*, None if there is none."""
    match path.strip("/").split("/"):
        case ["api"]:
            return _aggregated([""]) if aggregated else _api_versions()
        case ["apis"]:
            return _aggregated(_groups()) if aggregated else _group_list()
        case ["apis", group] if group in _groups():
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group)
        case ["api", version]:
            return _resource_list("", version)
        case ["apis", group, version]:
            return _resource_list(group, version)
    return None


def _groups() -> list[str]:
    return list(dict.fromkeys(kind.resource.group for kind in KINDS if kind.resource.group))


def _versions(group: str) -> list[str]:
    return list(dict.fromkeys(kind.resource.version for kind in KINDS if kind.resource.group == group))


def _of(group: str, version: str) -> list[Kind]:
    kinds = [kind for kind in KINDS if (kind.resource.group, kind.resource.version) == (group, version)]
    return sorted(kinds, key=lambda kind: kind.resource.plural)


def _api_versions() -> Object:
    return {"kind": "APIVersions", "versions": _versions(""), "serverAddressByClientCIDRs": []}


def _group(group: str) -> Object:
    versions = [{"groupVersion": f"{group}/{each}", "version": each} for each in _versions(group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _group_list() -> Object:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in _groups()]}


def _resource_list(group: str, version: str) -> Object | None:
    if not (kinds := _of(group, version)):
        return None
    resources = [entry for kind in kinds for entry in _legacy_entries(kind)]
    group_version = kinds[0].resource.api_version
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
    entry |= {"kind": resource.kind, "verbs": list(VERBS)}
    entry |= {"shortNames": list(kind.short_names)} if kind.short_names else {}
    yield entry | ({"categories": list(kind.categories)} if kind.categories else {})
    for name in kind.subresources:
        group, version, shown = _subresource_kind(kind, name)
        sub: Object = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
        }
        sub |= {"group": group, "version": version} if name in _FOREIGN_KINDS else {}
        yield sub | {"kind": shown, "verbs": list(_SUBRESOURCE_VERBS[name])}


def _subresource_kind(kind: Kind, name: str) -> tuple[str, str, str]:
    resource = kind.resource
    return _FOREIGN_KINDS.get(name, (resource.group, resource.version, resource.kind))


def _aggregated(groups: list[str]) -> Object:
    items = [
        {"metadata": {"name": group} if group else {}, "versions": _versions_of(group)} for group in groups
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _versions_of(group: str) -> list[Object]:
    return [
        {
            "version": version,
            "resources": [_aggregated_entry(kind) for kind in _of(group, version)],
            "freshness": "Current",
        }
        for version in _versions(group)
    ]


def _aggregated_entry(kind: Kind) -> Object:
    resource = kind.resource
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _gvk(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(VERBS),
    }
    entry |= {"shortNames": list(kind.short_names)} if kind.short_names else {}
    entry |= {"categories": list(kind.categories)} if kind.categories else {}
    subresources: list[Any] = [
        {
            "subresource": name,
            "responseKind": _gvk(*_subresource_kind(kind, name)),
            "verbs": list(_SUBRESOURCE_VERBS[name]),
        }
        for name in kind.subresources
    ]
    return entry | ({"subresources": subresources} if subresources else {})


def _gvk(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}
