"""The Node authorizer: what a kubelet may, by the pods on its node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.node import NodeAuthorizer
from kubelab.cluster.apiserver.authorization.node_graph import NodeGraph
from kubelab.cluster.apiserver.caller import NODES, User
from kubelab.cluster.objects import Object

NODE = User("system:node:one", (NODES,))
NO_RELATION = "no relationship found between node 'one' and this object"


def pod(name: str, node: str, **spec: object) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": []} | spec}


WEB = pod(
    "web",
    "one",
    serviceAccountName="web",
    imagePullSecrets=[{"name": "pull"}],
    containers=[
        {
            "envFrom": [{"configMapRef": {"name": "env"}}],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}],
        }
    ],
    volumes=[
        {"name": "a", "secret": {"secretName": "volume"}},
        {"name": "b", "projected": {"sources": [{"configMap": {"name": "projected"}}]}},
    ],
)


@pytest.fixture
def authorizer() -> NodeAuthorizer:
    graph = NodeGraph()
    graph.pod_changed(None, WEB)
    graph.pod_changed(None, pod("db", "two", serviceAccountName="db"))
    return NodeAuthorizer(graph)


def ask(
    verb: str, what: str, name: str = "", *, namespace: str = "default", selector: str = "", user: User = NODE
) -> RequestAttributes:
    group, _, rest = what.rpartition(":")
    resource, _, subresource = rest.partition("/")
    return RequestAttributes(
        user, verb, group, resource, subresource, namespace, name, field_selector=selector
    )


@pytest.mark.parametrize(
    ("verb", "what", "name", "reason"),
    [
        # plugin/pkg/auth/authorizer/node/node_authorizer_test.go. None: allowed.
        ("get", "secrets", "key", None),
        ("get", "secrets", "volume", None),
        ("get", "secrets", "pull", None),
        ("watch", "configmaps", "env", None),
        ("get", "configmaps", "projected", None),
        ("get", "secrets", "other", NO_RELATION),
        ("list", "secrets", "", "No Object name found"),
        ("update", "secrets", "key", "can only read resources of this type"),
        ("get", "secrets/x", "key", "cannot read subresource"),
        ("create", "serviceaccounts/token", "web", None),
        ("create", "serviceaccounts/token", "db", NO_RELATION),
        ("create", "serviceaccounts", "", "can only create tokens for individual service accounts"),
        ("get", "pods", "web", None),
        ("get", "pods", "db", NO_RELATION),
        ("list", "pods", "", "can only list/watch pods with spec.nodeName field selector"),
        ("create", "pods", "", None),
        ("update", "pods", "web", ""),
        ("patch", "pods/status", "web", None),
        ("create", "pods/eviction", "web", None),
        ("create", "pods/exec", "web", ""),
        ("get", "nodes", "one", None),
        ("get", "nodes", "two", "node 'one' cannot read 'two', only its own Node object"),
        ("list", "nodes", "", "node 'one' cannot read all nodes, only its own Node object"),
        ("create", "nodes", "", None),
        ("patch", "nodes/status", "one", None),
        ("delete", "nodes", "one", ""),
        ("create", "events", "", None),
        ("list", "services", "", None),
        ("get", "apps:deployments", "web", ""),
        (
            "get",
            "coordination.k8s.io:leases",
            "one",
            'can only access leases in the "kube-node-lease" system namespace',
        ),
    ],
)
def test_what_a_kubelet_may(
    authorizer: NodeAuthorizer, verb: str, what: str, name: str, reason: str | None
) -> None:
    decision = authorizer.authorize(ask(verb, what, name))
    assert (decision.allowed, decision.reason) == (reason is None, reason or "")


def test_a_kubelet_watches_the_pods_of_its_own_node(authorizer: NodeAuthorizer) -> None:
    assert authorizer.authorize(ask("watch", "pods", selector="spec.nodeName=one")).allowed
    assert not authorizer.authorize(ask("watch", "pods", selector="spec.nodeName=two")).allowed
    assert not authorizer.authorize(ask("watch", "pods", selector="spec.nodeName!=one")).allowed


def test_a_kubelet_renews_its_own_lease(authorizer: NodeAuthorizer) -> None:
    leases = "coordination.k8s.io:leases"
    assert authorizer.authorize(ask("create", leases, namespace="kube-node-lease")).allowed
    assert authorizer.authorize(ask("patch", leases, "one", namespace="kube-node-lease")).allowed
    assert not authorizer.authorize(ask("patch", leases, "two", namespace="kube-node-lease")).allowed
    assert not authorizer.authorize(ask("list", leases, namespace="kube-node-lease")).allowed


def test_only_nodes_are_nodes(authorizer: NodeAuthorizer) -> None:
    for user in (User("system:node:one"), User("jane", (NODES,))):
        assert not authorizer.authorize(ask("get", "nodes", "one", user=user)).allowed
    nameless = authorizer.authorize(ask("get", "nodes", "one", user=User("system:node:", (NODES,))))
    assert nameless.reason == 'unknown node for user "system:node:"'


def test_a_mirror_pod_opens_nothing() -> None:
    """Or a kubelet could make itself one that names any secret."""
    graph = NodeGraph()
    mirror = pod("m", "one", serviceAccountName="admin")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    graph.pod_changed(None, mirror)
    assert graph.reaches("one", "pods", "default", "m")
    assert not graph.reaches("one", "serviceaccounts", "default", "admin")


versions = st.none() | st.tuples(st.sampled_from(["", "one", "two"]), st.sampled_from(["a", "b"]))
steps = st.lists(st.tuples(st.sampled_from(["p", "q"]), versions), max_size=15)


@given(steps)
def test_the_graph_knows_the_pods_that_are_there(history: list[tuple[str, tuple[str, str] | None]]) -> None:
    graph, present = NodeGraph(), dict[str, Object]()
    for name, version in history:
        new = pod(name, version[0], serviceAccountName=version[1]) if version else None
        graph.pod_changed(present.pop(name, None), new)
        if new:
            present[name] = new
    for node in ("one", "two"):
        for account in ("a", "b"):
            uses = any(
                each["spec"]["nodeName"] == node and each["spec"]["serviceAccountName"] == account
                for each in present.values()
            )
            assert graph.reaches(node, "serviceaccounts", "default", account) is uses
