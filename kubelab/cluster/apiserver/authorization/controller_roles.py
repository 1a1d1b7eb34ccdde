"""What each controller may do, as the service account of its name in kube-system. Pure data.

Source: kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go.
Left out: controllers of volumes, devices, routes and clouds, which this lab does not have.
"""

from kubelab.cluster.apiserver.authorization.rule_words import EVENTS, READ, REVIEW_ACCESS, rule
from kubelab.cluster.apiserver.authorization.rules import Rule

CONTROLLER_PREFIX = "system:controller:"
_CHANGE = f"create delete {READ} patch update"
_KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
_SIGNERS = f"kubernetes.io/kube-apiserver-client {_KUBELET_CLIENT} kubernetes.io/kubelet-serving"

_RULES: dict[str, tuple[Rule, ...]] = {
    "certificate-controller": (
        rule(f"delete {READ}", "certificates.k8s.io", "certificatesigningrequests"),
        rule(
            "update",
            "certificates.k8s.io",
            "certificatesigningrequests/approval certificatesigningrequests/status",
        ),
        rule("approve", "certificates.k8s.io", "signers", _KUBELET_CLIENT),
        rule("sign", "certificates.k8s.io", "signers", f"{_SIGNERS} kubernetes.io/legacy-unknown"),
        REVIEW_ACCESS,
        EVENTS,
    ),
    "clusterrole-aggregation-controller": (
        rule(f"escalate {READ} patch update", "rbac.authorization.k8s.io", "clusterroles"),
    ),
    "cronjob-controller": (
        rule(f"{READ} update", "batch", "cronjobs"),
        rule(_CHANGE, "batch", "jobs"),
        rule("update", "batch", "cronjobs/status"),
        rule("update", "batch", "cronjobs/finalizers"),
        rule("delete list watch", "core", "pods"),
        EVENTS,
    ),
    "daemon-set-controller": (
        rule(READ, "apps extensions", "daemonsets"),
        rule("update", "apps extensions", "daemonsets/status"),
        rule("update", "apps extensions", "daemonsets/finalizers"),
        rule("list watch", "core", "nodes"),
        rule("create delete list patch watch", "core", "pods"),
        rule("create", "core", "pods/binding"),
        rule(_CHANGE, "apps", "controllerrevisions"),
        EVENTS,
    ),
    "deployment-controller": (
        rule(f"{READ} update", "apps extensions", "deployments"),
        rule("update", "apps extensions", "deployments/status"),
        rule("update", "apps extensions", "deployments/finalizers"),
        rule(_CHANGE, "apps extensions", "replicasets"),
        rule(f"{READ} update", "core", "pods"),
        EVENTS,
    ),
    "disruption-controller": (
        rule(READ, "apps extensions", "deployments"),
        rule(READ, "apps extensions", "replicasets"),
        rule(READ, "core", "replicationcontrollers"),
        rule(READ, "policy", "poddisruptionbudgets"),
        rule(READ, "apps", "statefulsets"),
        rule("update", "policy", "poddisruptionbudgets/status"),
        rule("patch update", "core", "pods/status"),
        rule("get", "*", "*/scale"),
        EVENTS,
    ),
    "endpoint-controller": (
        rule(READ, "core", "pods services"),
        rule(f"create delete {READ} update", "core", "endpoints"),
        rule("create", "core", "endpoints/restricted"),
        EVENTS,
    ),
    "endpointslice-controller": (
        rule(READ, "core", "nodes pods services"),
        rule("update", "core", "services/finalizers"),
        rule(f"create delete {READ} update", "discovery.k8s.io", "endpointslices"),
        EVENTS,
    ),
    "endpointslicemirroring-controller": (
        rule(READ, "core", "endpoints services"),
        rule("update", "core", "services/finalizers"),
        rule("update", "core", "endpoints/finalizers"),
        rule(f"create delete {READ} update", "discovery.k8s.io", "endpointslices"),
        EVENTS,
    ),
    "event-garbage-collector": (rule("delete list watch", "core", "events"),),  # Upstream's store does that.
    "generic-garbage-collector": (rule(f"delete {READ} patch update", "*", "*"), EVENTS),
    "horizontal-pod-autoscaler": (
        rule(READ, "autoscaling", "horizontalpodautoscalers"),
        rule("update", "autoscaling", "horizontalpodautoscalers/status"),
        rule("get update", "*", "*/scale"),
        rule("list watch", "core", "pods"),
        rule("list watch", "metrics.k8s.io", "pods"),
        rule(READ, "custom.metrics.k8s.io", "*"),
        rule(READ, "external.metrics.k8s.io", "*"),
        EVENTS,
    ),
    "job-controller": (
        rule(f"{READ} patch update", "batch", "jobs"),
        rule("update", "batch", "jobs/status"),
        rule("update", "batch", "jobs/finalizers"),
        rule("create delete list patch watch", "core", "pods"),
        EVENTS,
    ),
    "namespace-controller": (
        rule(f"delete {READ}", "core", "namespaces"),
        rule("update", "core", "namespaces/finalize namespaces/status"),
        rule(f"delete deletecollection {READ}", "*", "*"),
    ),
    "node-controller": (
        rule(f"delete {READ} patch update", "core", "nodes"),
        rule("patch update", "core", "nodes/status"),
        rule("patch update", "core", "pods/status"),
        rule(f"delete {READ}", "core", "pods"),
        EVENTS,
    ),
    "pod-garbage-collector": (
        rule("delete list watch", "core", "pods"),
        rule(READ, "core", "nodes"),
        rule("patch", "core", "pods/status"),
    ),
    "replicaset-controller": (
        rule(f"{READ} update", "apps extensions", "replicasets"),
        rule("update", "apps extensions", "replicasets/status"),
        rule("update", "apps extensions", "replicasets/finalizers"),
        rule("create delete list patch watch", "core", "pods"),
        EVENTS,
    ),
    "replication-controller": (
        rule(f"{READ} update", "core", "replicationcontrollers"),
        rule("update", "core", "replicationcontrollers/status"),
        rule("update", "core", "replicationcontrollers/finalizers"),
        rule("create delete list patch watch", "core", "pods"),
        EVENTS,
    ),
    "resourcequota-controller": (
        rule("list watch", "*", "*"),
        rule("update", "core", "resourcequotas/status"),
        EVENTS,
    ),
    "root-ca-cert-publisher": (rule("create update", "core", "configmaps"), EVENTS),
    "service-account-controller": (rule("create", "core", "serviceaccounts"), EVENTS),
    "statefulset-controller": (
        rule("list watch", "core", "pods"),
        rule(READ, "apps", "statefulsets"),
        rule("update", "apps", "statefulsets/status"),
        rule("update", "apps", "statefulsets/finalizers"),
        rule("create delete get patch update", "core", "pods"),
        rule(_CHANGE, "apps", "controllerrevisions"),
        rule(f"create {READ}", "core", "persistentvolumeclaims"),
        rule("delete update", "core", "persistentvolumeclaims"),
        rule("update", "core", "pods/finalizers"),
        EVENTS,
    ),
    "ttl-after-finished-controller": (rule(f"delete {READ}", "batch", "jobs"), EVENTS),
}

CONTROLLER_ROLES = {f"{CONTROLLER_PREFIX}{name}": rules for name, rules in _RULES.items()}
