"""The kernel tells what happens to a cgroup; nothing is asked by the clock."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cgroup_ground import SPIN, new_cgroup, running
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroup_events import (
    Event,
    Frozen,
    LimitReached,
    OomKill,
    Populated,
    PressureRaised,
    Removed,
    State,
    changes,
    until_empty,
    watch_events,
    watch_host_pressure,
)
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree, Hierarchy, UnsupportedError
from kubelab.cluster.linux.pressure import RESOURCES, Trigger, host_file, parse

EAT = (sys.executable, "-S", "-c", "eaten = bytearray(64 << 20)")
counts = st.integers(0, 9)
states = st.builds(
    State,
    counts,
    st.fixed_dictionaries({"memory.max": counts, "pids.max": counts}),
    st.booleans(),
    st.booleans(),
)


@given(states)
def test_what_did_not_change_is_no_event(state: State) -> None:
    assert list(changes(state, state)) == []


@given(states, states)
def test_events_add_up_to_the_change(before: State, after: State) -> None:
    told = list(changes(before, after))
    assert sum(e.count for e in told if isinstance(e, OomKill)) == max(after.oom_kills - before.oom_kills, 0)
    assert {e.field: e.times for e in told if isinstance(e, LimitReached)} == {
        name: after.reached[name] - before.reached[name]
        for name in after.reached
        if after.reached[name] > before.reached[name]
    }
    assert (Populated(after.populated is True) in told) == (after.populated != before.populated)
    assert (Frozen(after.frozen is True) in told) == (after.frozen != before.frozen)


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    with new_cgroup() as made:
        yield made


async def _next(events: AsyncIterator[Event], kind: type[Event]) -> Event:
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(kind)


@pytest.mark.root
async def test_a_cgroup_s_life_from_its_first_process_to_its_end(cgroup: Cgroup) -> None:
    async with watch_events(cgroup) as events:
        with running(cgroup, "sleep", "1000"):
            assert await anext(events) == Populated(is_populated=True)
            cgroup.write("cgroup.freeze", "1")
            assert await anext(events) == Frozen(is_frozen=True)
            cgroup.write("cgroup.freeze", "0")
            assert await anext(events) == Frozen(is_frozen=False)
        assert await anext(events) == Populated(is_populated=False)
        cgroup.remove()
        assert await anext(events) == Removed()
        assert [event async for event in events] == []


@pytest.mark.root
async def test_who_is_killed_for_memory_is_told_of(cgroup: Cgroup) -> None:
    cgroup.limit("memory.max", "16M")
    for _ in range(2):
        async with watch_events(cgroup) as events:
            with running(cgroup, *EAT) as process:
                assert await _next(events, OomKill) == OomKill(1)
                assert process.wait() == -9
    assert cgroup.oom_kills() == 2


@pytest.mark.root
async def test_a_refused_fork_is_told_of(cgroup: Cgroup) -> None:
    cgroup.write("pids.max", "1")
    async with watch_events(cgroup) as events:
        with running(cgroup, sys.executable, "-S", "-c", "import os\ntry: os.fork()\nexcept OSError: pass"):
            assert await _next(events, LimitReached) == LimitReached("pids.max", 1)


@pytest.mark.root
async def test_the_last_process_s_end_is_waited_for(cgroup: Cgroup) -> None:
    await until_empty(cgroup)
    with running(cgroup, "sleep", "1000") as process:
        waiting = asyncio.create_task(until_empty(cgroup))
        await asyncio.sleep(0)
        assert not waiting.done()
        process.kill()
        await waiting


@pytest.mark.root
async def test_pressure_is_told_of_a_cgroup_and_of_the_host(cgroup: Cgroup) -> None:
    """Many who want one processor wait for it most of the time."""
    trigger = Trigger("cpu", stall_us=50_000)
    cgroup.write("cpu.max", "5000 50000")
    async with watch_events(cgroup, [trigger]) as events, watch_host_pressure([trigger]) as on_host:
        with running(cgroup, *SPIN), running(cgroup, *SPIN):
            assert await _next(events, PressureRaised) == PressureRaised(trigger)
            assert await anext(on_host) == PressureRaised(trigger)
    pressure = parse(cgroup.read("cpu.pressure") or "")
    assert pressure.some.total_us > 0


@pytest.mark.root
async def test_the_pressure_of_a_cgroup_that_is_gone_keeps_nobody_busy(cgroup: Cgroup) -> None:
    async with watch_events(cgroup, [Trigger("memory", stall_us=100_000)]) as events:
        cgroup.remove()
        assert await anext(events) == Removed()


@pytest.mark.root
async def test_a_trigger_that_the_kernel_does_not_take_leaves_nothing_open(cgroup: Cgroup) -> None:
    with pytest.raises(KernelError, match="EINVAL"):
        async with watch_events(cgroup, [Trigger("cpu", stall_us=2, window_us=1)]):
            pass


async def test_what_is_not_there_cannot_be_watched(tmp_path) -> None:
    v1 = CgroupTree((Hierarchy("pids", str(tmp_path), 1, ("pids",)),)).at("x")
    with pytest.raises(KernelError, match="ENOENT"):
        async with watch_events(v1):
            pass
    with pytest.raises(UnsupportedError, match="without a v2 hierarchy"):
        await until_empty(v1)
    with pytest.raises(UnsupportedError, match="without a v2 hierarchy"):
        async with watch_events(v1, [Trigger("cpu", 1)]):
            pass


def test_pressure_is_parsed_with_and_without_the_full_line() -> None:
    some = "some avg10=1.50 avg60=0.00 avg300=0.25 total=12\n"
    parsed = parse(some)
    assert (parsed.some.avg10_percent, parsed.some.avg300_percent, parsed.some.total_us) == (1.5, 0.25, 12)
    assert parsed.full is None
    assert parse(some + some.replace("some", "full")).full == parsed.some


@pytest.mark.parametrize("resource", RESOURCES)
def test_the_host_s_own_pressure_is_there(resource) -> None:
    assert parse(Path(host_file(resource)).read_text()).some.total_us >= 0
