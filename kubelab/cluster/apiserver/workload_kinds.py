"""The kinds that run pods, and say how many and which first: apps, batch, autoscaling, policy, scheduling."""

from kubelab.cluster.apiserver import apps, columns, warnings
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import (
    DEPLOYMENTS,
    REPLICASETS,
)

KINDS = (
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
)
