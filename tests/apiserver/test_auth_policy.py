"""RBAC over roles and bindings as they come and go, the default ones among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.authorizer import Authorizer
from kubelab.cluster.apiserver.authorization.default_roles import (
    AUTOUPDATE,
    default_bindings,
    default_roles,
)
from kubelab.cluster.apiserver.authorization.policy import GROUP, Policy
from kubelab.cluster.apiserver.authorization.role_reconciliation import must_be_made_anew, reconciled
from kubelab.cluster.apiserver.caller import (
    AUTHENTICATED,
    CONTROLLER_MANAGER,
    MASTERS,
    SCHEDULER,
    User,
    service_account,
)
from kubelab.cluster.controllers.clusterrole_aggregation import aggregated
from kubelab.cluster.objects import Object

READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
JANE = User("jane", ("dev", AUTHENTICATED))


def role(name: str, *rules: Object, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"metadata": metadata, "rules": list(rules)}


def binding(name: str, to: Object, *subjects: Object, namespace: str = "") -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"metadata": metadata, "roleRef": {"apiGroup": GROUP} | to, "subjects": list(subjects)}


def of_kind(kind: str, name: str) -> Object:
    return {"kind": kind, "name": name}


def list_pods(user: User = JANE, namespace: str = "default") -> RequestAttributes:
    return RequestAttributes(user, "list", "", "pods", namespace=namespace)


@pytest.fixture
def policy() -> Policy:
    policy = Policy()
    policy.role_changed(None, role("reader", READ_PODS))
    return policy


def test_a_cluster_binding_counts_everywhere(policy: Policy) -> None:
    policy.binding_changed(None, binding("b", of_kind("ClusterRole", "reader"), of_kind("Group", "dev")))
    decision = policy.authorize(list_pods())
    assert (decision.allowed, decision.reason) == (
        True,
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "dev"',
    )
    assert policy.authorize(list_pods(namespace="")).allowed


def test_a_binding_of_a_cluster_role_counts_in_its_namespace(policy: Policy) -> None:
    to, jane = of_kind("ClusterRole", "reader"), of_kind("User", "jane")
    policy.binding_changed(None, binding("b", to, jane, namespace="default"))
    decision = policy.authorize(list_pods())
    assert decision.reason == (
        'RBAC: allowed by RoleBinding "b/default" of ClusterRole "reader" to User "jane"'
    )
    assert not policy.authorize(list_pods(namespace="other")).allowed
    assert not policy.authorize(list_pods(namespace="")).allowed


def test_a_service_account_is_of_the_bindings_namespace_unless_it_says(policy: Policy) -> None:
    policy.role_changed(None, role("local", READ_PODS, namespace="default"))
    account = of_kind("ServiceAccount", "builder")
    policy.binding_changed(None, binding("b", of_kind("Role", "local"), account, namespace="default"))
    assert policy.authorize(list_pods(service_account("default", "builder"))).reason == (
        'RBAC: allowed by RoleBinding "b/default" of Role "local" to ServiceAccount "builder/default"'
    )
    assert not policy.authorize(list_pods(service_account("other", "builder"))).allowed


def test_a_binding_to_a_role_that_is_not_there_says_so(policy: Policy) -> None:
    policy.binding_changed(None, binding("b", of_kind("ClusterRole", "nope"), of_kind("User", "jane")))
    decision = policy.authorize(list_pods())
    assert (decision.allowed, decision.reason) == (
        False,
        'RBAC: clusterrole.rbac.authorization.k8s.io "nope" not found',
    )


def test_what_is_taken_away_counts_no_more(policy: Policy) -> None:
    bound = binding("b", of_kind("ClusterRole", "reader"), of_kind("User", "jane"))
    policy.binding_changed(None, bound)
    assert policy.authorize(list_pods()).allowed
    policy.role_changed(role("reader", READ_PODS), role("reader"))
    assert not policy.authorize(list_pods()).allowed
    policy.role_changed(role("reader"), role("reader", READ_PODS))
    policy.binding_changed(bound, None)
    assert not policy.authorize(list_pods()).allowed


subjects = st.lists(st.sampled_from(["jane", "joe", "dev"]), max_size=3, unique=True)
changes = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.none() | subjects), max_size=12)


@given(changes)
def test_the_order_of_changes_does_not_matter(steps: list[tuple[str, list[str] | None]]) -> None:
    """Who may is decided by the bindings that are there, whatever was there before."""
    policy, present = Policy(), dict[str, Object]()
    policy.role_changed(None, role("reader", READ_PODS))
    for name, users in steps:
        new = None
        if users is not None:
            new = binding(name, of_kind("ClusterRole", "reader"), *(of_kind("User", each) for each in users))
        policy.binding_changed(present.pop(name, None), new)
        if new:
            present[name] = new
        policy.authorize(list_pods())
    allowed = any(of_kind("User", "jane") in each["subjects"] for each in present.values())
    assert policy.authorize(list_pods()).allowed is allowed


# The default roles


@pytest.fixture(scope="module")
def authorizer() -> Authorizer:
    """One that knows the default roles and bindings, with the gathering ones filled."""
    authorizer, roles = Authorizer(), list(default_roles())
    for name in ("view", "edit", "admin"):
        gathering = next(each for each in roles if each["metadata"]["name"] == name)
        gathering["rules"] = aggregated(gathering, [each for each in roles if each["kind"] == "ClusterRole"])
    for each in roles:
        authorizer.policy.role_changed(None, each)
    for each in default_bindings():
        authorizer.policy.binding_changed(None, each)
    for name in ("view", "edit", "admin"):
        bound = binding(name, of_kind("ClusterRole", name), of_kind("User", name), namespace="default")
        authorizer.policy.binding_changed(None, bound)
    return authorizer


def may(authorizer: Authorizer, user: User, verb: str, what: str, name: str = "") -> bool:
    """*what* is `group:resource/subresource`, or a path."""
    if what.startswith("/"):
        return authorizer.authorize(RequestAttributes(user, verb, path=what)).allowed
    group, _, rest = what.rpartition(":")
    resource, _, subresource = rest.partition("/")
    asked = RequestAttributes(user, verb, group, resource, subresource, "default", name)
    return authorizer.authorize(asked).allowed


@pytest.mark.parametrize(
    ("who", "verb", "what", "allowed"),
    [
        # https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles
        ("view", "get", "pods/log", True),
        ("view", "get", "secrets", False),
        ("view", "list", "rbac.authorization.k8s.io:roles", False),
        ("view", "create", "pods", False),
        ("edit", "get", "secrets", True),
        ("edit", "create", "pods/exec", True),
        ("edit", "patch", "apps:deployments/scale", True),
        ("edit", "create", "serviceaccounts/token", True),
        ("edit", "impersonate", "serviceaccounts", True),
        ("edit", "create", "rbac.authorization.k8s.io:rolebindings", False),
        ("edit", "update", "resourcequotas", False),
        ("admin", "create", "rbac.authorization.k8s.io:rolebindings", True),
        ("admin", "create", "authorization.k8s.io:localsubjectaccessreviews", True),
        ("admin", "create", "resourcequotas", False),
        ("admin", "get", "nodes", False),
        # Everybody who is known.
        ("nobody", "get", "/version", True),
        ("nobody", "get", "/openapi/v3", True),
        ("nobody", "get", "/metrics", False),
        ("nobody", "get", "/openid/v1/jwks", False),
        ("nobody", "create", "authorization.k8s.io:selfsubjectaccessreviews", True),
        ("nobody", "create", "authorization.k8s.io:subjectaccessreviews", False),
        # Components.
        (SCHEDULER, "create", "pods/binding", True),
        (SCHEDULER, "update", "pods/status", True),
        (SCHEDULER, "create", "pods", False),
        (SCHEDULER, "get", "secrets", False),
        (CONTROLLER_MANAGER, "watch", "anything:whatever", True),
        (CONTROLLER_MANAGER, "create", "pods", False),
        ("system:kube-proxy", "watch", "discovery.k8s.io:endpointslices", True),
        ("system:kube-proxy", "get", "secrets", False),
    ],
)
def test_what_the_default_roles_allow(
    authorizer: Authorizer, who: str, verb: str, what: str, allowed: bool
) -> None:
    assert may(authorizer, User(who, (AUTHENTICATED,)), verb, what) is allowed


def test_controllers_have_the_rights_of_their_own_role(authorizer: Authorizer) -> None:
    replicas = service_account("kube-system", "replicaset-controller")
    assert may(authorizer, replicas, "create", "pods")
    assert not may(authorizer, replicas, "create", "apps:replicasets")
    assert not may(authorizer, service_account("default", "replicaset-controller"), "create", "pods")
    assert may(authorizer, service_account("default", "x"), "get", "/openid/v1/jwks")


def test_masters_may_do_everything(authorizer: Authorizer) -> None:
    admin = User("root", (MASTERS, AUTHENTICATED))
    assert may(authorizer, admin, "delete", "any.example.com:thing")
    assert may(authorizer, admin, "get", "/metrics")


def test_the_default_objects_can_be_told_by_their_marks() -> None:
    for each in (*default_roles(), *default_bindings()):
        assert each["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
        assert each["metadata"]["annotations"][AUTOUPDATE] == "true"


# Bringing them back


def test_a_default_role_gets_back_what_it_lacks_and_keeps_what_it_has() -> None:
    expected = role("r", READ_PODS)
    extra = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}
    existing = role("r", {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, extra)
    new = reconciled(existing, expected)
    assert new is not None
    assert new["rules"][:2] == existing["rules"]
    assert sorted(verb for each in new["rules"][2:] for verb in each["verbs"]) == ["list", "watch"]
    assert reconciled(new, expected) is None


def test_a_role_that_wants_to_be_left_alone_is() -> None:
    existing = role("r")
    existing["metadata"]["annotations"] = {AUTOUPDATE: "false"}
    assert reconciled(existing, role("r", READ_PODS)) is None


def test_a_default_binding_gets_back_its_subjects() -> None:
    to, jane, joe = of_kind("ClusterRole", "r"), of_kind("User", "jane"), of_kind("User", "joe")
    new = reconciled(binding("b", to, joe), binding("b", to, jane))
    assert new is not None and new["subjects"] == [joe, jane]
    assert must_be_made_anew(binding("b", of_kind("ClusterRole", "other"), jane), binding("b", to, jane))
