from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import EVENTS, NODES, PODS, Object

POD = {"metadata": {"name": "web", "namespace": "default", "uid": "u"}}


async def events(api: LocalApi) -> list[Object]:
    return list((await api.list(EVENTS)).items)


async def test_the_same_event_again_counts_up(api: LocalApi, clock: VirtualClock) -> None:
    recorder = EventRecorder(api, clock, "kubelet", "minion-1")
    async with background(recorder.run()):
        for _ in range(3):
            recorder.record(PODS, POD, "Warning", "BackOff", "again", field_path="spec.containers{web}")
            await clock.advance(10)
    (event,) = await events(api)
    assert event["count"] == 3
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert event["lastTimestamp"] == "2026-01-01T00:00:20Z"
    assert event["involvedObject"]["fieldPath"] == "spec.containers{web}"
    assert event["source"] == {"component": "kubelet", "host": "minion-1"}


async def test_different_events_of_one_moment_are_all_kept(api: LocalApi, clock: VirtualClock) -> None:
    recorder = EventRecorder(api, clock, "kubelet")
    async with background(recorder.run()):
        for number in range(20):
            recorder.record(PODS, POD, "Normal", "Step", f"step {number}")
        await clock.advance(0)
    assert len(await events(api)) == 20


async def test_an_event_that_was_deleted_begins_anew(api: LocalApi, clock: VirtualClock) -> None:
    recorder = EventRecorder(api, clock, "kubelet")
    async with background(recorder.run()):
        recorder.record(PODS, POD, "Normal", "Step", "one")
        await clock.advance(0)
        (first,) = await events(api)
        await api.delete(EVENTS, "default", first["metadata"]["name"])
        recorder.record(PODS, POD, "Normal", "Step", "one")
        await clock.advance(0)
    assert [event["count"] for event in await events(api)] == [1]


async def test_events_of_cluster_scoped_objects_are_in_the_default_namespace(
    api: LocalApi, clock: VirtualClock
) -> None:
    recorder = EventRecorder(api, clock, "kubelet")
    async with background(recorder.run()):
        recorder.record(NODES, {"metadata": {"name": "n", "uid": "n"}}, "Normal", "Starting", "up")
        await clock.advance(0)
    assert [event["metadata"]["namespace"] for event in await events(api)] == ["default"]
