"""The kubelet with the real runtime on a real machine: what the API says is what the kernel does."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.journal import Journal, undo
from kubelab.cluster.machine.namespaced import MachineSpec, start_cgroups, start_machine
from kubelab.cluster.machine.network import start_network
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.kubelet import run_kubelet
from kubelab.cluster.objects import CONFIGMAPS, PODS, Object
from kubelab.cluster.runtime.pods import PodRuntime, start_pods

pytestmark = pytest.mark.root
MakePod = Callable[..., Object]

IMAGE = "kubelab/shell"


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def real_runtime(
    api: LocalApi, clock: SystemClock, tmp_path: Path, listening: socket.socket
) -> AsyncIterator[PodRuntime]:
    """A machine with a runtime, and a kubelet on it."""
    journal_path = tmp_path / "journal"
    with Journal.open(journal_path) as journal:
        async with contextlib.AsyncExitStack() as stack:
            network = await stack.enter_async_context(start_network(journal))
            cgroups = await stack.enter_async_context(start_cgroups(journal))
            pods = network.plan.pod_network(0)
            spec = MachineSpec("minion-1", "minion", network.plan.machine("minion", 0), pods=pods)
            machine = await stack.enter_async_context(start_machine(spec, network, cgroups, journal))
            images = ImageStore.open(tmp_path / "images")
            runtime = await stack.enter_async_context(start_pods(machine.shim, pods, images))
            config = KubeletConfig("minion-1", machine.address, pods, tmp_path / "logs", 2, 2 << 30)
            kubelet = run_kubelet(config, api, runtime, clock, listening.dup(), None)
            await stack.enter_async_context(background(kubelet))
            yield runtime
    undo(journal_path)


async def wait_for(api: LocalApi, name: str, holds: Callable[[Object], bool]) -> Object:
    """Follow the pod until *holds* is true of it."""
    listed = await api.list(PODS, "default", field_selector=f"metadata.name={name}")
    for pod in listed.items:
        if holds(pod):
            return pod
    async with api.watch(PODS, "default", resource_version=listed.resource_version) as events:
        async for event in events:
            if event.object["metadata"]["name"] == name and holds(event.object):
                return event.object
    raise AssertionError("the watch ended")


def in_phase(phase: str) -> Callable[[Object], bool]:
    return lambda pod: pod["status"].get("phase") == phase


def shell(script: str, **more: object) -> Object:
    return {"name": "web", "image": IMAGE, "command": ["sh", "-c", script]} | more


async def test_a_pod_is_a_process_with_an_address_and_an_end(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod
) -> None:
    script = "trap 'exit 0' TERM; sleep 60 & wait"
    # The signal may come before the trap is there: then it is the first process's, and not delivered.
    await api.create(PODS, make_pod(containers=[shell(script)], terminationGracePeriodSeconds=1))
    pod = await wait_for(api, "web", in_phase("Running"))
    pause, main = real_runtime.pids(pod["metadata"]["uid"])
    assert Path(f"/proc/{pause}").exists()
    while b"trap" not in Path(f"/proc/{main}/cmdline").read_bytes():
        pass  # It runs from within execve(2) on, and has its arguments only at its end.
    assert pod["status"]["podIP"].startswith("10.")
    await api.delete(PODS, "default", "web")
    await wait_gone(api, "web")
    assert not Path(f"/proc/{pause}").exists()
    assert real_runtime.pids(pod["metadata"]["uid"]) == ()


async def wait_gone(api: LocalApi, name: str) -> None:
    listed = await api.list(PODS, "default", field_selector=f"metadata.name={name}")
    if not listed.items:
        return
    async with api.watch(PODS, "default", resource_version=listed.resource_version) as events:
        async for event in events:
            if event.type == "DELETED" and event.object["metadata"]["name"] == name:
                return


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "Succeeded"), (7, "Failed")])
async def test_the_exit_code_is_the_process_s_own(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod, exit_code: int, phase: str
) -> None:
    await api.create(PODS, make_pod(containers=[shell(f"exit {exit_code}")], restartPolicy="Never"))
    pod = await wait_for(api, "web", in_phase(phase))
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == exit_code


async def test_a_process_over_its_memory_limit_is_oom_killed(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod
) -> None:
    resources = {"limits": {"memory": "16Mi"}}
    hungry = shell("exec python3 -c 'bytearray(64 << 20)'", resources=resources)
    await api.create(PODS, make_pod(containers=[hungry], restartPolicy="Never"))
    pod = await wait_for(api, "web", in_phase("Failed"))
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


async def test_environment_and_output_arrive(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod, listening: socket.socket
) -> None:
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    await api.create(PODS, make_pod(containers=[shell("echo $IP; hostname", env=env)], restartPolicy="Never"))
    pod = await wait_for(api, "web", in_phase("Succeeded"))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/containerLogs/default/web/web"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert await answer.text() == f"{pod['status']['podIP']}\nweb\n"


async def test_a_command_that_is_not_there_ends_as_start_error(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod
) -> None:
    container = {"name": "web", "image": IMAGE, "command": ["/no/such/command"]}
    await api.create(PODS, make_pod(containers=[container], restartPolicy="Never"))
    pod = await wait_for(api, "web", in_phase("Failed"))
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("StartError", 128)


async def test_an_image_that_does_not_exist_cannot_be_pulled(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod
) -> None:
    def refused(pod: Object) -> bool:
        statuses = pod["status"].get("containerStatuses") or [{}]
        return statuses[0].get("state", {}).get("waiting", {}).get("reason") == "ErrImagePull"

    await api.create(PODS, make_pod(containers=[{"name": "web", "image": "nowhere.invalid/x:1"}]))
    assert await wait_for(api, "web", refused)


METADATA = {"name": "settings", "namespace": "default"}


def configmap(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": METADATA, "data": data}


async def test_a_pod_runs_as_whom_it_says_with_the_volumes_that_it_names(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod, listening: socket.socket
) -> None:
    await api.create(CONFIGMAPS, configmap(color="blue"))
    mounts = [
        {"name": "conf", "mountPath": "/etc/color", "subPath": "color"},
        {"name": "all", "mountPath": "/all"},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    fields = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
    volumes = [
        {"name": "conf", "configMap": {"name": "settings"}},
        {"name": "all", "projected": {"sources": [{"downwardAPI": {"items": fields}}]}},
        {"name": "scratch", "emptyDir": {"medium": "Memory"}},
    ]
    script = "id -u; id -G; cat /etc/color /all/name; echo; touch /scratch/x /y; grep far /etc/hosts"
    web = shell(script, volumeMounts=mounts, securityContext={"readOnlyRootFilesystem": True})
    made = make_pod(
        containers=[web],
        volumes=volumes,
        restartPolicy="Never",
        securityContext={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000},
        hostAliases=[{"ip": "10.1.1.1", "hostnames": ["far"]}],
    )
    await api.create(PODS, made)
    pod = await wait_for(api, "web", in_phase("Succeeded"))
    assert pod["status"]["phase"] == "Succeeded"
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/containerLogs/default/web/web"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        told = (await answer.text()).splitlines()
    assert told[:3] == ["1000", "1000 2000", "blueweb"]
    assert any("Read-only file system" in line for line in told)
    assert "10.1.1.1\tfar" in told


async def test_a_pod_that_must_not_run_as_root_is_not_started_as_root(
    api: LocalApi, real_runtime: PodRuntime, make_pod: MakePod
) -> None:
    def refused(pod: Object) -> bool:
        statuses = pod["status"].get("containerStatuses") or [{}]
        waiting = statuses[0].get("state", {}).get("waiting", {})
        return "runAsNonRoot and image will run as root" in waiting.get("message", "")

    context = {"runAsNonRoot": True}
    await api.create(PODS, make_pod(containers=[shell("true")], securityContext=context))
    pod = await wait_for(api, "web", refused)
    reason = pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
    assert reason == "CreateContainerConfigError"
