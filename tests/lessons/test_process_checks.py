"""Which process a check means: its root, ids, capabilities, cgroup and ancestors; and whose namespaces."""

import pytest
from observed import HOST, SCOPE, check, found, machine, pod, pods, process

from kubelab.cluster.linux.capabilities import mask_of
from kubelab.lessons.checks import Measure
from kubelab.lessons.checks.check import CannotSee
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import ClockOffsets, IdRange, MachineState, Observation, Process
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

MAPPED = {"uid": 1000, "uid_map": (IdRange(0, 1000, 1),)}
SUBORDINATE = {"uid_map": (IdRange(0, 1000, 1), IdRange(1, 100000, 65536))}
ADMIN = {"capabilities": mask_of(["NET_ADMIN", "SYS_ADMIN"])}
INIT = process(1, "init", cgroup="4:memory:/lab/m/machine/system\n0::/lab/m/machine/system")
LIMITED = {"cgroup": "4:memory:/lab/m/machine/demo\n0::/lab/m/machine/system"}


@pytest.mark.parametrize(
    ("yaml", "subject", "verdict"),
    [
        ("root: /srv/jail", {"root": "/srv/jail"}, PASSED),
        ("root: /srv/jail", {}, NOT_YET),
        ("chrooted: true", {"root": "/srv/jail"}, PASSED),
        ("chrooted: true", {}, NOT_YET),
        ("cwd: /root", {"cwd": "/root"}, PASSED),
        ("cwd: /root", {"cwd": "/"}, NOT_YET),
        ("uid: 1000", MAPPED, PASSED),
        ("uid: 0", MAPPED, NOT_YET),
        ("uid-map: {inside: 0, outside: 1000, count: 1}", MAPPED, PASSED),
        ("uid-map: {inside: 0, outside: 0}", MAPPED, NOT_YET),
        ("uid-map: [{inside: 0, outside: 1000}, {inside: 2, outside: 100001}]", SUBORDINATE, PASSED),
        ("uid-map: {inside: 2, outside: 100001, count: 1}", SUBORDINATE, NOT_YET),
        ("own-uid: 0", MAPPED, PASSED),
        ("own-uid: 65534", {"uid": 0, "uid_map": ()}, PASSED),
        ("own-uid: 0", {"uid": 0, "uid_map": MAPPED["uid_map"]}, NOT_YET),
        ("fake-root: true", MAPPED, PASSED),
        ("fake-root: true", {"uid": 0, "uid_map": (IdRange(0, 0, 1 << 32),)}, NOT_YET),
        ("fake-root: true", {"uid": 1000}, NOT_YET),
        ("has-capabilities: NET_ADMIN", ADMIN, PASSED),
        ("has-capabilities: [CAP_NET_ADMIN, mknod]", ADMIN, NOT_YET),
        ("lacks-capabilities: [MKNOD]", ADMIN, PASSED),
        ("lacks-capabilities: [MKNOD, SYS_ADMIN]", ADMIN, NOT_YET),
        ("no-new-privs: true", {"no_new_privs": True}, PASSED),
        ("no-new-privs: true", {}, NOT_YET),
        ("no-new-privs: false", {}, PASSED),
        ("seccomp: true", {"seccomp_mode": 2}, PASSED),
        ("seccomp: false", {"seccomp_mode": 2}, NOT_YET),
        ("boottime: 86400", {"clocks": ClockOffsets(boottime_s=86400)}, PASSED),
        ("boottime: 86400", {"clocks": ClockOffsets(monotonic_s=86400)}, NOT_YET),
        ("monotonic: 86400", {"clocks": ClockOffsets(monotonic_s=86400)}, PASSED),
        ("pid-depth: 3", {"pids": (10, 4, 1)}, PASSED),
        ("pid-depth: 2", {}, NOT_YET),
        ("cgroup: demo", LIMITED, PASSED),
        ("cgroup: /demo/", LIMITED, PASSED),
        ("cgroup: system", LIMITED, PASSED),
        ("cgroup: other", LIMITED, NOT_YET),
        ("cgroup: demo", LIMITED | {"state": "Z"}, NOT_YET),
    ],
)
def test_a_process_is_told_by_what_it_may_and_where_it_is(
    yaml: str, subject: dict[str, object], verdict: Verdict
) -> None:
    seen = machine(INIT, process(**subject))
    assert found(f"process: {{comm: sleep, {yaml}}}", seen).verdict is verdict


FAMILY = (process(5, "unshare"), process(6, "bash", parent_pid=5), process(7, "sleep", parent_pid=6))


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        ("ancestor: {comm: unshare}", PASSED),
        ("ancestor: {comm: bash}", PASSED),
        ("ancestor: {comm: sleep}", NOT_YET),
        ("parent: {comm: unshare}", NOT_YET),
        ("ancestor: {comm: bash, parent: {comm: unshare}}", PASSED),
    ],
)
def test_an_ancestor_is_any_above(yaml: str, verdict: Verdict) -> None:
    assert found(f"process: {{comm: sleep, {yaml}}}", machine(*FAMILY)).verdict is verdict


def test_a_descendant_is_told_by_an_ancestor_that_is_gone() -> None:
    *gone, last = FAMILY
    seen = machine(last, departed=tuple(gone))
    assert found("process: {comm: sleep, ancestor: {comm: unshare}}", seen).passed


def test_a_ring_of_parents_ends() -> None:
    ring = machine(process(5, parent_pid=6), process(6, parent_pid=5))
    assert found("process: {comm: sleep, ancestor: {comm: x}}", ring).verdict is NOT_YET


@pytest.mark.parametrize(
    ("yaml", "subject", "observed", "look"),
    [
        ("chrooted: true", {}, "its root is /", "readlink /proc/10/root"),
        ("cwd: /root", {"cwd": "/"}, "it works in /", "readlink /proc/10/cwd"),
        ("uid: 0", MAPPED, "its uid on the machine is 1000", "grep Uid /proc/10/status"),
        ("uid-map: {inside: 0, outside: 7}", MAPPED, "its uid_map is 0 → 1000 (1)", "cat /proc/10/uid_map"),
        ("uid-map: {inside: 0, outside: 7}", {}, "its uid_map is empty", "cat /proc/10/uid_map"),
        ("has-capabilities: MKNOD", ADMIN, "it lacks CAP_MKNOD", "grep CapEff /proc/10/status"),
        ("lacks-capabilities: SYS_ADMIN", ADMIN, "it has CAP_SYS_ADMIN", "grep CapEff /proc/10/status"),
        ("cgroup: x", LIMITED, "it is in cgroup /demo, /system", "cat /proc/10/cgroup"),
    ],
)
def test_a_near_miss_says_what_is_so_and_where_to_see_it(
    yaml: str, subject: dict[str, object], observed: str, look: str
) -> None:
    finding = found(f"process: {{comm: sleep, {yaml}}}", machine(INIT, process(**subject)))
    assert (finding.observed.en, finding.look) == (f"`sleep` (PID 10): {observed}", look)


def test_an_unknown_capability_is_answered_with_the_nearest() -> None:
    with pytest.raises(LessonError, match="NET_ADMIN"):
        check("process: {comm: sleep, has-capabilities: CAP_NET_ADMNI}")


def value_of(yaml: str, seen: Observation) -> object:
    measure = check(yaml)
    assert isinstance(measure, Measure)
    return measure.value(seen, SCOPE)


def test_the_value_of_a_process_is_what_it_sees_of_itself_or_what_is_asked_for() -> None:
    seen = machine(process(57, pids=(57, 1)), process(58))
    assert value_of("process: {comm: sleep}", seen) == 1
    assert value_of("{process: {comm: sleep}, field: machine-pid}", seen) == 57
    assert value_of("{process: {comm: sleep}, field: count}", seen) == 2
    assert value_of("process: {comm: bash}", seen) is None
    assert value_of("{process: {comm: bash}, field: count}", seen) == 0
    assert value_of("{namespace: net, of: {comm: sleep}}", seen) == HOST["net"]


def two_machines() -> Observation:
    other = MachineState("minion-2", HOST | {"net": 93}, (process(3, "bash", namespaces={"net": 93}),))
    first = MachineState("minion-1", HOST, (process(8, "bash"), process(9, state="Z", comm="dead")))
    machines = {"minion-1": first, "minion-2": other}
    return Observation(machines=machines, host={"net": HOST["net"], "uts": 55})


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        ("{namespace: net, of: machine, differs-from: {machine: minion-2}}", PASSED),
        ("{namespace: uts, of: machine, equals: {machine: minion-2}}", PASSED),
        ("{namespace: net, of: {comm: bash}, equals: host}", PASSED),
        ("{namespace: uts, of: {comm: bash}, differs-from: host}", PASSED),
        ("{namespace: net, of: {comm: bash}, machine: minion-2, differs-from: {machine: minion-1}}", PASSED),
        ("{namespace: net, of: {comm: bash}, equals: {machine: minion-2}}", NOT_YET),
        ("{namespace: ipc, of: machine, equals: host}", CANNOT),
        ("{namespace: time, of: {comm: bash}, equals: machine}", CANNOT),
    ],
)
def test_namespaces_of_machines_and_host_are_compared(yaml: str, verdict: Verdict) -> None:
    assert found(yaml, two_machines()).verdict is verdict


def test_a_zombie_is_in_no_namespace_and_that_is_no_failure_of_the_probe() -> None:
    zombie = Process(9, 9, 1, (9,), "dead", (), "Z", {})
    finding = found("{namespace: net, of: {comm: dead}}", machine(zombie))
    assert (finding.verdict, finding.observed.en) == (
        NOT_YET,
        "`dead` (PID 9) is a zombie: it is in no net namespace any more",
    )


def test_what_of_means_is_missed_with_the_nearest() -> None:
    finding = found("{namespace: net, of: {comm: sleep, chrooted: true}}", machine(process()))
    assert finding.observed.en == (
        "a process `sleep` that has another root directory than / is not there; "
        "`sleep` (PID 10): its root is /"
    )


def test_a_container_is_told_by_the_id_that_its_pod_has_for_it() -> None:
    status = {"containerStatuses": [{"name": "side", "containerID": "kubelab://c2"}, {"name": "main"}]}
    first, second = (
        process(pid, f"c{pid}", cgroup=f"/kubepods/pod1111-2222/c{pid}", namespaces={"mnt": 60 + pid})
        for pid in (1, 2)
    )
    seen = pods(pod(**status), on=machine(first, second))
    yaml = "{namespace: mnt, of: {pod: web, container: %s}, equals: {comm: c2}}"
    assert found(yaml % "side", seen).passed
    assert found(yaml % "main", seen).observed.en == "container `main` of pod `web` has no processes yet"


def test_machines_that_a_check_names_are_looked_at() -> None:
    named = check("{namespace: net, of: {pod: web}, equals: {machine: minion-2}, machine: minion-3}").needs()
    assert named.machines == {"minion-2", "minion-3"}
    assert [resource.kind for resource in named.resources] == ["Pod"]
    assert check("{process: {comm: a}, machine: m}").needs().machines == {"m"}


def test_a_value_of_what_is_not_there_cannot_be_seen() -> None:
    with pytest.raises(CannotSee):
        value_of("{namespace: net, of: {comm: bash}}", machine())


def test_what_is_on_another_machine_is_shown_by_a_shell_there() -> None:
    look = found("{process: {comm: bash}, machine: minion-2}", two_machines()).look
    assert look == "kubelab shell minion-2 ps -o pid,ppid,stat,args -p 3"
    assert found("process: {comm: bash}", two_machines()).look == "ps -o pid,ppid,stat,args -p 8"
