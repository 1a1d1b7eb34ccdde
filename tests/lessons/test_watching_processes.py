"""Processes of a machine as they are observed: every field, whoever changes it, however short they live."""

import math

import pytest
from watched import descriptors, named, observed, one, run, running, seen, until

from kubelab.lessons.observation import IdRange
from kubelab.lessons.process_scan import DEPARTED_MAX, ProcessScan

pytestmark = pytest.mark.root

NEW_ROOT = (
    "mkdir -p /tmp/new/old; mount -t tmpfs none /tmp/new; cd /tmp/new; mkdir usr old proc;"
    "mount --bind /usr usr; mount -t proc proc proc; for d in bin lib lib64 sbin; do ln -s usr/$d $d; done;"
)


async def test_a_process_lives_below_the_root_of_its_mount_namespace(lab) -> None:
    async with observed(lab) as (machine, observer), running(machine, "cd /usr; sleep 1001"):
        process = one(await until(observer, lambda state: named(state, "sleep")), "sleep")
        assert (process.root, process.cwd) == ("/", "/usr")


async def test_in_a_chroot_the_root_is_a_path_of_the_mount_namespace(lab) -> None:
    script = f"unshare -m sh -ec '{NEW_ROOT} exec chroot /tmp/new /bin/sleep 1001'"
    async with observed(lab) as (machine, observer), running(machine, script):
        process = one(await until(observer, lambda state: named(state, "sleep")), "sleep")
        assert (process.root, process.cwd) == ("/tmp/new", "/tmp/new")


async def test_after_pivot_root_the_root_is_the_root(lab) -> None:
    script = f"unshare -m sh -ec '{NEW_ROOT} pivot_root . old; umount -l /old; exec /bin/sleep 1001'"
    async with observed(lab) as (machine, observer), running(machine, script):
        process = one(await until(observer, lambda state: named(state, "sleep")), "sleep")
        assert process.root == "/"
        state = await until(observer, lambda state: process.namespaces["mnt"] in state.mounts)
        points = {mount.point: mount.type for mount in state.mounts[process.namespaces["mnt"]]}
        assert points["/"] == "tmpfs"


async def test_uid_and_effective_capabilities_are_seen(lab) -> None:
    async with observed(lab) as (machine, observer):
        async with running(machine, "exec setpriv --reuid 1000 --clear-groups sleep 1001"):
            await until(observer, lambda state: ("1001", 1000, 0) in whose_sleeps(state))
        async with running(machine, "exec setpriv --bounding-set -all,+chown sleep 1002"):
            await until(observer, lambda state: ("1002", 0, 1) in whose_sleeps(state))


def whose_sleeps(state) -> list[tuple[str, int, int]]:
    """What a process is called execve(2) changes first, then its capabilities, then its arguments."""
    return [(p.argv[-1], p.uid, p.capabilities) for p in named(state, "sleep")]


def sleeps(state) -> set[str]:
    return {process.argv[-1] for process in named(state, "sleep")}


async def test_a_uid_map_that_another_process_writes_is_seen(lab) -> None:
    async with observed(lab) as (machine, observer), running(machine, "unshare -U sleep 1001"):
        process = one(await until(observer, lambda state: named(state, "sleep")), "sleep")
        assert process.uid_map == ()
        await run(machine, f"echo '0 1000 5' > /proc/{process.pid}/uid_map")
        state = await until(observer, lambda state: one(state, "sleep").uid_map)
        assert one(state, "sleep").uid_map == (IdRange(0, 1000, 5),)


async def test_a_pending_signal_of_a_stopped_process_is_seen(lab) -> None:
    async with observed(lab) as (machine, observer), running(machine, "exec sleep 1001"):
        process = one(await until(observer, lambda state: named(state, "sleep")), "sleep")
        await run(machine, f"kill -STOP {process.pid}")
        await until(observer, lambda state: one(state, "sleep").state == "T")
        await run(machine, f"kill -TERM {process.pid}")
        await until(observer, lambda state: one(state, "sleep").pending_signals == 1 << 14)


async def test_who_loses_the_parent_gets_another(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(machine, "(sh -c 'echo $$ > /tmp/parent; sleep 1001 & exec sleep 1002') &")
        state = await until(observer, lambda state: sleeps(state) == {"1001", "1002"})
        child = next(process for process in named(state, "sleep") if process.argv[1] == "1001")
        assert child.parent_pid != 1
        await run(machine, "kill $(cat /tmp/parent)")
        await until(observer, lambda state: sleeps(state) == {"1001"} and one(state, "sleep").parent_pid == 1)
        await run(machine, f"kill {child.pid}")
        state = await until(observer, lambda state: not named(state, "sleep"))
        assert {"1001", "1002"} <= {p.argv[-1] for p in state.departed if p.comm == "sleep"}


async def test_a_proc_that_somebody_else_mounts_over_the_one_it_saw_is_seen(lab) -> None:
    """Both are in one mount namespace; the shell outside did not run when the mount was made."""
    script = (
        "unshare -m sh -ec 'sleep 1001 & exec unshare -pf sh -ec \"mount -t proc proc /proc; sleep 1002\"'"
    )
    async with observed(lab) as (machine, observer), running(machine, script):
        state = await until(observer, lambda state: len(named(state, "sleep")) == 2)
        inner = next(process for process in named(state, "sleep") if len(process.pids) == 2)
        outer = next(process for process in named(state, "sleep") if len(process.pids) == 1)

        def sees_the_new_one(state) -> bool:
            now = next(process for process in state.processes if process.pid == outer.pid)
            return now.proc_pid_namespace == inner.namespaces["pid"]

        await until(observer, sees_the_new_one)


async def test_a_zombie_is_still_known_by_what_it_was_called_with(lab) -> None:
    script = "sleep 1001 & echo $! > /tmp/pid; exec sleep 1002"  # Which does not wait for its child.
    async with observed(lab) as (machine, observer), running(machine, script):
        await until(observer, lambda state: sleeps(state) == {"1001", "1002"})
        await run(machine, "kill $(cat /tmp/pid)")
        state = await until(observer, lambda state: [p for p in named(state, "sleep") if p.is_zombie])
        (zombie,) = [process for process in named(state, "sleep") if process.is_zombie]
        assert zombie.argv == ("sleep", "1001")


async def test_five_hundred_short_lives_are_survived_and_a_begin_forgets_them(lab) -> None:
    async with observed(lab) as (machine, observer):
        before = descriptors()
        await run(
            machine,
            "for i in $(seq 500); do true | true & done; wait; for i in $(seq 100); do /bin/true; done",
        )
        async with running(machine, "exec sleep 1001"):  # After such a storm only the regular looks see it.
            await until(observer, lambda state: sleeps(state) == {"1001"})
        last = ("sleep", "1001")
        await until(observer, lambda state: last in {process.argv for process in state.departed})
        assert len(seen(observer).departed) <= DEPARTED_MAX
        observer.begin()
        assert seen(observer).departed == ()
        assert descriptors() <= before + 1  # The executor's first thread keeps one at most.


async def test_all_is_there_from_the_beginning_however_many_there_are(lab) -> None:
    script = "for i in $(seq 300); do sleep 1001 & done; wait"
    async with lab.scratch("lab") as machine, running(machine, script):
        await run(machine, "while [ $(pgrep -c -x -f 'sleep 1001') -lt 300 ]; do sleep 0.05; done")
        with ProcessScan(machine.pid) as scan:
            assert len([p for p in scan.scan(budget_s=math.inf) if p.comm == "sleep"]) == 300
            while scan.scan() is not scan.scan():
                pass  # The machine's init still does what it does after a process has ended.


async def test_a_restarted_machine_begins_anew(lab) -> None:
    async with observed(lab) as (machine, observer), running(machine, "exec sleep 1001"):
        await until(observer, lambda state: named(state, "sleep"))
    async with observed(lab) as (machine, observer):
        assert not named(seen(observer), "sleep")
        assert seen(observer).departed == ()


async def test_without_events_of_processes_everything_is_seen_at_the_regular_looks(lab) -> None:
    async with observed(lab, hears_processes=False) as (machine, observer):
        async with running(machine, "cd /usr; sleep 1001"):
            assert one(await until(observer, lambda state: named(state, "sleep")), "sleep").cwd == "/usr"
        await until(observer, lambda state: [p for p in state.departed if p.comm == "sleep"])
