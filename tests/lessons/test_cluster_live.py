"""The cluster's checks on a real lab: a master, two minions, pods that are processes."""

import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from trial import Trial, found_on

from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.lab.shape import Shape
from kubelab.cluster.objects import CONFIGMAPS, DEPLOYMENTS, NODES, PODS, Object
from kubelab.lessons import answering
from kubelab.lessons.checks.kinds import Objects, Served
from kubelab.lessons.observation import Unseen
from kubelab.lessons.view import Verdict

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK
SERVE = ["python3", "-m", "http.server", "8080"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    directory = LabDirectory(tmp_path_factory.mktemp("lab") / "lab")
    async with start_lab(LabConfig(directory=directory)) as lab:
        await lab.ready()
        yield lab


def pod_spec(node: str, *command: str, **spec: Any) -> Object:
    container = {"name": "c", "image": "kubelab/shell", "command": list(command)}
    return {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]} | spec


async def create_pod(lab: Lab, name: str, node: str, *command: str, **spec: Any) -> None:
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(node, *command, **spec)}
    await lab.api.create(PODS, made)


async def found(lab: Lab, yaml: str, verdict: Verdict = PASSED) -> Any:
    return await found_on(lab, yaml, verdict, "minion-1")


async def test_a_pod_is_reached_from_machines_and_from_pods_and_not_when_it_is_gone(lab: Lab) -> None:
    await create_pod(lab, "web", "minion-1", *SERVE)
    await create_pod(lab, "client", "minion-2", "sleep", "999")
    await found(lab, "{pod: client, state: running}")
    await found(lab, "{reach: {pod: web}, by: http, port: 8080, status: 200, from: {pod: client}}")
    await found(lab, "{reach: {pod: web}, by: tcp, port: 8080, open: true, from: master-1}")
    await found(lab, "{reach: {pod: web}, by: tcp, port: 81, open: false, from: {pod: client}}")
    await found(lab, "{reach: {node: minion-1}, from: {pod: client}}")
    await found(lab, "{reach: {pod: client}, from: {pod: web}}")
    await found(lab, "{requests: 5, to: {pod: web}, port: 8080, backends: 1, from: {pod: client}}")
    address = (await lab.api.get(PODS, "default", "web"))["status"]["podIP"]
    await lab.api.delete(PODS, "default", "web")
    await found(lab, f"{{reach: {address}, answers: false, from: {{pod: client}}}}")


async def test_containers_end_and_are_restarted(lab: Lab) -> None:
    await create_pod(lab, "mortal", "minion-1", "sleep", "999")
    await found(lab, "{pod: mortal, state: running, restarts: {eq: 0}, ready: {eq: 1}, qos: BestEffort}")
    trial = Trial(lab, "{object: pod, name: mortal, field: '{..restartCount}', increased: 1}", "minion-1")
    async with trial.observer.watching(trial.check.needs()):
        await trial.tells("at first: 0; now: 0")
        running = await found(lab, "{pod: mortal, processes: {eq: 2}}")
        assert running.observed.en == "processes on `minion-1`: 2"
        os.kill(pids_of(lab, "mortal")[-1], signal.SIGKILL)
        grown = await trial.becomes(PASSED)
    assert grown.observed.en == "at first: 0; now: 1"
    await found(lab, "{pod: mortal, restarts: {ge: 1}, last: {reason: Error, exit-code: 137}}")
    await create_pod(lab, "brief", "minion-2", "true", restartPolicy="Never")
    await found(lab, "{pod: brief, phase: Succeeded, reason: Completed, exit-code: 0}")
    await found(lab, "{object: pod, name: brief, events: {reason: Started}}")


def pids_of(lab: Lab, pod: str) -> tuple[int, ...]:
    return next(view.host_pids for view in lab.snapshot().pods if view.name == pod)


async def test_an_owner_is_who_controls_and_what_it_owns_is_found_by_labels(lab: Lab) -> None:
    spec = pod_spec("minion-2", "sleep", "999")
    labels = {"app": "owned"}
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "owned", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    await lab.api.create(DEPLOYMENTS, made)
    await found(lab, "{object: replicaset, labels: app=owned, owner: {kind: Deployment, name: owned}}")
    await found(lab, "{object: pod, labels: app=owned, owner: {kind: ReplicaSet}}")
    await found(lab, "{object-count: pods, labels: 'app in (owned)', fields: status.phase=Running, eq: 2}")
    await found(
        lab, "{object: deployment, name: owned, condition: Available, reason: MinimumReplicasAvailable}"
    )
    finding = await found(lab, "{object: deployment, name: owned, orphan: true}")
    assert finding.observed.en == "it has no owner"


async def test_kinds_are_asked_for_by_discovery(lab: Lab) -> None:
    served = await answering.ask(Objects("nodes", ""), lab)
    assert isinstance(served, Served)
    assert (served.resource, len(served.state.objects)) == (NODES, 2)
    assert isinstance(await answering.ask(Objects("widgets", "example.com"), lab), Unseen)
    finding = await found(lab, "{object-count: volumeattachments, ge: 0}", CANNOT)
    assert finding.observed.en == "this cluster's API serves no volumeattachments.storage.k8s.io"
    assert finding.observed.es.endswith("no sirve volumeattachments.storage.k8s.io")


async def test_a_node_is_ready_is_cordoned_and_its_heart_beats(lab: Lab) -> None:
    await found(
        lab,
        "{node: minion-2, status: Ready, cordoned: false, taints-not: {key: node.kubernetes.io/not-ready}}",
    )
    await lab.api.patch(NODES, "", "minion-2", {"spec": {"unschedulable": True}})
    await found(lab, "{node: minion-2, cordoned: true}")
    await lab.api.patch(NODES, "", "minion-2", {"spec": {"unschedulable": None}})
    await found(lab, "{node: minion-2, heartbeat-age: {ge: 0}}")


async def test_writes_make_revisions_and_stay(lab: Lab) -> None:
    state = lab.store()
    assert state is not None
    assert (state.members, state.elects, state.quorum) == (("master-1",), True, True)
    kept = Trial(lab, "{preserved: configmaps, labels: lesson=live}", "minion-1")
    grown = Trial(lab, "{store: revision, increased: 2}", "minion-1")
    async with grown.observer.watching(grown.check.needs()):
        await grown.tells("at first")
        for name in ("one", "two"):
            await lab.api.create(CONFIGMAPS, configmap(name))
        await grown.becomes(PASSED)
    async with kept.observer.watching(kept.check.needs()):  # Only now: all is kept that it sees first.
        await kept.becomes(PASSED)
        await lab.api.delete(CONFIGMAPS, "default", "two")
        lost = await kept.becomes(NOT_YET)
    assert "missing: two" in lost.observed.en
    await found(lab, "{store: leader, eq: master-1}")
    await found(lab, "{store: members, eq: 1}")


def configmap(name: str) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": {"lesson": "live"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}


async def test_before_the_cluster_is_up_there_is_no_store_to_look_into(tmp_path: Any) -> None:
    lab = Lab(LabConfig(directory=LabDirectory(tmp_path)), Shape(1, "raft"), None, None)  # type: ignore[arg-type]
    assert lab.store() is None
    assert isinstance(await answering.ask(Objects("nodes", ""), lab), Unseen)
