"""Admission on the real server in process: what is added to what is written, and what is refused.

Sentences are upstream's (plugin/pkg/admission), as kubectl shows them behind "Error from server (Forbidden)".
"""

import asyncio
import base64
import re

import pytest
from api_manifests import configmap, node, pod
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.caller import NODES as NODES_GROUP
from kubelab.cluster.apiserver.caller import Caller, User
from kubelab.cluster.apiserver.listers import Listers
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_warnings import collecting
from kubelab.cluster.apiserver.service_account import MOUNT_PATH
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import (
    CERTIFICATESIGNINGREQUESTS,
    CONFIGMAPS,
    DEPLOYMENTS,
    LEASES,
    LIMITRANGES,
    NAMESPACES,
    NODES,
    PODS,
    PRIORITYCLASSES,
    RESOURCEQUOTAS,
    RUNTIMECLASSES,
    SERVICEACCOUNTS,
    Object,
    Resource,
)
from kubelab.cluster.store.memory import MemoryStore

ACCOUNT = {"metadata": {"name": "default", "namespace": "default"}}


class Admitting:
    """A registry with all plug-ins, and the default account that a controller would make."""

    def __init__(self, registry: Registry, listers: Listers) -> None:
        self.registry = registry
        self.listers = listers
        self.api = LocalApi(registry)

    def as_kubelet(self, name: str = "minion-1") -> LocalApi:
        user = User(f"system:node:{name}", (NODES_GROUP,))
        return LocalApi(self.registry, Caller(user, "kubelet"))

    async def refused(self, resource: Resource, obj: Object, api: LocalApi | None = None) -> str:
        with pytest.raises(ApiError) as refusal:
            await (api or self.api).create(resource, obj)
        return refusal.value.message


@pytest.fixture
async def admitting(clock: VirtualClock) -> Admitting:
    registry = Registry(MemoryStore(), clock)
    listers = plugins.install(registry)
    await bootstrap(registry)
    admitting = Admitting(registry, listers)
    await admitting.api.create(SERVICEACCOUNTS, ACCOUNT)
    return admitting


# NamespaceLifecycle


async def test_nothing_comes_into_a_namespace_that_is_not_there_or_is_going(admitting: Admitting) -> None:
    lost = {"metadata": {"name": "a", "namespace": "nowhere"}}
    assert await admitting.refused(CONFIGMAPS, lost) == 'namespaces "nowhere" not found'
    await admitting.api.create(NAMESPACES, {"metadata": {"name": "old"}})
    await admitting.api.delete(NAMESPACES, "", "old")
    with pytest.raises(ApiError) as refusal:
        await admitting.api.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "old"}})
    assert refusal.value.message == (
        'configmaps "a" is forbidden: unable to create new content in namespace old because it is being '
        "terminated"
    )
    assert refusal.value.details["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace old is being terminated",
            "field": "metadata.namespace",
        }
    ]


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_some_namespaces_never_go(admitting: Admitting, name: str) -> None:
    with pytest.raises(ApiError) as refusal:
        await admitting.api.delete(NAMESPACES, "", name)
    assert refusal.value.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


# What a pod is given


async def test_a_pod_gets_its_account_with_a_token_its_priority_and_its_tolerations(
    admitting: Admitting,
) -> None:
    created = await admitting.api.create(PODS, pod())
    spec = created["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (volume,) = spec["volumes"]
    assert re.fullmatch("kube-api-access-[a-z0-9]{5}", volume["name"])
    assert volume["projected"] == {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
        "defaultMode": 420,
    }
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    assert spec["containers"][0]["volumeMounts"] == [mount]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert spec["tolerations"] == [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for state in ("not-ready", "unreachable")
    ]


async def test_a_pod_may_want_no_token_and_so_may_its_account(admitting: Admitting) -> None:
    without = await admitting.api.create(PODS, pod("a", automountServiceAccountToken=False))
    assert "volumes" not in without["spec"]
    secretive = {
        "metadata": {"name": "secretive", "namespace": "default"},
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "registry"}],
    }
    await admitting.api.create(SERVICEACCOUNTS, secretive)
    without = await admitting.api.create(PODS, pod("b", serviceAccountName="secretive"))
    assert "volumes" not in without["spec"]
    assert without["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    wanted = pod("c", serviceAccountName="secretive", automountServiceAccountToken=True)
    assert (await admitting.api.create(PODS, wanted))["spec"]["volumes"]


async def test_a_container_with_something_in_that_place_keeps_it(admitting: Admitting) -> None:
    own = pod(volumes=[{"name": "own", "emptyDir": {}}])
    own["spec"]["containers"][0]["volumeMounts"] = [{"name": "own", "mountPath": MOUNT_PATH}]
    assert [each["name"] for each in (await admitting.api.create(PODS, own))["spec"]["volumes"]] == ["own"]


async def test_a_missing_account_is_named_at_once_and_the_default_one_waited_for(
    admitting: Admitting, clock: VirtualClock
) -> None:
    said = await admitting.refused(PODS, pod(serviceAccountName="builder"))
    assert said == (
        'pods "web" is forbidden: error looking up service account default/builder: '
        'serviceaccount "builder" not found'
    )
    await admitting.api.create(NAMESPACES, {"metadata": {"name": "new"}})
    creation = asyncio.ensure_future(admitting.api.create(PODS, pod("a", "new")))
    await clock.advance(0.25)
    assert not creation.done()
    await admitting.api.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": "new"}})
    await clock.advance(0.1)
    assert (await creation)["spec"]["serviceAccountName"] == "default"


async def test_a_generated_pod_is_called_by_its_set_where_upstream_has_no_name_yet(
    admitting: Admitting,
) -> None:
    generated = pod(serviceAccountName="builder")
    generated["metadata"] = {"generateName": "web-5d4f-", "namespace": "default"}
    assert (await admitting.refused(PODS, generated)).startswith(
        'pods "web-5d4f-" is forbidden: error looking'
    )


async def test_limits_of_the_namespace_are_given_and_enforced(admitting: Admitting) -> None:
    limits = {"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}}
    metadata = {"name": "limits", "namespace": "default"}
    await admitting.api.create(LIMITRANGES, {"metadata": metadata, "spec": {"limits": [limits]}})
    created = await admitting.api.create(PODS, pod())
    assert created["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m"}
    assert created["status"]["qosClass"] == "Burstable"
    large = pod("large")
    large["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}}
    assert await admitting.refused(PODS, large) == (
        'pods "large" is forbidden: maximum cpu usage per Container is 1, but limit is 2'
    )


async def test_a_new_node_takes_no_pods_yet(admitting: Admitting) -> None:
    created = await admitting.api.create(NODES, node())
    assert created["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


# Priority and runtime classes


def priority_class(name: str, value: int, **more: object) -> Object:
    return {"metadata": {"name": name}, "value": value, **more}


async def test_a_priority_class_becomes_a_number_and_a_policy(admitting: Admitting) -> None:
    await admitting.api.create(PRIORITYCLASSES, priority_class("high", 1000, preemptionPolicy="Never"))
    spec = (await admitting.api.create(PODS, pod(priorityClassName="high")))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")
    assert await admitting.refused(PODS, pod("a", priorityClassName="none")) == (
        'pods "a" is forbidden: no PriorityClass with name none was found'
    )
    assert await admitting.refused(PODS, pod("a", priorityClassName="high", priority=5)) == (
        'pods "a" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority '
        "admission controller computed 1000 from the given PriorityClass name"
    )
    critical = await admitting.api.create(PODS, pod("b", priorityClassName="system-node-critical"))
    assert critical["spec"]["priority"] == 2_000_001_000


async def test_one_class_can_be_for_all_pods_that_name_none(admitting: Admitting) -> None:
    await admitting.api.create(PRIORITYCLASSES, priority_class("usual", 7, globalDefault=True))
    spec = (await admitting.api.create(PODS, pod()))["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == ("usual", 7)
    assert await admitting.refused(PRIORITYCLASSES, priority_class("other", 8, globalDefault=True)) == (
        'priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as '
        "default. Only one default can exist"
    )
    await admitting.api.patch(PRIORITYCLASSES, "", "usual", {"description": "For most."})


async def test_a_runtime_class_brings_its_overhead_and_its_nodes(admitting: Admitting) -> None:
    sandboxed = {
        "metadata": {"name": "sandboxed"},
        "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"virtual": "yes"}, "tolerations": [{"operator": "Exists"}]},
    }
    selector = "nodeSelector[virtual]"
    await admitting.api.create(RUNTIMECLASSES, sandboxed)
    spec = (await admitting.api.create(PODS, pod(runtimeClassName="sandboxed")))["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "250m"}, {"virtual": "yes"})
    assert {"operator": "Exists"} in spec["tolerations"]
    for made, why in (
        (pod(runtimeClassName="none"), 'pod rejected: RuntimeClass "none" not found'),
        (
            pod(runtimeClassName="sandboxed", overhead={"cpu": "1"}),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            pod(overhead={"cpu": "1"}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            pod(runtimeClassName="sandboxed", nodeSelector={"virtual": "no"}),
            f"conflict: runtimeClass.scheduling.{selector} = yes; pod.spec.{selector} = no",
        ),
    ):
        assert await admitting.refused(PODS, made) == f'pods "web" is forbidden: {why}'


# Certificates


def certificate_request(*groups: str) -> Object:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ana"), *names])
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    encoded = base64.b64encode(csr.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {
        "request": encoded,
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    return {"metadata": {"name": "ana"}, "spec": spec}


async def test_nobody_asks_for_a_certificate_of_the_masters(admitting: Admitting) -> None:
    said = await admitting.refused(CERTIFICATESIGNINGREQUESTS, certificate_request("system:masters"))
    assert said == (
        'certificatesigningrequests.certificates.k8s.io "ana" is forbidden: use of '
        "kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    )
    await admitting.api.create(CERTIFICATESIGNINGREQUESTS, certificate_request("developers"))


# Quotas


async def make_quota(admitting: Admitting, **hard: str) -> None:
    hard = {name.replace("_", "."): value for name, value in hard.items()}
    quota = {"metadata": {"name": "quota", "namespace": "default"}, "spec": {"hard": hard}}
    await admitting.api.create(RESOURCEQUOTAS, quota)
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    await admitting.api.update(RESOURCEQUOTAS, quota | {"status": status}, subresource="status")


async def used(admitting: Admitting) -> Object:
    found = await admitting.api.get(RESOURCEQUOTAS, "default", "quota")
    return dict(found["status"]["used"])


async def test_what_is_created_is_charged_until_the_quota_is_used_up(admitting: Admitting) -> None:
    await make_quota(admitting, pods="2")
    for name in ("a", "b"):
        await admitting.api.create(PODS, pod(name))
    assert await used(admitting) == {"pods": "2"}
    assert await admitting.refused(PODS, pod("c")) == (
        'pods "c" is forbidden: exceeded quota: quota, requested: pods=1, used: pods=2, limited: pods=2'
    )


async def test_of_many_at_once_no_more_come_through_than_there_is_room_for(admitting: Admitting) -> None:
    await make_quota(admitting, configmaps="5")
    made = await asyncio.gather(
        *(admitting.api.create(CONFIGMAPS, configmap(f"c{number}")) for number in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, ApiError) for each in made) == 15
    assert await used(admitting) == {"configmaps": "5"}
    assert len((await admitting.api.list(CONFIGMAPS, "default")).items) == 5


async def test_two_servers_of_one_store_cannot_both_give_away_the_last_place(admitting: Admitting) -> None:
    await make_quota(admitting, configmaps="5")
    other = Registry(admitting.registry.store.service, admitting.registry.clock)
    plugins.install(other)
    servers = (admitting.api, LocalApi(other))
    made = await asyncio.gather(
        *(servers[number % 2].create(CONFIGMAPS, configmap(f"c{number}")) for number in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, ApiError) for each in made) == 15
    assert await used(admitting) == {"configmaps": "5"}


async def test_when_the_second_quota_refuses_the_first_is_not_charged(admitting: Admitting) -> None:
    await make_quota(admitting, pods="2")
    full = {"metadata": {"name": "r", "namespace": "default"}, "spec": {"hard": {"count/pods": "0"}}}
    await admitting.api.create(RESOURCEQUOTAS, full)
    status = {"hard": {"count/pods": "0"}, "used": {"count/pods": "0"}}
    await admitting.api.update(RESOURCEQUOTAS, full | {"status": status}, subresource="status")
    assert "exceeded quota: r" in await admitting.refused(PODS, pod())
    assert await used(admitting) == {"pods": "0"}


async def test_a_dry_run_is_told_of_the_quota_and_not_charged(admitting: Admitting) -> None:
    await make_quota(admitting, pods="1")
    kind = admitting.registry.kinds[PODS]
    await admitting.registry.create(kind, "default", pod(), dry_run=True)
    assert await used(admitting) == {"pods": "0"}


# NodeRestriction


async def test_a_kubelet_changes_only_its_own_node_and_draws_nothing_to_it(admitting: Admitting) -> None:
    kubelet = admitting.as_kubelet()
    assert await admitting.refused(NODES, node("minion-2"), kubelet) == (
        'nodes "minion-2" is forbidden: node "minion-1" is not allowed to modify node "minion-2"'
    )
    await kubelet.create(NODES, node())
    for patch, sentence in (
        ({"spec": {"taints": None}}, 'node "minion-1" is not allowed to modify taints'),
        (
            {"metadata": {"labels": {"node-role.kubernetes.io/master": "", "disk": "fast"}}},
            "is not allowed to modify labels: node-role.kubernetes.io/master",
        ),
    ):
        with pytest.raises(ApiError) as refusal:
            await kubelet.patch(NODES, "", "minion-1", patch)
        assert refusal.value.message == f'nodes "minion-1" is forbidden: {sentence}'
    await kubelet.patch(NODES, "", "minion-1", {"metadata": {"labels": {"kubernetes.io/os": "linux"}}})


async def test_a_kubelet_tells_only_of_its_own_pods_and_lease(admitting: Admitting) -> None:
    await admitting.api.create(NODES, node())
    await admitting.api.create(PODS, pod(nodeName="minion-1"))
    own, other = admitting.as_kubelet(), admitting.as_kubelet("minion-2")
    await own.patch(PODS, "default", "web", {"status": {"phase": "Running"}}, subresource="status")
    with pytest.raises(ApiError, match='node "minion-2" can only update pod status for pods'):
        await other.patch(PODS, "default", "web", {"status": {"phase": "Failed"}}, subresource="status")
    with pytest.raises(ApiError, match='node "minion-2" can only delete pods with'):
        await other.delete(PODS, "default", "web")
    with pytest.raises(ApiError, match="can only create mirror pods"):
        await own.create(PODS, pod("mine", nodeName="minion-1"))
    lease = {"metadata": {"name": "minion-1", "namespace": "kube-node-lease"}, "spec": {}}
    assert "can only access node lease with the same name" in await admitting.refused(LEASES, lease, other)
    await own.create(LEASES, lease)


# PodSecurity


async def secured(admitting: Admitting, **labels: str) -> None:
    prefixed = {f"pod-security.kubernetes.io/{mode}": level for mode, level in labels.items()}
    await admitting.api.patch(NAMESPACES, "", "default", {"metadata": {"labels": prefixed}})


async def test_a_restricted_namespace_refuses_an_ordinary_pod(admitting: Admitting) -> None:
    await secured(admitting, enforce="restricted")
    assert await admitting.refused(PODS, pod()) == (
        'pods "web" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != '
        'false (container "shell" must set securityContext.allowPrivilegeEscalation=false), unrestricted '
        'capabilities (container "shell" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot '
        '!= true (pod or container "shell" must set securityContext.runAsNonRoot=true), seccompProfile '
        '(pod or container "shell" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")'
    )
    careful = pod(securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    careful["spec"]["containers"][0]["securityContext"] = context
    await admitting.api.create(PODS, careful)


async def test_a_namespace_may_only_warn_also_of_what_makes_pods(admitting: Admitting) -> None:
    await secured(admitting, warn="baseline")
    spec = pod(hostNetwork=True)["spec"]
    labels = {"app": "web"}
    deployment = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    with collecting() as warnings:
        await admitting.api.create(DEPLOYMENTS, deployment)
        await admitting.api.create(PODS, pod(hostNetwork=True))
    said = 'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    assert warnings == [said]


async def test_a_stricter_label_tells_of_the_pods_that_are_there_already(admitting: Admitting) -> None:
    for name in ("b", "a"):
        await admitting.api.create(PODS, pod(name, hostPID=True))
    with collecting() as warnings:
        await secured(admitting, enforce="baseline")
    assert warnings == [
        'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]


async def test_a_label_that_names_no_level_is_invalid(admitting: Admitting) -> None:
    label = "pod-security.kubernetes.io/enforce"
    namespace = {"metadata": {"name": "new", "labels": {label: "strict"}}}
    assert await admitting.refused(NAMESPACES, namespace) == (
        f'Namespace "new" is invalid: metadata.labels[{label}]: Invalid value: "strict": '
        "must be one of privileged, baseline, restricted"
    )


# Listers


async def test_what_plugins_read_is_followed_and_right_at_once(
    admitting: Admitting, clock: VirtualClock
) -> None:
    accounts = admitting.listers[SERVICEACCOUNTS]
    async with background(admitting.listers.run()):
        await clock.advance(0)
        assert [each["metadata"]["name"] for each in await accounts.list("default")] == ["default"]
        await admitting.api.create(SERVICEACCOUNTS, {"metadata": {"name": "a", "namespace": "default"}})
        assert len(await accounts.list("default")) == 2
        await admitting.api.delete(SERVICEACCOUNTS, "default", "a")
        assert await accounts.get("default", "a") is None
        await admitting.registry.store.compact(admitting.registry.store.revision)
        assert len(await accounts.list()) == 1
    assert len(await accounts.list()) == 1
