"""Two processes field by field: what a container that was built by hand has more or less than another one."""

from dataclasses import replace
from typing import Any

import pytest
from observed import check, found, machine, process
from scratch_lab import ScratchLab

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.linux.capabilities import mask_of
from kubelab.language import Text
from kubelab.lessons.checks import Measure, Scope
from kubelab.lessons.checks.check import Needs
from kubelab.lessons.observation import MachineState, Mount, Observation, Unseen
from kubelab.lessons.observe import Observer
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK
FEW, MORE = mask_of(["KILL", "CHOWN"]), mask_of(["KILL", "SYS_ADMIN"])


def seen(mine: dict[str, Any], other: dict[str, Any]) -> Observation:
    """Return a machine with `mine` (PID 10) and `other` (PID 20), in mount namespaces 10 and 20."""
    own = {"namespaces": {"mnt": 10}} | mine, {"namespaces": {"mnt": 20}} | other
    return machine(process(10, "mine", **own[0]), process(20, "other", **own[1]))


def alike(fields: str, observation: Observation) -> tuple[Verdict, str]:
    finding = found(f"{{alike: [{fields}], of: {{comm: mine}}, to: {{comm: other}}}}", observation)
    return finding.verdict, finding.observed.en


def mounted(*points: tuple[str, str, str]) -> tuple[Mount, ...]:
    """Return mounts of (path, type, option) over a root, each on the one that is its path's beginning."""
    mounts = [Mount(20, 1, "0:9", "/", "/", ("rw",), (), "tmpfs", "tmpfs", ())]
    for path, type_, option in points:
        parent = max((m for m in mounts if path.startswith(m.point)), key=lambda m: len(m.point))
        mounts.append(Mount(20 + len(mounts), parent.id, "0:9", "/", path, (option,), (), type_, type_, ()))
    return tuple(mounts)


def with_mounts(mine: tuple[Mount, ...] | Unseen, other: tuple[Mount, ...]) -> Observation:
    observation = seen({}, {})
    state = observation.machines["minion-1"]
    assert isinstance(state, MachineState)
    return Observation({"minion-1": replace(state, mounts={10: mine, 20: other})})


@pytest.mark.parametrize(
    ("field", "mine", "other", "observed"),
    [
        (
            "capabilities",
            {"capabilities": MORE},
            {"capabilities": FEW},
            "it has SYS_ADMIN besides, it lacks CHOWN",
        ),
        ("namespaces", {}, {"namespaces": {"mnt": 20, "pid": 7}}, "it lacks pid"),
        ("no-new-privs", {}, {"no_new_privs": True}, "it has 0 besides, it lacks 1"),
        ("seccomp", {"seccomp_mode": 2}, {}, "it has 2 besides, it lacks 0"),
        ("uid", {"uid": 5}, {}, "it has 5 besides, it lacks 0"),
    ],
)
def test_what_differs_is_named(
    field: str, mine: dict[str, Any], other: dict[str, Any], observed: str
) -> None:
    verdict, said = alike(field, seen(mine, other))
    assert verdict is NOT_YET
    assert said.endswith(observed)
    assert alike(field, seen(mine, mine))[0] is PASSED


def test_namespaces_are_compared_by_kind_for_each_is_in_its_own() -> None:
    assert alike("namespaces", seen({"namespaces": {"mnt": 5}}, {"namespaces": {"mnt": 6}}))[0] is PASSED


def test_a_masked_path_is_one_below_proc_that_another_file_system_covers() -> None:
    proc, keys = ("/proc", "proc", "rw"), ("/proc/keys", "tmpfs", "rw")
    read_only, else_ = ("/proc/sys", "proc", "ro"), ("/dev/shm", "tmpfs", "rw")
    observation = with_mounts(mounted(proc, else_), mounted(proc, keys, read_only))
    assert alike("masked", observation) == (NOT_YET, "masked paths: it lacks /proc/keys")
    assert alike("read-only", observation) == (NOT_YET, "read-only paths: it lacks /proc/sys")
    same = with_mounts(mounted(proc, keys), mounted(proc, keys))
    assert alike("masked, read-only", same)[0] is PASSED


def test_mounts_that_could_not_be_seen_are_nobodys_mistake() -> None:
    assert alike("masked", with_mounts(Unseen(Text("no", "no")), ()))[0] is CANNOT
    assert alike("masked", seen({}, {}))[0] is NOT_YET


def test_its_value_are_the_fields_that_differ() -> None:
    measure = check("{alike: [capabilities, uid], of: {comm: mine}, to: {comm: other}}")
    assert isinstance(measure, Measure)
    assert measure.value(seen({"capabilities": MORE}, {}), Scope("minion-1")) == ["capabilities"]


def test_of_several_the_one_that_differs_least_is_told_of() -> None:
    observation = machine(
        process(10, "mine", uid=5, seccomp_mode=2), process(11, "mine"), process(20, "other")
    )
    assert alike("uid, seccomp", observation)[0] is PASSED


@pytest.mark.root
async def test_clocks_privileges_and_filters_are_read_from_a_real_machine(lab: ScratchLab) -> None:
    """A process in a time namespace of its own, without new privileges."""
    command = "unshare -UrT --boottime 5000 --monotonic 70 -f setpriv --no-new-privs sleep 1234"
    async with lab.scratch("lab") as place:
        await place.spawn(["bash", "-c", f"exec {command}"])
        observer = Observer(lab, lambda: lab.machines, SystemClock())
        async with observer.watching(Needs(processes=True)):
            while not (sleeper := _sleeper(observer.observation)):
                observer.look_soon()
                await observer.changed.wait()
                observer.changed.clear()
    assert (sleeper.clocks.boottime_s, sleeper.clocks.monotonic_s) == (5000, 70)
    assert sleeper.no_new_privs
    assert sleeper.seccomp_mode == 2  # The machine's own filter, which everybody on it has.
    assert (sleeper.own_uid, sleeper.uid) == (0, 0)


def _sleeper(observation: Observation) -> Any:
    state = observation.machines.get("lab")
    found = state.processes if isinstance(state, MachineState) else ()
    return next((process for process in found if process.comm == "sleep"), None)
