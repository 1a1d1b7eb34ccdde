"""The kinds that say who may do what, and what is agreed on: networking, rbac, node, certificates, leases."""

from kubelab.cluster.apiserver import columns, leases
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.path_segments import path_segment
from kubelab.cluster.objects import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    LEASES,
    ROLEBINDINGS,
    ROLES,
    Resource,
)


def _rbac(resource: Resource) -> Kind:
    return Kind(
        resource,
        f"k8s.io/api/rbac/v1.{resource.kind}",
        resource.kind.lower(),
        columns.NAME_AND_AGE,
        columns.name_and_age,
        name_check=path_segment,
    )


KINDS = (
    Kind(
        LEASES,
        "k8s.io/api/coordination/v1.Lease",
        "lease",
        columns.LEASE,
        columns.lease,
        validate=leases.validate,
    ),
    *(_rbac(resource) for resource in (ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS)),
)
