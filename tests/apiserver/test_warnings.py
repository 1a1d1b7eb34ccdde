"""What a manifest asks for and this lab does not do is said when it is applied, once."""

from typing import Any

import pytest
from api_manifests import deployment, node, pod
from served_cluster import Cluster

from kubelab.cluster.apiserver import warnings
from kubelab.cluster.objects import NODES, Object

PROBED = """
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  activeDeadlineSeconds: 600
  containers:
  - name: shell
    image: kubelab/shell
    livenessProbe: {exec: {command: ["true"]}}
"""
DEADLINE = "spec.activeDeadlineSeconds: ignored: this lab lets the pod run on"
PROBE = (
    "spec.containers[0].livenessProbe: ignored: this lab does not run probes yet; a container is restarted "
    "when it ends"
)


async def test_kubectl_prints_a_warning_for_each_field_that_the_lab_ignores(cluster: Cluster) -> None:
    created = await cluster.kubectl("apply", "-f", "-", stdin=PROBED)
    assert (created.code, created.out) == (0, "pod/probed created\n")
    assert created.err.splitlines() == [f"Warning: {DEADLINE}", f"Warning: {PROBE}"]


async def test_a_patch_is_warned_of_what_it_brings_and_of_nothing_older(cluster: Cluster) -> None:
    await cluster.ok("apply", "-f", "-", stdin=PROBED)
    assert (await cluster.kubectl("label", "pod", "probed", "a=b")).err == ""
    await cluster.ok("create", "deployment", "web", "--image=kubelab/shell")
    assert (await cluster.kubectl("scale", "deployment", "web", "--replicas=2")).err == ""
    patch = '{"spec": {"template": {"spec": {"runtimeClassName": "other"}}}}'
    patched = await cluster.kubectl("patch", "deployment", "web", "-p", patch)
    sentence = "spec.template.spec.runtimeClassName: ignored: this lab has one container runtime"
    assert patched.err == f"Warning: {sentence}\n"


async def test_a_noexecute_taint_is_said_not_to_evict(cluster: Cluster) -> None:
    await cluster.api.create(NODES, node())
    tainted = await cluster.kubectl("taint", "node", "minion-1", "a=b:NoExecute")
    assert tainted.out == "node/minion-1 tainted\n"
    assert "this lab does not evict those that run" in tainted.err


def with_container(**fields: Any) -> Object:
    return pod(containers=[{"name": "shell", "image": "kubelab/shell"} | fields])


@pytest.mark.parametrize(
    ("obj", "field"),
    [
        (pod(affinity={"podAntiAffinity": {}, "podAffinity": {"x": []}}), "spec.affinity.podAffinity"),
        (with_container(restartPolicy="Always"), "spec.containers[0].restartPolicy"),
        (
            with_container(ports=[{"containerPort": 80, "hostPort": 80}]),
            "spec.containers[0].ports[0].hostPort",
        ),
        (with_container(volumeDevices=[{"name": "disk"}]), "spec.containers[0].volumeDevices"),
    ],
)
def test_each_ignored_field_is_named(obj: Object, field: str) -> None:
    assert [sentence.partition(": ")[0] for sentence in warnings.of_pod(obj)] == [field]


def test_what_the_lab_does_needs_no_warning() -> None:
    plain = pod(
        securityContext={"runAsUser": 1000},
        hostUsers=False,
        hostNetwork=True,
        dnsPolicy="ClusterFirst",
        nodeSelector={"disk": "ssd"},
        affinity={"nodeAffinity": {"x": 1}},
        volumes=[{"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    )
    assert list(warnings.of_pod(plain)) == []
    assert list(warnings.of_workload(deployment())) == []
    assert list(warnings.of_node(node())) == []
