"""What changed: the difference of two observations, as learners read it."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from observed import HOST, machine, pod, pods, process

from kubelab.cluster.store.state import StoreState
from kubelab.language import Text
from kubelab.lessons.change import About, Sign
from kubelab.lessons.changes import ALIKE_SHOWN, changes
from kubelab.lessons.observation import (
    Address,
    Cgroup,
    Link,
    MachineState,
    Mount,
    Network,
    Observation,
    Route,
    Rule,
    Unseen,
)

MNT, NET = HOST["mnt"], HOST["net"]


def state(**fields: Any) -> Observation:
    return Observation(machines={"minion-1": MachineState("minion-1", HOST, **fields)})


def mount(point: str, **fields: Any) -> Mount:
    defaults: Mapping[str, Any] = {
        "id": 1, "parent_id": 0, "device": "0:1", "root": "/", "options": ("rw",), "propagation": (),
        "type": "tmpfs", "source": "none", "super_options": (),
    }  # fmt: skip
    return Mount(point=point, **{**defaults, **fields})


def link(name: str, index: int = 2, **fields: Any) -> Link:
    defaults: Mapping[str, Any] = {"kind": "veth", "up": True, "carrier": True, "mtu_bytes": 1500, "mac": ""}
    return Link(index=index, name=name, **{**defaults, **fields})


def told(before: Observation, now: Observation) -> list[str]:
    return [f"{change.sign} {change.about}: {change.what.en}" for change in changes(before, now)]


def test_processes_come_and_go() -> None:
    before, now = machine(process(10, "sleep")), machine(process(11, "cat", argv=("cat", "file")))
    assert told(before, now) == ["- process: 10 sleep", "+ process: 11 cat file"]


def test_a_pid_that_is_used_again_is_another_process() -> None:
    now = machine(process(10, "sleep", start_ticks=99))
    assert told(machine(process(10, "sleep")), now) == ["- process: 10 sleep", "+ process: 10 sleep"]


def test_a_process_that_enters_a_namespace_is_changed_and_the_namespace_is_new() -> None:
    now = machine(process(10, "bash", namespaces={"net": 77}))
    assert told(machine(process(10, "bash")), now) == [
        "~ process: 10 bash: net: 3 → 77",
        "+ namespace: net:[77] (bash)",
    ]


def test_what_a_process_merely_does_is_no_change() -> None:
    assert told(machine(process(10, "sleep", state="R")), machine(process(10, "sleep", state="S"))) == []


def test_limits_of_cgroups_are_shown_with_their_values() -> None:
    before = state(cgroups={"demo": Cgroup("demo")})
    now = state(cgroups={"demo": Cgroup("demo", {"memory.max": "33554432"}), "other": Cgroup("other")})
    assert told(before, now) == ["+ cgroup: other", "~ cgroup: demo: memory.max: – → 33554432"]


def test_mounts_links_addresses_routes_and_rules_are_told_with_where_they_are() -> None:
    network = Network(
        links=(link("eth0"),),
        addresses=(Address("eth0", "10.1.0.7/24"),),
        routes=(Route("default", "10.1.0.1", "eth0"),),
        rules=(Rule("ip", "nat", "post", "masquerade"),),
    )
    now = state(mounts={MNT: (mount("/data"),)}, networks={NET: network})
    before = state(mounts={MNT: ()}, networks={NET: Network()})
    assert told(before, now) == [
        "+ mount: /data (tmpfs)",
        "+ link: eth0 (veth)",
        "+ address: 10.1.0.7/24 dev eth0",
        "+ route: default via 10.1.0.1 dev eth0",
        "+ rule: ip nat post: masquerade",
    ]


def test_a_link_that_goes_down_is_changed() -> None:
    before, now = (
        state(networks={NET: Network(links=(link("eth0", up=up, carrier=up),))}) for up in (True, False)
    )
    assert told(before, now) == ["~ link: eth0 (veth): up: ✓ → ✗, carrier: ✓ → ✗"]


def test_a_new_mount_namespace_shows_only_what_differs_from_the_mounts_it_was_born_with() -> None:
    own = tuple(mount(f"/m{number}") for number in range(5))
    inside = process(10, "bash", namespaces={"mnt": 99})
    before = state(processes=(process(10, "bash"),), mounts={MNT: own})
    now = state(processes=(inside,), mounts={MNT: own, 99: (*own[1:], mount("/proc", type="proc"))})
    assert [line for line in told(before, now) if "mount:" in line] == [
        "- mount: /m0 (tmpfs) (in PID 10's mnt)",
        "+ mount: /proc (proc) (in PID 10's mnt)",
    ]


def test_of_many_alike_the_first_are_shown_and_how_many_more_there_are() -> None:
    now = machine(*(process(number, "sleep") for number in range(10, 40)))
    shown = told(machine(), now)
    assert len(shown) == ALIKE_SHOWN
    assert shown[-1] == f"+ process: and {30 - ALIKE_SHOWN + 1} more"


def test_objects_are_told_by_the_fields_that_people_follow() -> None:
    before = pods(pod("web", phase="Pending", podIP=""), pod("old", uid="3"))
    now = pods(pod("web", phase="Running", podIP="10.0.0.9"), pod("new", uid="4"))
    assert told(before, now) == [
        "- object: pod/old",
        "+ object: pod/new",
        "~ object: pod/web: .status.phase: Pending → Running, .status.podIP:  → 10.0.0.9",
    ]


def test_an_object_that_was_deleted_and_made_again_is_another_one() -> None:
    assert told(pods(pod(uid="1")), pods(pod(uid="2"))) == ["- object: pod/web", "+ object: pod/web"]


def test_a_place_that_could_not_be_seen_is_left_out() -> None:
    unseen = Observation(machines={"minion-1": Unseen(Text("no", "no"))})
    assert told(unseen, machine(process())) == []
    assert told(machine(process()), unseen) == []


@given(st.sets(st.integers(2, 40), max_size=6), st.sets(st.integers(2, 40), max_size=6))
def test_the_way_back_is_the_same_with_new_and_gone_exchanged(one: set[int], other: set[int]) -> None:
    before, now = (machine(*(process(pid) for pid in sorted(pids))) for pids in (one, other))
    swap = {Sign.NEW: Sign.GONE, Sign.GONE: Sign.NEW, Sign.OTHER: Sign.OTHER}
    there = {(change.sign, change.about, change.what) for change in changes(before, now)}
    back = {(swap[change.sign], change.about, change.what) for change in changes(now, before)}
    assert there == back
    assert changes(before, before) == ()


def test_what_is_written_again_and_again_is_no_change() -> None:
    def node(beat: str) -> Observation:
        conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": beat}]
        return pods(pod(conditions=conditions))

    assert told(node("1"), node("2")) == []
    assert About.OBJECT in {change.about for change in changes(node("1"), pods())}


def test_a_shell_that_the_lesson_opened_is_no_change() -> None:
    opened = process(10, "bash", argv=("bash", "-i"))
    own = process(11, "bash", argv=("bash", "-i"), parent_pid=10)
    assert told(machine(), machine(opened, own)) == ["+ process: 11 bash -i"]


def test_a_container_with_a_root_of_its_own_has_lost_no_mounts() -> None:
    own = (mount("/", device="0:1"), mount("/home"))
    before = state(mounts={MNT: own})
    now = state(mounts={MNT: own, 99: (mount("/", device="0:2"),)})
    assert told(before, now) == ["+ mount: / (tmpfs) (in mnt:[99]'s mnt)"]


def test_a_proc_mounted_over_proc_is_a_mount_of_its_own() -> None:
    proc = mount("/proc", type="proc", device="0:5")
    before = state(mounts={MNT: (proc,)})
    now = state(mounts={MNT: (proc,), 99: (proc, mount("/proc", type="proc", device="0:6"))})
    assert told(before, now) == ["+ mount: /proc (proc) (in mnt:[99]'s mnt)"]


def test_an_election_is_told_and_a_write_is_not() -> None:
    members = ("master-1", "master-2", "master-3")
    before = Observation(store=StoreState(members, 7, term=2, leader="master-1"))
    wrote = Observation(store=StoreState(members, 9, term=2, leader="master-1"))
    elected = Observation(store=StoreState(members, 9, 3, "master-2", members[1:]))
    assert told(before, wrote) == []
    (line,) = told(before, elected)
    assert line.startswith("~ store: the store: leader: master-1 → master-2, term: 2 → 3, alive: ")
