"""The roles and bindings that every cluster begins with. Pure data.

Source: kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/{policy,namespace_policy}.go and its
testdata. The rules' words are sorted, as upstream stores them.
Left out: rules for devices (resource.k8s.io), which this lab does not serve.
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.authorization.controller_roles import CONTROLLER_PREFIX, CONTROLLER_ROLES
from kubelab.cluster.apiserver.authorization.policy import GROUP
from kubelab.cluster.apiserver.authorization.rule_words import (
    EVENTS,
    READ,
    REVIEW_ACCESS,
    REVIEW_TOKENS,
    WRITE,
    rule,
    urls,
)
from kubelab.cluster.apiserver.authorization.rules import FULL_AUTHORITY, Rule
from kubelab.cluster.apiserver.caller import (
    AUTHENTICATED,
    CONTROLLER_MANAGER,
    MASTERS,
    PROXY,
    SCHEDULER,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
)
from kubelab.cluster.objects import Key, Object

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_APPS = (
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale "
    "statefulsets statefulsets/scale"
)
_EXTENSIONS = (
    "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
    "replicasets/scale replicationcontrollers/scale"
)
_STREAMS = "pods/attach pods/exec pods/portforward pods/proxy"

NODE_RULES = (
    REVIEW_TOKENS,
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    rule(READ, "core", "services"),
    rule(f"create {READ}", "core", "nodes"),
    rule("patch update", "core", "nodes/status"),
    rule("patch update", "core", "nodes"),
    rule("create patch update", "core", "events"),
    rule(READ, "core", "pods"),
    rule("create delete", "core", "pods"),
    rule("patch update", "core", "pods/status"),
    rule("create", "core", "pods/eviction"),
    rule(READ, "core", "configmaps secrets"),
    rule("get", "core", "persistentvolumeclaims persistentvolumes"),
    rule("get", "core", "endpoints"),
    rule(f"create {READ}", "certificates.k8s.io", "certificatesigningrequests"),
    rule("create delete get patch update", "coordination.k8s.io", "leases"),
    rule("get", "storage.k8s.io", "volumeattachments"),
    rule("create", "core", "serviceaccounts/token"),
    rule("get patch update", "core", "persistentvolumeclaims/status"),
    rule(READ, "storage.k8s.io", "csidrivers"),
    rule("create delete get patch update", "storage.k8s.io", "csinodes"),
    rule(READ, "node.k8s.io", "runtimeclasses"),
)

_ADMIN = (
    rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    rule(f"{READ} {WRITE}", GROUP, "rolebindings roles"),
)
_EDIT = (
    rule(READ, "core", f"{_STREAMS} secrets services/proxy"),
    rule("impersonate", "core", "serviceaccounts"),
    rule(WRITE, "core", f"pods {_STREAMS}"),
    rule("create", "core", "pods/eviction"),
    rule(
        WRITE,
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale "
        "secrets serviceaccounts services services/proxy",
    ),
    rule("create", "core", "serviceaccounts/token"),
    rule(WRITE, "apps", _APPS),
    rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
    rule(WRITE, "batch", "cronjobs jobs"),
    rule(WRITE, "extensions", _EXTENSIONS),
    rule(WRITE, "policy", "poddisruptionbudgets"),
    rule(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    rule(f"{READ} {WRITE}", "coordination.k8s.io", "leases"),
)
_VIEW = (
    rule(
        READ,
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
    ),
    rule(
        READ,
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
        "resourcequotas resourcequotas/status",
    ),
    rule(READ, "core", "namespaces"),
    rule(READ, "discovery.k8s.io", "endpointslices"),
    rule(
        READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
        "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale "
        "statefulsets/status",
    ),
    rule(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    rule(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    rule(
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses "
        "ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "
        "replicationcontrollers/scale",
    ),
    rule(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    rule(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
)
_SCHEDULER = (
    EVENTS,
    rule("create", "coordination.k8s.io", "leases"),
    rule("get update", "coordination.k8s.io", "leases", "kube-scheduler"),
    rule(READ, "core", "nodes"),
    rule(f"delete {READ}", "core", "pods"),
    rule("create", "core", "bindings pods/binding"),
    rule("patch update", "core", "pods/status"),
    rule(READ, "core", "replicationcontrollers services"),
    rule(READ, "apps extensions", "replicasets"),
    rule(READ, "apps", "statefulsets"),
    rule(READ, "policy", "poddisruptionbudgets"),
    rule(READ, "core", "persistentvolumeclaims persistentvolumes"),
    REVIEW_TOKENS,
    REVIEW_ACCESS,
    rule(READ, "storage.k8s.io", "csinodes"),
    rule(READ, "core", "namespaces"),
    rule(READ, "storage.k8s.io", "csidrivers"),
    rule(READ, "storage.k8s.io", "csistoragecapacities"),
)
_CONTROLLER_MANAGER = (
    EVENTS,
    rule("create", "coordination.k8s.io", "leases"),
    rule("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
    rule("create", "core", "secrets serviceaccounts"),
    rule("delete", "core", "secrets"),
    rule("get", "core", "configmaps namespaces secrets serviceaccounts"),
    rule("update", "core", "secrets serviceaccounts"),
    REVIEW_TOKENS,
    REVIEW_ACCESS,
    rule("list watch", "*", "*"),
    rule("create", "core", "serviceaccounts/token"),
)
_BASIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_CSR = "system:certificates.k8s.io"

CLUSTER_ROLES: dict[str, tuple[Rule, ...]] = {
    "cluster-admin": FULL_AUTHORITY,
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:aggregated-metrics-reader": (rule(READ, "metrics.k8s.io", "nodes pods"),),  # metrics-server's.
    "system:auth-delegator": (REVIEW_TOKENS, REVIEW_ACCESS),
    "system:basic-user": (
        rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ),
    f"{_CSR}:certificatesigningrequests:nodeclient": (
        rule("create", "certificates.k8s.io", "certificatesigningrequests/nodeclient"),
    ),
    f"{_CSR}:certificatesigningrequests:selfnodeclient": (
        rule("create", "certificates.k8s.io", "certificatesigningrequests/selfnodeclient"),
    ),
    **{
        f"{_CSR}:{signer}-approver": (
            rule("approve", "certificates.k8s.io", "signers", f"kubernetes.io/{signer}"),
        )
        for signer in (
            "kube-apiserver-client",
            "kube-apiserver-client-kubelet",
            "kubelet-serving",
            "legacy-unknown",
        )
    },
    "system:discovery": (urls(*_BASIC, "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"),),
    "system:kube-aggregator": (rule(READ, "core", "endpoints services"),),
    "system:kube-controller-manager": _CONTROLLER_MANAGER,
    "system:kube-dns": (rule("list watch", "core", "endpoints services"),),
    "system:kube-scheduler": _SCHEDULER,
    "system:kubelet-api-admin": (
        rule(READ, "core", "nodes"),
        rule("proxy", "core", "nodes"),
        rule("*", "core", "nodes/log nodes/metrics nodes/proxy nodes/stats"),
    ),
    "system:monitoring": (
        urls(
            *("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis"),
            *("/readyz", "/readyz/*"),
        ),
    ),
    "system:node": NODE_RULES,
    "system:node-bootstrapper": (
        rule(f"create {READ}", "certificates.k8s.io", "certificatesigningrequests"),
    ),
    "system:node-problem-detector": (
        rule("get", "core", "nodes"),
        rule("patch", "core", "nodes/status"),
        EVENTS,
    ),
    "system:node-proxier": (
        rule("list watch", "core", "endpoints services"),
        rule(READ, "core", "nodes"),
        EVENTS,
        rule("list watch", "discovery.k8s.io", "endpointslices"),
    ),
    "system:persistent-volume-provisioner": (
        rule(f"create delete {READ}", "core", "persistentvolumes"),
        rule(f"{READ} update", "core", "persistentvolumeclaims"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule("watch", "core", "events"),
        EVENTS,
    ),
    "system:public-info-viewer": (urls(*_BASIC),),
    "system:service-account-issuer-discovery": (
        urls("/.well-known/openid-configuration", "/openid/v1/jwks"),
    ),
    "system:volume-scheduler": (
        rule(f"{READ} patch update", "core", "persistentvolumes"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule(f"{READ} patch update", "core", "persistentvolumeclaims"),
    ),
}
"""Those whose rules are put together from others are in `AGGREGATED`."""

AGGREGATED = ("admin", "edit", "view")
"""Put together from the roles with the label `rbac.authorization.k8s.io/aggregate-to-<name>`."""

_AGGREGATED_TO: dict[str, tuple[str, ...]] = {
    "edit": ("admin",),
    "view": ("edit",),
    "system:aggregate-to-admin": ("admin",),
    "system:aggregate-to-edit": ("edit",),
    "system:aggregate-to-view": ("view",),
    "system:aggregated-metrics-reader": ("admin", "edit", "view"),
}

_LOCKS = (
    rule(f"create {READ} update", "coordination.k8s.io", "leases"),
    rule(f"create {READ} update", "coordination.k8s.io", "leasecandidates"),
)
ROLES: dict[Key, tuple[Rule, ...]] = {
    Key("kube-public", "system:controller:bootstrap-signer"): (
        rule(READ, "core", "configmaps"),
        rule("update", "core", "configmaps", "cluster-info"),
        EVENTS,
    ),
    Key("kube-system", "extension-apiserver-authentication-reader"): (
        rule(READ, "core", "configmaps", "extension-apiserver-authentication"),
    ),
    Key("kube-system", "system::leader-locking-kube-controller-manager"): _LOCKS,
    Key("kube-system", "system::leader-locking-kube-scheduler"): _LOCKS,
    Key("kube-system", "system:controller:bootstrap-signer"): (rule(READ, "core", "secrets"),),
    Key("kube-system", "system:controller:token-cleaner"): (
        rule(f"delete {READ}", "core", "secrets"),
        EVENTS,
    ),
}


def user(name: str) -> Object:
    return {"apiGroup": GROUP, "kind": "User", "name": name}


def group(name: str) -> Object:
    return {"apiGroup": GROUP, "kind": "Group", "name": name}


def account(name: str, namespace: str = "kube-system") -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


CLUSTER_BINDINGS: dict[str, tuple[Object, ...]] = {
    "cluster-admin": (group(MASTERS),),
    "system:basic-user": (group(AUTHENTICATED),),
    "system:discovery": (group(AUTHENTICATED),),
    "system:kube-controller-manager": (user(CONTROLLER_MANAGER),),
    "system:kube-dns": (account("kube-dns"),),
    "system:kube-scheduler": (user(SCHEDULER),),
    "system:monitoring": (group("system:monitoring"),),
    "system:node": (),  # The Node authorizer does that; the binding is kept for people to use.
    "system:node-proxier": (user(PROXY),),
    "system:public-info-viewer": (group(AUTHENTICATED), group(UNAUTHENTICATED)),
    "system:service-account-issuer-discovery": (group(SERVICE_ACCOUNTS),),
    "system:volume-scheduler": (user(SCHEDULER),),
}
"""Each to the ClusterRole of its own name."""

_READER = "extension-apiserver-authentication-reader"
BINDINGS: dict[Key, tuple[str, tuple[Object, ...]]] = {
    Key("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        (account("bootstrap-signer"),),
    ),
    Key("kube-system", f"system::{_READER}"): (_READER, (user(CONTROLLER_MANAGER), user(SCHEDULER))),
    Key("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        (user(CONTROLLER_MANAGER), account("kube-controller-manager"), account("leader-election-controller")),
    ),
    Key("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        (user(SCHEDULER), account("kube-scheduler")),
    ),
    Key("kube-system", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer",
        (account("bootstrap-signer"),),
    ),
    Key("kube-system", "system:controller:token-cleaner"): (
        "system:controller:token-cleaner",
        (account("token-cleaner"),),
    ),
}
"""To which Role of the same namespace, and whom."""


def default_roles() -> Iterator[Object]:
    """Yield all ClusterRoles and Roles."""
    for name, rules in {**CLUSTER_ROLES, **CONTROLLER_ROLES}.items():
        yield _object("ClusterRole", Key("", name)) | {"rules": [each.to_json() for each in rules]}
    for name in AGGREGATED:
        selector = {"matchLabels": {f"{_AGGREGATE}{name}": "true"}}
        yield _object("ClusterRole", Key("", name)) | {
            "aggregationRule": {"clusterRoleSelectors": [selector]}
        }
    for key, rules in ROLES.items():
        yield _object("Role", key) | {"rules": [each.to_json() for each in rules]}


def default_bindings() -> Iterator[Object]:
    """Yield all ClusterRoleBindings and RoleBindings."""
    for name, subjects in CLUSTER_BINDINGS.items():
        yield _binding("ClusterRoleBinding", Key("", name), "ClusterRole", name, subjects)
    for name in CONTROLLER_ROLES:
        subject = account(name.removeprefix(CONTROLLER_PREFIX))
        yield _binding("ClusterRoleBinding", Key("", name), "ClusterRole", name, (subject,))
    for key, (role, subjects) in BINDINGS.items():
        yield _binding("RoleBinding", key, "Role", role, subjects)


def _binding(kind: str, key: Key, role_kind: str, role: str, subjects: tuple[Object, ...]) -> Object:
    reference = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    binding = _object(kind, key) | {"roleRef": reference}
    return binding | {"subjects": [dict(subject) for subject in subjects]} if subjects else binding


def _object(kind: str, key: Key) -> Object:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    if kind == "ClusterRole":
        labels |= {f"{_AGGREGATE}{name}": "true" for name in _AGGREGATED_TO.get(key.name, ())}
    metadata: Object = {"name": key.name, "annotations": {AUTOUPDATE: "true"}, "labels": labels}
    if key.namespace:
        metadata["namespace"] = key.namespace
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata}
