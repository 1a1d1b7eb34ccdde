"""What the genuine kubectl prints of each kind of workload and policy: its columns, and its warnings."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from kind_manifests import (
    autoscaler,
    budget,
    cluster_wide,
    cronjob,
    ingress,
    job,
    named,
    network_policy,
    role_binding,
    signing_request,
    workload,
)
from served_cluster import Cluster

from kubelab.cluster import objects
from kubelab.cluster.apiserver.kinds import KINDS
from kubelab.cluster.objects import Object, Resource

TIME = "2026-01-01T12:00:00Z"
IMAGES = "front,back kubelab/shell,kubelab/data"

WORKLOADS: Mapping[str, tuple[Resource, Object, Object]] = {
    "deploy": (
        objects.DEPLOYMENTS,
        workload(replicas=3),
        {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
    ),
    "rs": (objects.REPLICASETS, workload(replicas=3), {"replicas": 3, "readyReplicas": 2}),
    "sts": (objects.STATEFULSETS, workload(replicas=3), {"replicas": 3, "readyReplicas": 2}),
    "ds": (
        objects.DAEMONSETS,
        workload(),
        {
            "desiredNumberScheduled": 4,
            "currentNumberScheduled": 3,
            "numberReady": 2,
            "updatedNumberScheduled": 1,
            "numberMisscheduled": 0,
        },
    ),
    "job": (
        objects.JOBS,
        job(manualSelector=True, selector={"matchLabels": {"app": "shop"}}),
        {
            "startTime": "2026-01-01T11:59:00Z",
            "completionTime": TIME,
            "succeeded": 1,
            "conditions": [
                {"type": "SuccessCriteriaMet", "status": "True"},
                {"type": "Complete", "status": "True"},
            ],
        },
    ),
    "cj": (objects.CRONJOBS, cronjob(timeZone="Etc/UTC", suspend=True), {}),
    "hpa": (
        objects.HORIZONTALPODAUTOSCALERS,
        autoscaler(),
        {
            "currentReplicas": 2,
            "desiredReplicas": 2,
            "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}}
            ],
        },
    ),
    "pdb": (
        objects.PODDISRUPTIONBUDGETS,
        budget(),
        {"disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3},
    ),
}
PRINTED_WORKLOADS = f"""
NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR
deployment.apps/shop 2/3 1 2 AGO {IMAGES} app=shop
NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR
replicaset.apps/shop 3 3 2 AGO {IMAGES} app=shop
NAME READY AGE CONTAINERS IMAGES
statefulset.apps/shop 2/3 AGO {IMAGES}
NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS IMAGES SELECTOR
daemonset.apps/shop 4 3 2 1 0 <none> AGO {IMAGES} app=shop
NAME STATUS COMPLETIONS DURATION AGE CONTAINERS IMAGES SELECTOR
job.batch/shop Complete 1/1 60s AGO {IMAGES} app=shop
NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE CONTAINERS IMAGES SELECTOR
cronjob.batch/shop */5 * * * * Etc/UTC True 0 <none> AGO {IMAGES} <none>
NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE
horizontalpodautoscaler.autoscaling/shop Deployment/shop cpu: 7%/80% 1 5 2 AGO
NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE
poddisruptionbudget.policy/shop 1 N/A 2 AGO
"""

SUBJECTS = [
    {"kind": "User", "name": "ana"},
    {"kind": "Group", "name": "devs"},
    {"kind": "ServiceAccount", "name": "robot", "namespace": "default"},
]
POLICIES: Mapping[str, tuple[Resource, Object, Object]] = {
    "netpol": (objects.NETWORKPOLICIES, network_policy(), {}),
    "ing": (
        objects.INGRESSES,
        ingress(ingressClassName="nginx", tls=[{"hosts": ["shop.example.com"]}]),
        {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    ),
    "ingressclass": (objects.INGRESSCLASSES, cluster_wide(spec={"controller": "acme.io/nginx"}), {}),
    "rolebinding": (objects.ROLEBINDINGS, role_binding(subjects=SUBJECTS), {}),
    "runtimeclass": (objects.RUNTIMECLASSES, cluster_wide(handler="runc"), {}),
    "csr": (
        objects.CERTIFICATESIGNINGREQUESTS,
        signing_request(expirationSeconds=3600),
        {"conditions": [{"type": "Approved", "status": "True", "reason": "ByHand"}]},
    ),
    "lease": (objects.LEASES, named(spec={"holderIdentity": "minion-1"}), {}),
    "controllerrevision": (objects.CONTROLLERREVISIONS, named(revision=2, data={"spec": {}}), {}),
    "pc": (objects.PRIORITYCLASSES, cluster_wide(value=7), {}),
}
PRINTED_POLICIES = """
NAME POD-SELECTOR AGE
networkpolicy.networking.k8s.io/shop app=shop AGO
NAME CLASS HOSTS ADDRESS PORTS AGE
ingress.networking.k8s.io/shop nginx shop.example.com 192.0.2.1 80, 443 AGO
NAME CONTROLLER PARAMETERS AGE
ingressclass.networking.k8s.io/shop acme.io/nginx <none> AGO
NAME ROLE AGE USERS GROUPS SERVICEACCOUNTS
rolebinding.rbac.authorization.k8s.io/shop Role/reader AGO ana devs default/robot
NAME HANDLER AGE
runtimeclass.node.k8s.io/shop runc AGO
NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION
certificatesigningrequest.certificates.k8s.io/shop AGO kubernetes.io/kube-apiserver-client system:apiserver \
60m Approved
NAME HOLDER AGE
lease.coordination.k8s.io/shop minion-1 AGO
NAME CONTROLLER REVISION AGE
controllerrevision.apps/shop <none> 2 AGO
NAME VALUE GLOBAL-DEFAULT AGE PREEMPTIONPOLICY
priorityclass.scheduling.k8s.io/shop 7 false AGO PreemptLowerPriority
priorityclass.scheduling.k8s.io/system-cluster-critical 2000000000 false AGO PreemptLowerPriority
priorityclass.scheduling.k8s.io/system-node-critical 2000001000 false AGO PreemptLowerPriority
"""


async def fill(cluster: Cluster, kinds: Mapping[str, tuple[Resource, Object, Object]]) -> None:
    for resource, obj, status in kinds.values():
        made = await cluster.api.create(resource, obj)
        if status:
            part = "approval" if resource == objects.CERTIFICATESIGNINGREQUESTS else "status"
            await cluster.api.update(resource, made | {"status": status}, subresource=part)


def squeezed(printed: str) -> str:
    """Return tables with single spaces and without ages."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    return "\n".join(re.sub(r" [0-3]s( |$)", r" AGO\1", line) for line in lines if line)


@pytest.mark.parametrize(
    ("kinds", "printed"),
    [(WORKLOADS, PRINTED_WORKLOADS), (POLICIES, PRINTED_POLICIES)],
    ids=["work", "rules"],
)
async def test_kubectl_prints_each_kind_in_its_own_columns(
    cluster: Cluster, kinds: Mapping[str, Any], printed: str
) -> None:
    await fill(cluster, kinds)
    assert squeezed(await cluster.ok("get", ",".join(kinds), "-o", "wide")) == printed.strip()


async def test_kubectl_sends_what_it_creates_and_shows_what_is_not_done_with_it(cluster: Cluster) -> None:
    done = await cluster.kubectl("create", "job", "pi", "--image=kubelab/shell", "--", "true")
    assert done.out == "job.batch/pi created\n"
    assert done.err == "Warning: Job: stored, but no controller of this lab makes its pods yet\n"
    await cluster.ok("create", "clusterrolebinding", "ops", "--clusterrole=view", "--group=ops")
    described = await cluster.ok("describe", "job/pi", "clusterrolebinding/ops")
    assert "Completion Mode:  NonIndexed" in described
    assert re.search(r"Group +ops", described)
    unchanged = await cluster.refused("patch", "job", "pi", "-p", '{"spec":{"completions":9}}')
    assert unchanged == 'The Job "pi" is invalid: spec.completions: Invalid value: 9: field is immutable'


async def test_some_kinds_are_made_by_a_put_and_others_are_not(cluster: Cluster) -> None:
    role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: shop}, rules: []}"
    assert (
        await cluster.ok("replace", "-f", "-", stdin=role) == "role.rbac.authorization.k8s.io/shop replaced\n"
    )
    class_ = "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: shop}, handler: runc}"
    missing = await cluster.refused("replace", "-f", "-", stdin=class_)
    assert missing.endswith('runtimeclasses.node.k8s.io "shop" not found')


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.review], ids=lambda kind: kind.go_type)
def test_columns_are_described_by_what_they_show(kind: Any) -> None:
    for column in kind.columns:
        assert not column.documents or column.definition()["description"], column
