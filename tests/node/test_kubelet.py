"""The kubelet against the real API in process, on virtual time, with a runtime of plain values."""

import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from memory_runtime import MemoryRuntime

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.node.kubelet import Kubelet
from kubelab.cluster.objects import CONFIGMAPS, EVENTS, LEASES, NODES, PODS, Object

MakePod = Callable[..., Object]


async def status_of(api: LocalApi, name: str = "web") -> Object:
    status: Object = (await api.get(PODS, "default", name))["status"]
    return status


async def first_container(api: LocalApi, name: str = "web") -> Object:
    container: Object = (await status_of(api, name))["containerStatuses"][0]
    return container


def conditions(obj: Object) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in obj["status"]["conditions"]}


async def reasons(api: LocalApi, kind: str = "Pod") -> list[tuple[str, int]]:
    events = [e for e in (await api.list(EVENTS)).items if e["involvedObject"]["kind"] == kind]
    events.sort(key=lambda event: event["metadata"]["resourceVersion"])
    return [(event["reason"], event["count"]) for event in events]


async def is_gone(api: LocalApi, name: str = "web") -> bool:
    try:
        await api.get(PODS, "default", name)
    except ApiError as refusal:
        return refusal.is_not_found
    return False


async def test_a_node_registers_itself_with_what_its_machine_has(
    api: LocalApi, kubelet: Kubelet, config: KubeletConfig
) -> None:
    node = await api.get(NODES, "", "minion-1")
    assert node["spec"]["podCIDR"] == "10.244.1.0/24"
    assert node["status"]["capacity"] == {"cpu": "2", "memory": "2097152Ki", "pods": "110"}
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "minion-1"
    assert {"type": "InternalIP", "address": "192.168.7.2"} in node["status"]["addresses"]
    assert conditions(node)["Ready"] == "True"


async def test_the_lease_is_renewed_every_ten_seconds(
    api: LocalApi, kubelet: Kubelet, clock: VirtualClock
) -> None:
    seen = set()
    for _ in range(3):
        seen.add((await api.get(LEASES, "kube-node-lease", "minion-1"))["spec"]["renewTime"])
        await clock.advance(10)
    assert len(seen) == 3


async def test_a_bound_pod_runs_and_says_so(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    await api.create(PODS, make_pod())
    await clock.advance(0)
    pod = await api.get(PODS, "default", "web")
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"] == "10.244.1.2"
    assert pod["status"]["hostIP"] == "192.168.7.2"
    assert set(conditions(pod).values()) == {"True"}
    assert pod["status"]["containerStatuses"][0]["containerID"].startswith("kubelab://c")
    assert runtime.calls == ["run sandbox web", "pull kubelab/shell:1", "start web"]
    assert await reasons(api) == [("Pulling", 1), ("Pulled", 1), ("Created", 1), ("Started", 1)]


async def test_the_status_tells_which_generation_it_is_about(
    api: LocalApi, kubelet: Kubelet, clock: VirtualClock, make_pod: MakePod
) -> None:
    """As upstream's conformance specs of pods' generations (test/e2e/node/pods.go, KEP-5067) have it."""
    await api.create(PODS, make_pod())
    for generation in (1, 2, 3):
        await clock.advance(0)
        status = await status_of(api)
        told = {each["type"]: each.get("observedGeneration") for each in status["conditions"]}
        assert (status["observedGeneration"], set(told.values())) == (generation, {generation})
        spec = {"activeDeadlineSeconds": 5000 - generation}
        await api.patch(PODS, "default", "web", {"spec": spec})


async def test_init_containers_run_one_after_the_other_before_the_rest(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    inits = [{"name": name, "image": "kubelab/shell:1"} for name in ("one", "two")]
    await api.create(PODS, make_pod(initContainers=inits))
    await clock.advance(0)
    assert [spec.name for spec in runtime.running.values()] == ["one"]
    assert (await first_container(api))["state"] == {"waiting": {"reason": "PodInitializing"}}
    _, second = (await status_of(api))["initContainerStatuses"]
    assert second["state"] == {"waiting": {"reason": "PodInitializing"}}
    runtime.end("one", 0)
    await clock.advance(0)
    assert [spec.name for spec in runtime.running.values()] == ["two"]
    runtime.end("two", 0)
    await clock.advance(0)
    assert [spec.name for spec in runtime.running.values()] == ["web"]
    assert (await status_of(api))["phase"] == "Running"


async def test_a_crash_loop_backs_off_as_upstream(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    """The first restart is immediate; then 10 s, 20 s, 40 s ... after each end."""
    await api.create(PODS, make_pod())
    await clock.advance(0)
    runtime.end("web", 1)
    await clock.advance(0)
    assert (await first_container(api))["restartCount"] == 1
    for delay_s in (10, 20, 40, 80, 160, 300, 300):
        runtime.end("web", 1)
        await clock.advance(delay_s - 1)
        container = await first_container(api)
        assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert container["lastState"]["terminated"]["exitCode"] == 1
        await clock.advance(1)
        assert "running" in (await first_container(api))["state"]
    assert (await first_container(api))["restartCount"] == 8
    assert ("BackOff", 7) in await reasons(api)


async def test_a_name_that_names_no_image_is_not_pulled(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    await api.create(PODS, make_pod(containers=[{"name": "web", "image": "No Image"}]))
    await clock.advance(0)
    waiting = (await first_container(api))["state"]["waiting"]
    assert waiting["reason"] == "InvalidImageName"
    assert waiting["message"].endswith('couldn\'t parse image name "No Image": invalid reference format')
    assert await reasons(api) == [("InspectFailed", 1), ("Failed", 1)]
    assert not any(call.startswith("pull") for call in runtime.calls)


async def test_an_image_that_cannot_be_had_is_tried_again_with_back_off(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    runtime.missing_images.add("kubelab/shell:1")
    await api.create(PODS, make_pod())
    await clock.advance(0)
    waiting = (await first_container(api))["state"]["waiting"]
    assert waiting == {"reason": "ErrImagePull", "message": "kubelab/shell:1: not found"}
    await clock.advance(2)
    assert (await first_container(api))["state"]["waiting"]["reason"] == "ImagePullBackOff"
    await clock.advance(8)
    assert runtime.calls.count("pull kubelab/shell:1") == 2
    runtime.missing_images.clear()
    await clock.advance(19)
    assert (await status_of(api))["phase"] == "Pending"
    await clock.advance(1)
    assert (await status_of(api))["phase"] == "Running"


async def test_a_command_that_does_not_exist_ends_as_start_error(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    runtime.bad_commands.add("nosuch")
    container = {"name": "web", "image": "i:1", "command": ["nosuch"]}
    await api.create(PODS, make_pod(containers=[container], restartPolicy="Never"))
    await clock.advance(0)
    status = await status_of(api)
    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], terminated["reason"], terminated["exitCode"]) == ("Failed", "StartError", 128)


async def test_a_missing_configmap_is_waited_for(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    source = {"configMapKeyRef": {"name": "settings", "key": "color"}}
    container = {"name": "web", "image": "i:1", "env": [{"name": "COLOR", "valueFrom": source}]}
    await api.create(PODS, make_pod(containers=[container]))
    await clock.advance(0)
    waiting = (await first_container(api))["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "settings" not found'}
    metadata = {"name": "settings", "namespace": "default"}
    configmap: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    await api.create(CONFIGMAPS, configmap | {"data": {"color": "blue"}})
    await clock.advance(10)
    assert [spec.env["COLOR"] for spec in runtime.running.values()] == ["blue"]


async def test_deletion_stops_with_grace_and_then_removes_the_object(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    runtime.ignores_sigterm.add("web")
    await api.create(PODS, make_pod())
    await clock.advance(0)
    await api.delete(PODS, "default", "web")
    await clock.advance(29)
    assert runtime.calls[-1] == "stop web 30"
    assert not await is_gone(api)
    await clock.advance(1)
    assert runtime.calls[-1] == "remove sandbox web"
    assert await is_gone(api)


async def test_a_forced_deletion_overtakes_a_graceful_one(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    runtime.ignores_sigterm.add("web")
    await api.create(PODS, make_pod())
    await clock.advance(0)
    await api.delete(PODS, "default", "web")
    await clock.advance(1)
    await api.delete(PODS, "default", "web", grace_period_s=0)
    await clock.advance(0)
    assert runtime.calls[-2:] == ["stop web 0", "remove sandbox web"]
    assert kubelet.pods() == []


async def test_a_pod_of_the_same_name_gets_a_life_of_its_own(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    await api.create(PODS, make_pod())
    await clock.advance(0)
    await api.delete(PODS, "default", "web", grace_period_s=0)
    await api.create(PODS, make_pod())
    await clock.advance(0)
    assert (await status_of(api))["phase"] == "Running"
    assert len(runtime.sandboxes) == len(runtime.running) == 1


async def test_an_ended_container_still_shows_its_image_and_pulls_anew_for_the_next_start(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    container = {"name": "web", "image": "i:1", "imagePullPolicy": "Always"}
    await api.create(PODS, make_pod(containers=[container], restartPolicy="OnFailure"))
    for exit_code in (1, 0):
        await clock.advance(0)
        runtime.end("web", exit_code)
    await clock.advance(0)
    ended = await first_container(api)
    assert (ended["state"]["terminated"]["reason"], ended["imageID"]) == ("Completed", "sha256:i:1")
    assert runtime.calls.count("pull i:1") == 2


async def test_a_volume_that_cannot_be_had_is_named(
    api: LocalApi, kubelet: Kubelet, runtime: MemoryRuntime, clock: VirtualClock, make_pod: MakePod
) -> None:
    volume = {"name": "conf", "configMap": {"name": "settings"}}
    mounts = [{"name": "conf", "mountPath": "/etc/web"}]
    container = {"name": "web", "image": "i:1", "volumeMounts": mounts}
    await api.create(PODS, make_pod(containers=[container], volumes=[volume]))
    await clock.advance(1)
    messages = [event["message"] for event in (await api.list(EVENTS)).items if event["type"] == "Warning"]
    assert messages == ['MountVolume.SetUp failed for volume "conf" : configmap "settings" not found']
    assert runtime.calls == []


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_a_pod_that_never_restarts_ends_and_gives_its_sandbox_back(
    api: LocalApi,
    kubelet: Kubelet,
    runtime: MemoryRuntime,
    clock: VirtualClock,
    make_pod: MakePod,
    exit_code: int,
    phase: str,
) -> None:
    await api.create(PODS, make_pod(restartPolicy="Never"))
    await clock.advance(0)
    runtime.end("web", exit_code)
    await clock.advance(0)
    assert (await status_of(api))["phase"] == phase
    assert runtime.sandboxes == {}


async def test_a_node_taken_for_lost_corrects_itself_and_its_pods(
    api: LocalApi, kubelet: Kubelet, clock: VirtualClock, make_pod: MakePod
) -> None:
    """The node lifecycle controller marked both while the cable was out; they are fine, and say so."""
    await api.create(PODS, make_pod())
    await clock.advance(0)
    for resource, key in ((NODES, ("", "minion-1")), (PODS, ("default", "web"))):
        obj = await api.get(resource, *key)
        lost = [
            c | ({"status": "Unknown"} if c["type"] == "Ready" else {}) for c in obj["status"]["conditions"]
        ]
        await api.update(
            resource, obj | {"status": obj["status"] | {"conditions": lost}}, subresource="status"
        )
        await clock.advance(0)
        assert conditions(await api.get(resource, *key))["Ready"] == "True"


async def test_a_restarted_kubelet_counts_its_containers_as_restarted(
    api: LocalApi,
    config: KubeletConfig,
    runtime: MemoryRuntime,
    clock: VirtualClock,
    make_pod: MakePod,
    listening: socket.socket,
) -> None:
    for restarts in range(2):
        async with background(Kubelet(config, api, runtime, clock).run(listening.dup(), None)):
            await clock.advance(0)
            if not restarts:
                await api.create(PODS, make_pod())
                await clock.advance(0)
            container = await first_container(api)
            assert (container["restartCount"], "running" in container["state"]) == (restarts, True)


async def test_pods_outlive_an_unreachable_api(
    config: KubeletConfig,
    api: LocalApi,
    runtime: MemoryRuntime,
    clock: VirtualClock,
    make_pod: MakePod,
    listening: socket.socket,
) -> None:
    """A container that dies meanwhile is restarted; the status catches up afterwards."""
    cable = Cable(api)
    async with background(Kubelet(config, cable, runtime, clock).run(listening, None)):
        await api.create(PODS, make_pod())
        await clock.advance(0)
        cable.out = True
        runtime.end("web", 1)
        await clock.advance(60)
        assert [spec.name for spec in runtime.running.values()] == ["web"]
        assert (await first_container(api))["restartCount"] == 0
        cable.out = False
        await clock.advance(6)
        assert (await first_container(api))["restartCount"] == 1


class Cable:
    """The way to the API: pull it out and every request ends in ConnectionError."""

    def __init__(self, api: LocalApi) -> None:
        self._api = api
        self.out = False

    def __getattr__(self, name: str) -> Any:
        if self.out:
            raise ConnectionError("the cable is out")
        return getattr(self._api, name)


async def test_logs_are_served_and_followed(
    api: LocalApi,
    kubelet: Kubelet,
    runtime: MemoryRuntime,
    clock: VirtualClock,
    make_pod: MakePod,
    listening: socket.socket,
) -> None:
    await api.create(PODS, make_pod())
    await clock.advance(0)
    (spec,) = runtime.running.values()
    spec.log_path.parent.mkdir(parents=True)
    spec.log_path.write_text("2026-01-01T00:00:00.000000001Z stdout F one\n")
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/containerLogs/default/web/web"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert await answer.text() == "one\n"
        async with session.get(url, params={"previous": "true"}) as answer:
            assert answer.status == 400
            assert await answer.text() == 'previous terminated container "web" in pod "web" not found'
        async with session.get(url, params={"follow": "true"}) as answer:
            assert await answer.content.readline() == b"one\n"
            with spec.log_path.open("a") as log:
                log.write("2026-01-01T00:00:01.000000001Z stdout F two\n")
            assert await answer.content.readline() == b"two\n"
            runtime.end("web", 0)
            assert await answer.content.read() == b""
