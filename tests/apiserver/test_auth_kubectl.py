"""Several users with the genuine kubectl: who they are, what they may, what they are told if not."""

import json
from collections.abc import AsyncIterator

import pytest
from identities import as_user, controlled, with_token
from served_cluster import Cluster, serving

from kubelab.cluster.apiserver.authorized import authorized
from kubelab.cluster.apiserver.caller import AUTHENTICATED, Caller, User, service_account
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    CLUSTERROLES,
    CONFIGMAPS,
    PODS,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
    Object,
    Resource,
)


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """One cluster for all tests here; each has users of its own."""
    home = tmp_path_factory.mktemp("auth")
    async with serving(home) as cluster, controlled(cluster):
        await made(cluster, CLUSTERROLES, "admin", "rules")
        await made(cluster, CONFIGMAPS, "kube-root-ca.crt", "data", namespace="default")
        yield cluster


async def made(cluster: Cluster, resource: Resource, name: str, field: str, *, namespace: str = "") -> None:
    """Wait until a controller has made the object, and filled the field in."""
    async with cluster.api.watch(resource, namespace, resource_version="", initial_events=True) as events:
        async for event in events:
            if event.object["metadata"].get("name") == name and event.object.get(field):
                return


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def bind(cluster: Cluster, role: str, user: str, namespace: str = "default") -> None:
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    metadata = {"name": f"{user}-{role}", "namespace": namespace}
    binding = {"metadata": metadata, "roleRef": reference, "subjects": [subject]}
    await cluster.api.create(ROLEBINDINGS, binding)


async def test_whoami_tells_name_groups_and_credentials(cluster: Cluster) -> None:
    out = await cluster.ok("auth", "whoami", *as_user(cluster, "ann", "dev", "ops"), "-o", "json")
    info = json.loads(out)["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("ann", ["dev", "ops", "system:authenticated"])
    (credential,) = info["extra"]["authentication.kubernetes.io/credential-id"]
    assert credential.startswith("X509SHA256=")


async def test_who_is_bound_to_view_may_view(cluster: Cluster) -> None:
    ben = as_user(cluster, "ben")
    refusal = await cluster.refused("get", "pods", *ben)
    assert refusal == (
        'Error from server (Forbidden): pods is forbidden: User "ben" cannot list resource "pods" in API '
        'group "" in the namespace "default"'
    )
    await bind(cluster, "view", "ben")
    assert await cluster.ok("get", "configmaps", *ben, "-o", "name") == "configmap/kube-root-ca.crt\n"
    assert 'cannot list resource "secrets"' in await cluster.refused("get", "secrets", *ben)
    assert (await cluster.ok("auth", "can-i", "list", "pods", *ben)).strip() == "yes"
    assert (await cluster.kubectl("auth", "can-i", "delete", "pods", *ben)).out.strip() == "no"
    rows = [line.split() for line in (await cluster.ok("auth", "can-i", "--list", *ben)).splitlines()]
    assert ["pods/log", "[]", "[]", "[get", "list", "watch]"] in rows
    assert ["[/version]", "[]", "[get]"] in rows


async def test_names_in_rules_are_enough_to_watch_one_object(cluster: Cluster) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["kube-root-ca.crt"]}
    verbs = {"verbs": ["get", "list", "watch"]}
    metadata = {"name": "one-map"}
    await cluster.api.create(CLUSTERROLES, {"metadata": metadata, "rules": [rule | verbs]})
    await bind(cluster, "one-map", "cleo")
    cleo = as_user(cluster, "cleo")
    assert "kube-root-ca.crt" in await cluster.ok("get", "configmap", "kube-root-ca.crt", *cleo)
    selected = "--field-selector=metadata.name=kube-root-ca.crt"
    assert "kube-root-ca.crt" in await cluster.ok("get", "configmaps", selected, *cleo)
    assert "Forbidden" in await cluster.refused("get", "configmaps", *cleo)


async def test_nobody_hands_out_more_than_they_have(cluster: Cluster) -> None:
    await bind(cluster, "admin", "dora")
    dora = as_user(cluster, "dora", "dev")
    await cluster.ok("create", "role", "mine", "--verb=get", "--resource=pods,secrets", *dora)
    refusal = await cluster.refused("create", "role", "more", "--verb=get,list", "--resource=nodes", *dora)
    assert refusal == (
        'Error from server (Forbidden): roles.rbac.authorization.k8s.io "more" is forbidden: user "dora" '
        '(groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently '
        "held:\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    binding = ("create", "rolebinding", "root", "--user=eve", *dora)
    refusal = await cluster.refused(*binding, "--clusterrole=cluster-admin")
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in refusal
    assert 'clusterrole.rbac.authorization.k8s.io "nope" not found' in await cluster.refused(
        *binding, "--clusterrole=nope"
    )
    await cluster.ok(*binding, "--clusterrole=edit")


async def test_to_bind_and_to_escalate_can_be_allowed(cluster: Cluster) -> None:
    group, names = "rbac.authorization.k8s.io", ["cluster-admin"]
    rules = [
        {"apiGroups": [group], "resources": ["rolebindings", "roles"], "verbs": ["create"]},
        {"apiGroups": [group], "resources": ["clusterroles"], "resourceNames": names, "verbs": ["bind"]},
        {"apiGroups": [group], "resources": ["roles"], "verbs": ["escalate"]},
    ]
    await cluster.api.create(CLUSTERROLES, {"metadata": {"name": "granter"}, "rules": rules})
    await bind(cluster, "granter", "fay")
    fay = as_user(cluster, "fay")
    await cluster.ok("create", "rolebinding", "a", "--user=x", "--clusterrole=cluster-admin", *fay)
    assert "not currently held" in await cluster.refused(
        "create", "rolebinding", "b", "--user=x", "--clusterrole=admin", *fay
    )
    await cluster.ok("create", "role", "any", "--verb=*", "--resource=secrets", *fay)


async def test_acting_as_somebody_else_must_be_allowed(cluster: Cluster) -> None:
    whoami = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
    out = await cluster.ok(*whoami, "--as=gus", "--as-group=dev")
    assert out == 'gus ["dev","system:authenticated"]'
    out = await cluster.ok(*whoami, "--as=system:serviceaccount:default:default")
    assert out.startswith("system:serviceaccount:default:default")
    refusal = await cluster.refused("get", "pods", "--as=gus", *as_user(cluster, "hal"))
    assert refusal == (
        'Error from server (Forbidden): users "gus" is forbidden: User "hal" cannot impersonate resource '
        '"users" in API group "" at the cluster scope'
    )


async def test_a_service_accounts_token(cluster: Cluster) -> None:
    await cluster.api.create(SERVICEACCOUNTS, {"metadata": {"name": "robot", "namespace": "default"}})
    token = (await cluster.ok("create", "token", "robot", "--duration=10m")).strip()
    robot = with_token(cluster, token)
    who = await cluster.ok("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", *robot)
    assert who == "system:serviceaccount:default:robot"
    keys = json.loads(await cluster.ok("get", "--raw", "/openid/v1/jwks", *robot))["keys"]
    assert keys[0]["alg"] == "ES256"
    assert 'cannot get path "/metrics"' in await cluster.refused("get", "--raw", "/metrics", *robot)
    await cluster.api.delete(SERVICEACCOUNTS, "default", "robot")
    assert await cluster.refused("get", "pods", *robot) == (
        "error: You must be logged in to the server (Unauthorized)"
    )


RECONCILED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciled, namespace: default}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
"""


async def test_reconcile_adds_what_is_missing(cluster: Cluster) -> None:
    await cluster.api.create(ROLES, {"metadata": {"name": "reconciled", "namespace": "default"}})
    out = await cluster.ok("auth", "reconcile", "-f", "-", stdin=RECONCILED)
    assert "role.rbac.authorization.k8s.io/reconciled reconciled" in out
    role = await cluster.api.get(ROLES, "default", "reconciled")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]


async def test_components_in_process_may_do_what_their_roles_say(cluster: Cluster) -> None:
    def acting(user: User) -> LocalApi:
        return authorized(cluster.registry, Caller(user, "test"))

    scheduler = acting(User("system:kube-scheduler", (AUTHENTICATED,)))
    await scheduler.list(PODS)
    with pytest.raises(ApiError, match='User "system:kube-scheduler" cannot list resource "configmaps"'):
        await scheduler.list(CONFIGMAPS)
    publisher = acting(service_account("kube-system", "root-ca-cert-publisher"))
    configmap: Object = {"metadata": {"name": "made", "namespace": "default"}}
    await publisher.create(CONFIGMAPS, configmap)
    with pytest.raises(ApiError, match="cannot delete resource"):
        await publisher.delete(CONFIGMAPS, "default", "made")


async def test_the_keys_of_accounts_are_their_owners_alone(cluster: Cluster) -> None:
    cluster.authority.service_accounts()
    modes = {each.name: each.stat().st_mode & 0o777 for each in cluster.authority.directory.glob("sa.*")}
    assert modes == {"sa.key": 0o600, "sa.pub": 0o600}
