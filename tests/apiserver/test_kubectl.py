"""The genuine kubectl against the served registry: the verbs of the course, and what a mistake is told."""

import asyncio
import json

import pytest
from api_manifests import node, on
from served_cluster import Cluster

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.objects import DEPLOYMENTS, EVENTS, NAMESPACES, NODES, PODS, Object

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
spec:
  containers:
  - name: shell
    image: kubelab/shell
    ports: [{containerPort: 80}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: front, image: kubelab/shell, env: [{name: MODE, value: a}]}
      - {name: back, image: kubelab/shell}
"""


async def report(cluster: Cluster, status: Object) -> None:
    """Set the pod's status, as its kubelet does."""
    found = await cluster.api.get(PODS, "default", "web")
    await cluster.api.update(PODS, found | {"status": status}, subresource="status")


def running(ready: bool = True) -> Object:
    container = {"name": "shell", "ready": ready, "restartCount": 0, "state": {"running": {}}}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "phase": "Running",
        "podIP": "10.244.1.2",
        "conditions": conditions,
        "containerStatuses": [container | {"image": "kubelab/shell", "imageID": "host"}],
    }


def lines(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


async def test_get_prints_tables_and_every_other_form(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=POD)
    await cluster.api.create(PODS, on("minion-1"), subresource="binding")
    await report(cluster, running())
    header, row = lines(await cluster.ok("get", "pods", "-o", "wide"))
    assert " ".join(header) == "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"
    assert " ".join(row[:4] + row[5:]) == "web 1/1 Running 0 10.244.1.2 minion-1 <none> <none>"
    assert (await cluster.ok("get", "po", "-o", "name")) == "pod/web\n"
    assert await cluster.ok("get", "pods", "-o", "jsonpath={.items[0].status.podIP}") == "10.244.1.2"
    assert json.loads(await cluster.ok("get", "pod/web", "-o", "json"))["spec"]["nodeName"] == "minion-1"
    assert "phase: Running" in await cluster.ok("get", "pod", "web", "-o", "yaml")
    assert "web" in await cluster.ok("get", "pods", "-A", "-l", "app=web", "--show-labels")
    assert await cluster.ok("get", "pods", "-o", "name", "--field-selector", "status.phase=Pending") == ""
    assert await cluster.ok("get", "pods", "--chunk-size=1", "-o", "name") == "pod/web\n"


async def test_protobuf_bodies_create_what_json_would(cluster: Cluster) -> None:
    await cluster.ok("create", "namespace", "shop")
    await cluster.ok("create", "configmap", "settings", "--from-literal=colour=green")
    await cluster.ok("create", "deployment", "web", "--image=kubelab/shell", "--replicas=3", "--port=80")
    created = await cluster.api.get(DEPLOYMENTS, "default", "web")
    assert created["spec"]["replicas"] == 3
    assert created["spec"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP"}
    ]
    assert await cluster.ok("get", "cm", "settings", "-o", "jsonpath={.data}") == '{"colour":"green"}'
    assert (await cluster.api.get(NAMESPACES, "", "shop"))["status"]["phase"] == "Active"


async def test_apply_creates_then_merges_then_leaves_alone(cluster: Cluster) -> None:
    assert await cluster.ok("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/shop created\n"
    assert await cluster.ok("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/shop unchanged\n"
    changed = DEPLOYMENT.replace("value: a", "value: b").replace(
        "      - {name: back, image: kubelab/shell}\n", ""
    )
    assert await cluster.ok("apply", "-f", "-", stdin=changed) == "deployment.apps/shop configured\n"
    spec = (await cluster.api.get(DEPLOYMENTS, "default", "shop"))["spec"]["template"]["spec"]
    assert [(each["name"], each["env"][0]["value"]) for each in spec["containers"]] == [("front", "b")]
    assert (
        "+  replicas: 7"
        in (await cluster.kubectl("diff", "-f", "-", stdin=changed.replace("replicas: 2", "replicas: 7"))).out
    )


async def test_scale_label_annotate_and_patch_change_what_is_there(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=DEPLOYMENT)
    assert await cluster.ok("scale", "deployment/shop", "--replicas=5") == "deployment.apps/shop scaled\n"
    await cluster.ok("label", "deploy", "shop", "tier=front")
    await cluster.ok("annotate", "deploy", "shop", "note=kept")
    await cluster.ok("set", "image", "deploy/shop", "front=other:1")
    await cluster.ok(
        "patch", "deploy", "shop", "--type=json", '-p=[{"op":"remove","path":"/metadata/labels"}]'
    )
    found = await cluster.api.get(DEPLOYMENTS, "default", "shop")
    assert found["spec"]["replicas"] == 5
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "other:1"
    assert found["metadata"]["annotations"]["note"] == "kept"
    assert "labels" not in found["metadata"]


async def test_describe_gathers_pod_node_and_events(cluster: Cluster) -> None:
    await cluster.api.create(NODES, node())
    await cluster.ok("create", "-f", "-", stdin=POD)
    event = {
        "metadata": {"name": "web.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web", "apiVersion": "v1"},
        "type": "Warning",
        "reason": "FailedScheduling",
        "message": "0/1 nodes are available",
        "source": {"component": "default-scheduler"},
        "count": 2,
    }
    about = await cluster.api.get(PODS, "default", "web")
    event["involvedObject"] |= {"uid": about["metadata"]["uid"]}
    await cluster.api.create(EVENTS, event)
    described = await cluster.ok("describe", "pod", "web")
    assert "Status:       Pending" in described
    assert "FailedScheduling" in described
    assert "default-scheduler" in described
    assert "pod/web" in await cluster.ok("get", "events")
    assert "FailedScheduling" in await cluster.ok("events", "--for", "pod/web")
    assert "InternalIP:  127.0.0.1" in await cluster.ok("describe", "node", "minion-1")
    assert "Active" in await cluster.ok("describe", "namespace", "default")


async def test_delete_waits_until_the_kubelet_is_done(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=POD)
    await cluster.api.create(PODS, on("minion-1"), subresource="binding")
    await report(cluster, running())
    async with asyncio.TaskGroup() as group:
        deletion = group.create_task(cluster.ok("delete", "pod", "web"))
        start = str(cluster.registry.store.revision)
        async with cluster.api.watch(PODS, resource_version=start) as events:
            marked = (await anext(events)).object
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        assert lines(await cluster.ok("get", "pods"))[1][2] == "Terminating"
        await cluster.api.delete(PODS, "default", "web", grace_period_s=0)
    assert deletion.result() == 'pod "web" deleted from default namespace\n'


async def test_wait_sees_conditions_and_deletions(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=POD)
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(cluster.ok("wait", "--for=condition=Ready", "pod/web", "--timeout=40s"))
        await report(cluster, running())
    assert ready.result() == "pod/web condition met\n"
    await cluster.ok("delete", "pod", "web", "--force", "--grace-period=0")
    assert "not found" in await cluster.refused("get", "pod", "web")


async def test_get_watch_prints_each_change_as_it_comes(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=POD)
    process = await asyncio.create_subprocess_exec(
        str(bundled_kubectl.path()),
        "get",
        "pods",
        "-w",
        env=cluster.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).split()[:3] == [b"NAME", b"READY", b"STATUS"]
        assert (await process.stdout.readline()).split()[:3] == [b"web", b"0/1", b"Pending"]
        await report(cluster, running())
        assert (await process.stdout.readline()).split()[:3] == [b"web", b"1/1", b"Running"]
    finally:
        process.terminate()
        await process.communicate()


async def test_what_is_served_can_be_asked_for_and_explained(cluster: Cluster) -> None:
    resources = lines(await cluster.ok("api-resources"))
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in resources
    assert ["namespaces", "ns", "v1", "false", "Namespace"] in resources
    explained = await cluster.ok("explain", "pod.spec.containers.image")
    assert "FIELD: image <string>" in explained
    assert "Container image name." in explained
    assert "Server Version: v1.37" in await cluster.ok("version")
    assert await cluster.ok("get", "--raw", "/readyz") == "ok"
    assert "deployment.apps/shop" in await cluster.ok(
        "create", "-f", "-", "--dry-run=server", stdin=DEPLOYMENT
    )
    assert lines(await cluster.ok("get", "all"))[1][:3] == ["service/kubernetes", "ClusterIP", "10.96.0.1"]


MISTAKES = {
    "an unknown field": (
        POD.replace("image:", "imag:"),
        (
            'Error from server (BadRequest): error when creating "STDIN": Pod in version "v1" cannot '
            'be handled as a Pod: strict decoding error: unknown field "spec.containers[0].imag"'
        ),
    ),
    "a value of another type": (
        POD.replace("containerPort: 80", 'containerPort: "80"'),
        (
            'Error from server (BadRequest): error when creating "STDIN": Pod in version "v1" cannot '
            "be handled as a Pod: json: cannot unmarshal string into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32"
        ),
    ),
    "a missing field": (
        POD.replace("    image: kubelab/shell\n", ""),
        'The Pod "web" is invalid: spec.containers[0].image: Required value',
    ),
    "an unknown kind": (
        POD.replace("kind: Pod", "kind: Pot"),
        (
            'error: resource mapping not found for name: "web" namespace: "" from "STDIN": no matches for '
            'kind "Pot" in version "v1"\nensure CRDs are installed first'
        ),
    ),
    "a selector that misses its own pods": (
        DEPLOYMENT.replace("labels: {app: shop}", "labels: {app: other}"),
        (
            'The Deployment "shop" is invalid: spec.template.metadata.labels: Invalid value: '
            '{"app":"other"}: `selector` does not match template `labels`'
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_gets_one_clear_sentence(cluster: Cluster, mistake: str) -> None:
    manifest, sentence = MISTAKES[mistake]
    assert await cluster.refused("apply", "-f", "-", stdin=manifest) == sentence


async def test_what_is_not_there_is_said_so(cluster: Cluster) -> None:
    sentence = await cluster.refused("get", "pod", "nope")
    assert sentence == 'Error from server (NotFound): pods "nope" not found'


async def test_validation_can_warn_instead(cluster: Cluster) -> None:
    manifest = POD.replace("  name: web", "  nam: x\n  name: web")
    output = await cluster.kubectl("create", "--validate=warn", "-f", "-", stdin=manifest)
    assert (output.code, output.out) == (0, "pod/web created\n")
    assert 'Warning: unknown field "metadata.nam"' in output.err


async def test_a_debugger_joins_a_pod_that_is_there(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=POD)
    assert "Defaulting debug container name to debugger-" in await cluster.ok(
        "debug", "web", "--image=kubelab/shell"
    )
    images = "jsonpath={.spec.ephemeralContainers[*].image}"
    assert await cluster.ok("get", "pod", "web", "-o", images) == "kubelab/shell"


async def test_what_the_server_has_not_is_said(cluster: Cluster) -> None:
    refusal = await cluster.refused("get", "persistentvolumes")
    assert "the server doesn't have a resource type" in refusal
