"""Events, of both groups: patched, replaced as they were sent, and deleted as a collection.

Source: kubernetes, test/e2e/instrumentation/{core_events,events}.go.
"""

import copy
from typing import Any

import pytest
from spec_client import STRATEGIC, Client
from spec_objects import SUBJECTS, Subject

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

OF_CORE, OF_GROUP = (each for each in SUBJECTS if each.plural == "events")
SERIES = {
    "v1": {"count": 100, "lastObservedTime": "2017-09-19T13:49:16.000000Z"},
    "events.k8s.io/v1": {"count": 2, "lastObservedTime": "2014-10-10T04:11:11.000000Z"},
}
TEXTS = {"v1": "message", "events.k8s.io/v1": "note"}


def without_owners(event: Object) -> Object:
    kept = {
        key: value
        for key, value in event["metadata"].items()
        if key not in {"resourceVersion", "managedFields"}
    }
    return event | {"metadata": kept}


def comparable(value: Any) -> Any:
    """Leave out what Go takes for the same as nothing."""
    if not isinstance(value, dict):
        return value
    known = {key: comparable(each) for key, each in value.items()}
    return {key: each for key, each in known.items() if each not in (None, "", {}, [])}


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize("subject", [OF_CORE, OF_GROUP], ids=["core", "events.k8s.io"])
async def test_an_event_is_patched_and_replaced_by_one_with_a_series(
    client: Client, subject: Subject, form: str
) -> None:
    """Events should manage the lifecycle of an event; Events API should ensure that an event can be fetched,
    patched, deleted, and listed."""
    typed, path, text = client.speaking(form), subject.path(name="event-test"), TEXTS[subject.group_version]
    await typed.create(subject.path(), subject.made("event-test", {"testevent-constant": "true"}))
    await typed.patch(path, {text: "This is a test event - patched"}, STRATEGIC)
    event = await typed.get(path)
    assert event[text] == "This is a test event - patched"
    wanted = without_owners(copy.deepcopy(event)) | {"series": SERIES[subject.group_version]}
    await typed.update(path, wanted)
    assert comparable(without_owners(await typed.get(path))) == comparable(wanted)
    await typed.delete(path)
    assert await typed.items(subject.path(namespace=""), "testevent-constant=true") == []


@pytest.mark.parametrize("subject", [OF_CORE, OF_GROUP], ids=["core", "events.k8s.io"])
async def test_events_are_deleted_as_a_collection(client: Client, subject: Subject) -> None:
    """Events should delete a collection of events; Events API should delete a collection of events."""
    for number in (1, 2, 3):
        await client.create(subject.path(), subject.made(f"test-event-{number}", {"testevent-set": "true"}))
    assert len(await client.items(subject.path(), "testevent-set=true")) == 3
    await client.delete(subject.path(), selector="testevent-set=true")
    assert await client.items(subject.path(), "testevent-set=true") == []


async def test_an_event_of_one_group_is_one_of_the_other(client: Client) -> None:
    await client.create(OF_GROUP.path(), OF_GROUP.made("both", {}))
    assert (await client.get(OF_CORE.path(name="both")))["message"] == "This is a test event"
