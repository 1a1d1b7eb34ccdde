"""Whose rights a container has, and what its pod's sandbox is, as the spec says it."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kubelab.cluster.node.cgroups import oom_score_adj
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.environment import ConfigError
from kubelab.cluster.node.pod_sandbox import sandbox_spec
from kubelab.cluster.node.security import check_non_root, security_of
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Dns, HostAlias, Security

CONFIG = KubeletConfig(
    "minion-1",
    IPv4Address("192.168.7.2"),
    IPv4Network("10.244.1.0/24"),
    Path("/logs"),
    cpus=2,
    memory_bytes=1 << 30,
    cluster_dns=IPv4Address("10.96.0.10"),
)


def pod_of(container: Object | None = None, **spec: object) -> Object:
    metadata = {"name": "web", "namespace": "shop", "uid": "u"}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"} | (container or {})]} | spec}


def security(of_pod: Object, own: Object) -> Security:
    pod = pod_of({"securityContext": own}, securityContext=of_pod)
    return security_of(pod, pod["spec"]["containers"][0])


def test_the_container_s_own_context_stands_above_the_pod_s() -> None:
    of_pod = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}
    found = security(of_pod, {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}})
    assert (found.user, found.group, found.groups) == (0, 2, (3, 4))
    assert (found.add_capabilities, found.drop_capabilities) == (("NET_ADMIN",), ("ALL",))


def test_the_runtime_s_profile_is_in_force_unless_another_is_named() -> None:
    assert security({}, {}).seccomp == "RuntimeDefault"
    assert security({"seccompProfile": {"type": "Unconfined"}}, {}).seccomp == "Unconfined"
    assert security({}, {"privileged": True}).seccomp == "Unconfined"
    with pytest.raises(ConfigError, match="no seccomp profiles of type Localhost"):
        security({}, {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}})


def test_privileges_may_be_gained_unless_the_container_says_no() -> None:
    answers = [security({}, own).no_new_privs for own in ({}, {"allowPrivilegeEscalation": False})]
    assert answers == [False, True]


@pytest.mark.parametrize(
    ("context", "image_user", "why"),
    [
        ({"runAsNonRoot": True, "runAsUser": 0}, "", "runAsUser breaks non-root policy"),
        ({"runAsNonRoot": True}, "0:0", r'image will run as root \(pod: "web_shop\(u\)", container: c\)$'),
        ({"runAsNonRoot": True}, "www", r"non-numeric user \(www\)"),
    ],
)
def test_root_is_refused_where_it_must_not_be(context: Object, image_user: str, why: str) -> None:
    pod = pod_of(securityContext=context)
    with pytest.raises(ConfigError, match=why):
        check_non_root(pod, pod["spec"]["containers"][0], image_user)


def test_another_user_than_root_may_run() -> None:
    pod = pod_of(securityContext={"runAsNonRoot": True})
    check_non_root(pod, pod["spec"]["containers"][0], "1000")
    pod = pod_of(securityContext={"runAsNonRoot": True, "runAsUser": 5})
    check_non_root(pod, pod["spec"]["containers"][0], "")


def test_a_pod_asks_the_cluster_s_dns_with_its_own_settings_on_top() -> None:
    config = {"nameservers": ["1.1.1.1"], "searches": ["here"], "options": [{"name": "ndots", "value": "2"}]}
    dns = sandbox_spec(pod_of(dnsConfig=config), CONFIG).dns
    assert dns == Dns(
        ("10.96.0.10", "1.1.1.1"),
        ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "here"),
        ("ndots:2",),
    )
    assert sandbox_spec(pod_of(dnsPolicy="Default"), CONFIG).dns == Dns()
    assert sandbox_spec(pod_of(hostNetwork=True), CONFIG).dns == Dns()


def test_a_pod_has_names_of_its_own_or_its_machine_s() -> None:
    alias = {"ip": "10.1.1.1", "hostnames": ["a", "b"]}
    spec = sandbox_spec(pod_of(hostname="db-0", subdomain="db", hostAliases=[alias]), CONFIG)
    assert (spec.hostname, spec.domain) == ("db-0", "db.shop.svc.cluster.local")
    assert spec.host_aliases == (HostAlias("10.1.1.1", ("a", "b")),)
    shared = sandbox_spec(pod_of(hostNetwork=True, hostUsers=False), CONFIG)
    assert (shared.hostname, shared.node_address, shared.host_users) == ("minion-1", CONFIG.address, False)


def test_who_asked_for_least_memory_is_killed_first() -> None:
    guaranteed = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    scores = []
    for resources in (guaranteed, {"requests": {"memory": "512Mi"}}, {}):
        pod = pod_of({"resources": resources})
        scores.append(oom_score_adj(pod, pod["spec"]["containers"][0], 1 << 30))
    assert scores == [-997, 500, 1000]
