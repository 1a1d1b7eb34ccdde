"""The kinds that say who may do what, and what is agreed on: networking, rbac, node, certificates, leases."""

from kubelab.cluster.apiserver import columns, leases
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import (
    LEASES,
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
)
