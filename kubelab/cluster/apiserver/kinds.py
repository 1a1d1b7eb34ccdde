"""The one table of kinds: routes, discovery, schemas, printed tables, selectors and validation follow it.

A kind is added by an entry here and, where it has rules of its own, a module with its defaults and
validation (`configmaps.py` is a short one).
Left out: kinds beside those that the lab's own components use; they come as further entries.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import (
    apps,
    columns,
    configmaps,
    events,
    leases,
    namespaces,
    nodes,
    pods,
    warnings,
)
from kubelab.cluster.apiserver.fields import Check, FieldError, dns_label, dns_subdomain
from kubelab.cluster.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    Object,
    Resource,
)


def _nothing(_: Object) -> None:
    return None


def _no_errors(*_: Object) -> Iterator[FieldError]:
    return iter(())


def _no_warnings(_: Object) -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Kind:
    """All that the server knows of one kind.

    `go_type` is the type that kubectl decodes it into (its schema). `fields` are the paths that field
    selectors may name beside the object's name and namespace. `initial_status` makes the status of a new
    object (what the client sent is dropped); None keeps the client's. `warnings` tells what of an object
    this lab ignores. `grace_period_s` decides how long a deletion may take (None: at once).
    `returns_deleted` as upstream: DELETE answers with the object.
    """

    resource: Resource
    go_type: str
    singular: str
    columns: tuple[columns.Column, ...]
    cells: Callable[[Object, datetime], list[Any]]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    name_check: Check = dns_subdomain
    has_generation: bool = False
    set_defaults: Callable[[Object], None] = _nothing
    initial_status: Callable[[Object], Object] | None = None
    validate: Callable[[Object], Iterator[FieldError]] = _no_errors
    validate_update: Callable[[Object, Object], Iterator[FieldError]] = _no_errors
    warnings: Callable[[Object], Iterator[str]] = _no_warnings
    grace_period_s: Callable[[Object, int | None], int] | None = None
    returns_deleted: bool = False

    @property
    def list_kind(self) -> str:
        return f"{self.resource.kind}List"

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def prefix(self, namespace: str = "") -> str:
        """Return where the store keeps these objects, as a real etcd of Kubernetes shows it."""
        root = f"/registry/{'minions' if self.resource == NODES else self.resource.plural}/"
        return f"{root}{namespace}/" if namespace else root

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix(namespace)}{name}"


KINDS = (
    Kind(
        NAMESPACES,
        "k8s.io/api/core/v1.Namespace",
        "namespace",
        columns.NAMESPACE,
        columns.namespace,
        short_names=("ns",),
        subresources=("finalize", "status"),
        fields=("status.phase",),
        name_check=dns_label,
        set_defaults=namespaces.set_defaults,
        initial_status=namespaces.initial_status,
    ),
    Kind(
        NODES,
        "k8s.io/api/core/v1.Node",
        "node",
        columns.NODE,
        columns.node,
        short_names=("no",),
        subresources=("status",),
        fields=("spec.unschedulable",),
        set_defaults=nodes.set_defaults,
        validate=nodes.validate,
        validate_update=nodes.validate_update,
        warnings=warnings.of_node,
    ),
    Kind(
        PODS,
        "k8s.io/api/core/v1.Pod",
        "pod",
        columns.POD,
        columns.pod,
        short_names=("po",),
        categories=("all",),
        subresources=("binding", "log", "status"),
        fields=(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ),
        has_generation=True,
        set_defaults=pods.set_defaults,
        initial_status=pods.initial_status,
        validate=pods.validate,
        validate_update=pods.validate_update,
        warnings=warnings.of_pod,
        grace_period_s=pods.grace_period_s,
        returns_deleted=True,
    ),
    Kind(
        CONFIGMAPS,
        "k8s.io/api/core/v1.ConfigMap",
        "configmap",
        columns.CONFIGMAP,
        columns.configmap,
        short_names=("cm",),
        validate=configmaps.validate,
        validate_update=configmaps.validate_update,
    ),
    Kind(
        EVENTS,
        "k8s.io/api/core/v1.Event",
        "event",
        columns.EVENT,
        columns.event,
        short_names=("ev",),
        fields=(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ),
        validate=events.validate,
    ),
    Kind(
        REPLICASETS,
        "k8s.io/api/apps/v1.ReplicaSet",
        "replicaset",
        columns.REPLICASET,
        columns.replicaset,
        short_names=("rs",),
        categories=("all",),
        subresources=("scale", "status"),
        fields=("status.replicas",),
        has_generation=True,
        set_defaults=apps.set_replicaset_defaults,
        initial_status=apps.initial_replicaset_status,
        validate=apps.validate_replicaset,
        validate_update=apps.validate_selector_unchanged,
        warnings=warnings.of_workload,
    ),
    Kind(
        DEPLOYMENTS,
        "k8s.io/api/apps/v1.Deployment",
        "deployment",
        columns.DEPLOYMENT,
        columns.deployment,
        short_names=("deploy",),
        categories=("all",),
        subresources=("scale", "status"),
        has_generation=True,
        set_defaults=apps.set_deployment_defaults,
        initial_status=apps.initial_deployment_status,
        validate=apps.validate_deployment,
        validate_update=apps.validate_selector_unchanged,
        warnings=warnings.of_workload,
    ),
    Kind(
        LEASES,
        "k8s.io/api/coordination/v1.Lease",
        "lease",
        columns.LEASE,
        columns.lease,
        validate=leases.validate,
    ),
)

BY_RESOURCE: Mapping[Resource, Kind] = {kind.resource: kind for kind in KINDS}
BY_PATH: Mapping[tuple[str, str, str], Kind] = {
    (kind.resource.group, kind.resource.version, kind.resource.plural): kind for kind in KINDS
}
