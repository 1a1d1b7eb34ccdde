"""Informers on the real API server in process: whatever happens to the connection, the copy comes true."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client.api import Api, WatchEvent
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.objects import CONFIGMAPS, Key, Object
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.requests import Compaction
from kubelab.cluster.store.service import CompactedError

Change = tuple[Object | None, Object | None]


class Cable:
    """An `Api` by way of which another one is reached. Cutting it ends the watches, as a dead peer does."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._cut = asyncio.Event()
        self.beginnings = 0  # Lists, and watches that begin with what is there.
        self.refused = 0

    def cut(self) -> None:
        self._cut.set()

    def heal(self) -> None:
        self._cut.clear()

    async def list(self, *args: Any, **options: Any) -> Any:
        self._check()
        self.beginnings += 1
        return await self._api.list(*args, **options)

    @asynccontextmanager
    async def watch(self, *args: Any, **options: Any) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        self._check()
        self.beginnings += bool(options.get("initial_events"))
        async with self._api.watch(*args, **options) as events:
            yield self._until_cut(events)

    async def _until_cut(self, events: AsyncIterator[WatchEvent]) -> AsyncIterator[WatchEvent]:
        while True:
            event, cut = asyncio.ensure_future(_next(events)), asyncio.ensure_future(self._cut.wait())
            try:
                await asyncio.wait((event, cut), return_when=asyncio.FIRST_COMPLETED)
                self._check()
                yield await event
            finally:
                event.cancel()
                cut.cancel()

    def _check(self) -> None:
        if self._cut.is_set():
            self.refused += 1
            raise ConnectionError("the cable is cut")


async def _next(events: AsyncIterator[WatchEvent]) -> WatchEvent:
    return await anext(events)


class World:
    """A store, an API server, a cable to it and an informer of ConfigMaps behind the cable."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore()
        self.api = LocalApi(Registry(self.store, self.clock))
        self.cable = Cable(self.api)
        self.changes: list[tuple[str | None, str | None]] = []

    @asynccontextmanager
    async def informer(self, **options: Any) -> AsyncIterator[Informer]:
        async with Informer(self.cable, CONFIGMAPS, clock=self.clock, **options) as informer:  # type: ignore[arg-type]
            informer.on_change(self._note)
            await self.clock.advance(0)
            yield informer

    def _note(self, old: Object | None, new: Object | None) -> None:
        self.changes.append((_version(old), _version(new)))

    async def put(self, name: str, value: str = "", **labels: str) -> None:
        obj = {"metadata": {"name": name, "namespace": "default", "labels": labels}, "data": {"value": value}}
        if any(item["metadata"]["name"] == name for item in await self.objects()):
            await self.api.patch(CONFIGMAPS, "default", name, {"data": {"value": value}})
        else:
            await self.api.create(CONFIGMAPS, obj)

    async def delete(self, name: str) -> None:
        await self.api.delete(CONFIGMAPS, "default", name)

    async def objects(self) -> tuple[Object, ...]:
        return (await self.api.list(CONFIGMAPS, "default")).items


def _version(obj: Object | None) -> str | None:
    return obj and f"{obj['metadata']['name']}={obj['data']['value']}"


@pytest.fixture
async def world() -> World:
    world = World()
    await bootstrap(Registry(world.store, world.clock))
    return world


async def test_it_has_what_was_there_and_follows(world: World) -> None:
    await world.put("a", "1")
    async with world.informer() as informer:
        assert informer.has_synced
        await world.put("b", "1")
        await world.put("a", "2")
        await world.delete("b")
        await world.clock.advance(0)
        assert world.changes == [(None, "a=1"), (None, "b=1"), ("a=1", "a=2"), ("b=1", None)]
        assert informer.objects() == [informer.get(Key("default", "a"))]
        assert informer.objects("elsewhere") == []


async def test_a_late_handler_hears_of_what_is_there_until_it_is_taken_away(world: World) -> None:
    await world.put("a", "1")
    heard: list[Change] = []
    async with world.informer() as informer:
        remove = informer.on_change(lambda old, new: heard.append((old, new)))
        assert [(_version(old), _version(new)) for old, new in heard] == [(None, "a=1")]
        remove()
        await world.put("b")
        await world.clock.advance(0)
        assert len(heard) == 1


async def test_selectors_narrow_it_and_objects_leave_when_they_no_longer_match(world: World) -> None:
    await world.put("a", "1", tier="front")
    await world.put("b", "1", tier="back")
    async with world.informer(label_selector="tier=front") as informer:
        assert [obj["metadata"]["name"] for obj in informer.objects()] == ["a"]
        await world.api.patch(CONFIGMAPS, "default", "a", {"metadata": {"labels": {"tier": "back"}}})
        await world.clock.advance(0)
        assert informer.objects() == []


async def test_an_index_finds_objects_by_what_is_in_them(world: World) -> None:
    async with world.informer(indexes={"value": lambda obj: [obj["data"]["value"]]}) as informer:
        for name, value in (("a", "x"), ("b", "y"), ("c", "x")):
            await world.put(name, value)
        await world.put("a", "y")
        await world.delete("c")
        await world.clock.advance(0)
        assert informer.by_index("value", "x") == []
        assert {obj["metadata"]["name"] for obj in informer.by_index("value", "y")} == {"a", "b"}


async def test_an_index_can_be_added_when_objects_are_there(world: World) -> None:
    await world.put("a", "x")
    async with world.informer() as informer:
        informer.add_index("value", lambda obj: [obj["data"]["value"]])
        await world.put("b", "x")
        await world.clock.advance(0)
        assert len(informer.by_index("value", "x")) == 2


async def test_a_resync_tells_of_every_object_as_if_it_had_changed(world: World) -> None:
    await world.put("a", "1")
    async with world.informer(resync_s=60.0):
        await world.clock.advance(125)
        assert world.changes == [(None, "a=1"), ("a=1", "a=1"), ("a=1", "a=1")]


async def test_after_a_cut_it_goes_on_where_it_was_without_a_new_list(world: World) -> None:
    await world.put("a", "1")
    await world.put("b", "1")
    async with world.informer() as informer:
        world.cable.cut()
        await world.put("a", "2")
        await world.delete("b")
        await world.clock.advance(60)
        assert len(informer.objects()) == 2
        world.cable.heal()
        await world.clock.advance(2)
        assert world.changes[2:] == [("a=1", "a=2"), ("b=1", None)]
        assert world.cable.beginnings == 1


async def test_it_lists_again_when_what_it_missed_is_compacted(world: World) -> None:
    await world.put("a", "1")
    await world.put("b", "1")
    async with world.informer() as informer:
        world.cable.cut()
        await world.put("a", "2")
        await world.delete("b")
        await world.put("c", "1")
        await world.store.compact(Compaction(world.store.revision))
        await world.clock.advance(60)
        world.cable.heal()
        await world.clock.advance(2)
        assert sorted(world.changes[2:], key=str) == [("a=1", "a=2"), ("b=1", None), (None, "c=1")]
        assert world.cable.beginnings == 2
        assert len(informer.objects()) == 2


async def test_an_object_that_was_replaced_meanwhile_is_one_that_went_and_one_that_came(world: World) -> None:
    await world.put("a", "1")
    async with world.informer():
        world.cable.cut()
        await world.delete("a")
        await world.put("a", "2")
        await world.store.compact(Compaction(world.store.revision))
        await world.clock.advance(1)
        world.cable.heal()
        await world.clock.advance(2)
        assert world.changes == [(None, "a=1"), ("a=1", None), (None, "a=2")]


async def test_it_waits_for_an_api_server_that_is_not_there_yet(world: World) -> None:
    world.cable.cut()
    async with world.informer() as informer:
        await world.clock.advance(600)
        assert not informer.has_synced
        world.cable.heal()
        await world.clock.advance(2)
        assert informer.has_synced


async def test_attempts_to_reconnect_slow_down(world: World) -> None:
    world.cable.cut()
    async with world.informer():
        await world.clock.advance(0.5)
        assert 3 <= world.cable.refused <= 5
        await world.clock.advance(600)
        assert world.cable.refused <= 310


async def test_a_bug_in_a_handler_ends_the_block(world: World) -> None:
    def buggy(old: Object | None, new: Object | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with world.informer() as informer:
            informer.on_change(buggy)
            await world.put("a")
            await asyncio.Event().wait()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc")),
        st.tuples(st.just("delete"), st.sampled_from("abc")),
        st.sampled_from([("cut", ""), ("heal", ""), ("compact", ""), ("wait", "")]),
    ),
    max_size=25,
)


async def _step(world: World, number: int, verb: str, name: str) -> None:
    there = {obj["metadata"]["name"] for obj in await world.objects()}
    if verb == "put":
        await world.put(name, str(number))
    elif verb == "delete" and name in there:
        await world.delete(name)
    elif verb == "compact":
        with suppress(CompactedError):
            await world.store.compact(Compaction(world.store.revision))
    elif verb == "cut":
        world.cable.cut()
    elif verb == "heal":
        world.cable.heal()
    elif verb == "wait":
        await world.clock.advance(1)


async def _run(steps: list[tuple[str, str]]) -> None:
    world = World()
    await bootstrap(Registry(world.store, world.clock))
    async with world.informer() as informer:
        for number, (verb, name) in enumerate(steps):
            await _step(world, number, verb, name)
        world.cable.heal()
        await world.clock.advance(10)
        on_server = {_name(obj): obj for obj in await world.objects()}
        assert {_name(obj): obj for obj in informer.objects("default")} == on_server
        assert _replayed(world.changes) == {name: _version(obj) for name, obj in on_server.items()}


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _replayed(changes: list[tuple[str | None, str | None]]) -> dict[str, str]:
    """What a handler knows that believed every change; each one must start from what it knew."""
    known: dict[str, str] = {}
    for old, new in changes:
        name = str(old or new)[0]
        assert known.pop(name, None) == old
        if new:
            known[name] = new
    return known


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_after_any_history_of_cuts_and_compactions_copy_and_handlers_agree_with_the_server(
    steps: list[tuple[str, str]],
) -> None:
    asyncio.run(_run(steps))
