"""The cgroups of a machine: made, limited, joined and removed, by whoever does it."""

import pytest
from watched import named, observed, one, run, running, until

from kubelab.cluster.linux.inotify import Inotify
from kubelab.lessons.watching.cgroups import Cgroups, DirectoryWatches

pytestmark = pytest.mark.root

# On the machine: the directory of a controller, whichever version it is mounted as.
FIND = (
    "at() { [ -d /sys/fs/cgroup/$1 ] && echo /sys/fs/cgroup/$1 || echo /sys/fs/cgroup; };"
    "P=$(at pids); U=/sys/fs/cgroup/unified; [ -d $U ] || U=/sys/fs/cgroup;"
)
# Version 2 hands controllers down only where it is told to.
PASS_ON = "[ -d /sys/fs/cgroup/pids ] || echo +pids > $P/demo/cgroup.subtree_control;"


async def test_a_cgroup_appears_with_the_limit_that_is_set_and_goes(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(machine, FIND + "mkdir $P/demo; echo 33 > $P/demo/pids.max")
        await until(observer, lambda state: limits(state, "demo") == {"pids.max": "33"})
        await run(machine, FIND + "echo max > $P/demo/pids.max")
        await until(observer, lambda state: not state.cgroups["demo"].limits)
        await run(machine, FIND + PASS_ON + "mkdir $P/demo/inner; echo 7 > $P/demo/inner/pids.max")
        await until(observer, lambda state: limits(state, "demo/inner") == {"pids.max": "7"})
        await run(machine, FIND + "rmdir $P/demo/inner $P/demo")
        await until(observer, lambda state: not {"demo", "demo/inner"} & state.cgroups.keys())


async def test_limits_have_the_names_of_v2(lab) -> None:
    async with observed(lab) as (machine, observer):
        cgroup = machine.cgroups.at("demo")
        cgroup.create()
        for name, value in {"memory.max": "33554432", "cpu.max": "20000 100000", "cpu.weight": "50"}.items():
            cgroup.limit(name, value)
        expected = {"memory.max": "33554432", "cpu.max": "20000 100000", "cpu.weight": "50"}
        state = await until(observer, lambda state: expected.items() <= limits(state, "demo").items())
        assert limits(state, "demo").keys() - expected.keys() <= {"memory.swap.max"}
        cgroup.remove()


async def test_who_is_moved_by_another_is_seen_where_he_is(lab) -> None:
    async with observed(lab) as (machine, observer), running(machine, "exec sleep 1001"):
        process = one(await until(observer, lambda state: named(state, "sleep")), "sleep")
        await run(machine, FIND + f"mkdir $P/demo; echo {process.pid} > $P/demo/cgroup.procs")
        await until(
            observer,
            lambda state: process.pid in members(state, "demo") and "/demo" in one(state, "sleep").cgroup,
        )
    # The machine's end removes it.


async def test_a_cgroup_that_is_removed_while_it_is_read_is_none(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(
            machine,
            FIND
            + "for i in $(seq 200); do mkdir $P/d; echo 9 > $P/d/pids.max; rmdir $P/d; done; mkdir $P/last",
        )
        await until(observer, lambda state: "last" in state.cgroups)
        await until(observer, lambda state: "d" not in state.cgroups)


async def test_without_watches_everything_is_read_at_every_look(lab) -> None:
    async with lab.scratch("lab") as machine:
        watched = Cgroups(machine.cgroups, None)
        look_at(watched)
        await run(machine, FIND + "mkdir $P/demo; echo 33 > $P/demo/pids.max")
        look_at(watched)
        assert watched.seen["demo"].limits == {"pids.max": "33"}


async def test_lost_events_make_everything_be_read(lab) -> None:
    """More than fs.inotify.max_queued_events holds would take seconds; what they end in is the same mark."""
    async with lab.scratch("lab") as machine:
        with Inotify() as inotify:
            watches = DirectoryWatches(inotify)
            watched = Cgroups(machine.cgroups, watches)
            look_at(watched)
            assert not watched.is_stale
            await run(machine, FIND + "mkdir $P/demo")
            watches.hear()
            assert watched.is_stale
            look_at(watched)
            watched.mark_all()
            look_at(watched)
            assert "demo" in watched.seen
            watched.close()
            await run(machine, FIND + "rmdir $P/demo")
            watches.hear()
            assert not watched.is_stale


async def test_who_may_have_been_moved_before_a_new_cgroup_was_watched_is_looked_for(lab) -> None:
    async with lab.scratch("lab") as machine:
        with Inotify() as inotify:
            watches = DirectoryWatches(inotify)
            watched = Cgroups(machine.cgroups, watches)
            look_at(watched)
            machine.cgroups.at("demo").create()
            watches.hear()
            assert not watched.members_moved
            watched.find()
            assert watched.members_moved


def look_at(watched: Cgroups) -> None:
    watched.find()
    watched.look(())


def limits(state, path: str) -> dict:
    return dict(state.cgroups[path].limits) if path in state.cgroups else {}


def members(state, path: str) -> tuple:
    return state.cgroups[path].members if path in state.cgroups else ()
