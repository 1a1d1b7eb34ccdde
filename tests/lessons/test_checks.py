"""Each kind of check over observations: when it passes, and what it says when it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from observed import SCOPE, check, found, machine, pod, pods, process

from kubelab.cluster.objects import PODS
from kubelab.language import Text
from kubelab.lessons.checks import CHECKS, Check, Finding, judge
from kubelab.lessons.checks.combinators import All, AnyOf, Not
from kubelab.lessons.checks.reach import Reach
from kubelab.lessons.observation import MachineState, Observation, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

INSIDE = {"namespaces": {"pid": 20, "mnt": 21}, "pids": (10, 1), "proc_pid_namespace": 20}


@pytest.mark.parametrize(
    ("yaml", "subject", "verdict"),
    [
        ("process: {comm: sleep}", process(), PASSED),
        ("process: {comm: bash}", process(), NOT_YET),
        ("process: {argv: sleep 9}", process(argv=("sleep", "900")), PASSED),
        ("process: {comm: sleep, pid: 1}", process(), NOT_YET),
        ("process: {comm: sleep, pid: 1}", process(**INSIDE), PASSED),
        ("process: {comm: sleep, in-new: [pid, mnt]}", process(**INSIDE), PASSED),
        ("process: {comm: sleep, in-new: [pid, net]}", process(**INSIDE), NOT_YET),
        ("process: {comm: sleep, in-new: pid, in-machine: net}", process(**INSIDE), PASSED),
        ("process: {comm: sleep, in-machine: [mnt]}", process(**INSIDE), NOT_YET),
        ("process: {comm: sleep, proc-shows: own}", process(**INSIDE), PASSED),
        ("process: {comm: sleep, proc-shows: own}", process(**INSIDE | {"proc_pid_namespace": 2}), NOT_YET),
        ("process: {comm: sleep, proc-shows: other}", process(**INSIDE | {"proc_pid_namespace": 2}), PASSED),
        ("process: {comm: sleep, proc-shows: other}", process(proc_pid_namespace=0), NOT_YET),
        ("process: {comm: sleep, children-in-new-pid: true}", process(), NOT_YET),
        ("process: {comm: sleep, children-in-new-pid: true}", process(children_pid_namespace=0), PASSED),
        ("process: {comm: sleep, catches: TERM}", process(caught_signals=0x4000), PASSED),
        ("process: {comm: sleep, catches: TERM}", process(caught_signals=0x2), NOT_YET),
        ("process: {comm: sleep, catches-not: TERM}", process(caught_signals=0x2), PASSED),
        ("process: {comm: sleep, pending: TERM}", process(pending_signals=0x4000), PASSED),
        ("process: {state: zombie}", process(state="Z"), PASSED),
        ("process: {comm: sleep, parent: {pid: 10}}", process(11, parent_pid=1), NOT_YET),
        ("{process: {comm: sleep}, absent: true}", process(), NOT_YET),
        ("{process: {comm: bash}, absent: true}", process(), PASSED),
        ("{process: {comm: sleep}, count: {ge: 2}}", process(), NOT_YET),
        ("{process: {comm: sleep}, count: {eq: 1}}", process(), PASSED),
        ("{process: {comm: sleep}, gone: true}", process(), NOT_YET),
    ],
)
def test_a_process_is_selected_by_every_key_that_is_written(
    yaml: str, subject: object, verdict: Verdict
) -> None:
    assert found(yaml, machine(subject)).verdict is verdict  # type: ignore[arg-type]


def test_a_child_is_told_by_its_parent() -> None:
    yaml = "process: {comm: sleep, parent: {comm: bash, pid: 1}}"
    family = machine(process(5, "bash", pids=(5, 1)), process(6, parent_pid=5))
    assert found(yaml, family).passed


def test_gone_means_that_it_was_there_and_none_is_left() -> None:
    yaml = "{process: {comm: sleep}, gone: true}"
    assert found(yaml, machine()).verdict is NOT_YET
    assert found(yaml, machine(departed=(process(),))).passed
    assert found(yaml, machine(process(11), departed=(process(),))).verdict is NOT_YET


def test_a_missed_process_is_answered_with_what_is_so_of_the_nearest_and_where_to_look() -> None:
    finding = found("process: {comm: bash, pid: 1, in-new: pid}", machine(process(57, "bash")))
    assert finding.expected == Text(
        "en minion-1, un proceso `bash` que se ve a sí mismo con el PID 1 y tiene espacio pid propio",
        "on minion-1, a process `bash` that sees itself as PID 1 and is in a pid namespace of its own",
    )
    assert (
        finding.observed.en
        == "`bash` (PID 57): it sees itself as PID 57; it is in the machine's pid namespace"
    )
    assert finding.look == "grep NSpid /proc/57/status"


def test_a_process_of_another_name_is_no_near_miss() -> None:
    assert found("process: {comm: bash}", machine(process())).observed.en == "there is none"


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        ("{namespace: net, of: {comm: bash}, equals: machine}", NOT_YET),
        ("{namespace: net, of: {comm: bash}, differs-from: machine}", PASSED),
        ("{namespace: mnt, of: {comm: bash}, equals: machine}", PASSED),
        ("{namespace: net, of: {comm: bash}, equals: {comm: pause}}", PASSED),
        ("{namespace: net, of: {comm: bash}, equals: {pod: web}}", PASSED),
        ("{namespace: mnt, of: {comm: bash}, equals: {pod: web}}", NOT_YET),
        ("{namespace: net, of: {comm: vim}, equals: machine}", NOT_YET),
        ("{namespace: net, of: {comm: bash}, equals: {pod: other}}", NOT_YET),
    ],
)
def test_namespaces_are_compared_by_inode(yaml: str, verdict: Verdict) -> None:
    shell = process(8, "bash", namespaces={"net": 30})
    pause = process(
        9, "pause", namespaces={"net": 30, "mnt": 31}, cgroup="2:pids:/kubepods/pod1111-2222/pause"
    )
    assert found(yaml, pods(pod(), on=machine(shell, pause))).verdict is verdict


def containers(*names: str, **changes: object) -> Observation:
    """Return what is seen of a pod whose processes have these names, each PID 1 of its own namespace."""
    processes = [
        process(
            40 + number,
            name,
            pids=(40 + number, 1),
            namespaces={"net": 30, "pid": 50 + number},
            cgroup=f"/kubepods/pod1111-2222/{name}",
            **changes,
        )
        for number, name in enumerate(names)
    ]
    return pods(pod(), on=machine(*processes))


def test_a_pod_runs_when_its_phase_says_so_and_its_processes_really_live() -> None:
    yaml = "pod-running: web"
    assert found(yaml, containers("pause", "python3")).passed
    lying = found(yaml, containers("pause"))
    assert lying.verdict is NOT_YET
    assert lying.observed.en == "phase Running; containers alive on `minion-1`: 0 of 1"
    assert found(yaml, containers("pause", "python3", state="Z")).verdict is NOT_YET
    assert found("{pod-running: web, containers: 2}", containers("pause", "python3")).verdict is NOT_YET
    assert found("pod-running: other", containers("pause")).observed.en == "there is no pod `other`"


def test_containers_share_a_namespace_if_all_have_the_same() -> None:
    assert found("{pod-shares: web, kinds: [net, uts]}", containers("pause", "python3")).passed
    apart = found("{pod-shares: web, kinds: [net, pid]}", containers("pause", "python3"))
    assert apart.observed.en == "they do not share: pid"


def test_a_pod_is_gone_with_its_object_and_its_processes() -> None:
    yaml = "pod-gone: web"
    assert found(yaml, pods()).verdict is NOT_YET
    assert found(yaml, pods(departed=(pod(),))).passed
    assert found(yaml, containers("pause")).verdict is NOT_YET
    orphan = process(66, cgroup="/kubepods/pod1111-2222/x")
    assert found(yaml, pods(departed=(pod(),), on=machine(orphan))).observed.en == "left are PIDs 66"


def test_a_pods_answer_is_asked_for_from_the_machine_that_the_check_names() -> None:
    answers = check("{pod-answers: web, from: minion-2}")
    probe = Reach("minion-2", "10.0.0.9")
    seen = pods(pod())
    assert answers.questions(seen, SCOPE) == {probe}
    for answer, verdict in ((True, PASSED), (False, NOT_YET), (Unseen(Text("", "")), CANNOT)):
        asked = Observation(seen.machines, seen.resources, {probe: answer})
        assert judge(answers, asked, SCOPE).verdict is verdict
    assert judge(answers, seen, SCOPE).verdict is NOT_YET
    assert answers.questions(pods(pod(podIP="")), SCOPE) == frozenset()


READY = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Odd", "status": "False"}]}


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        ("{object: pod, name: web}", PASSED),
        ("{object: pods, name: web}", PASSED),
        ("{object: pod, name: other}", NOT_YET),
        ("{object: pod, name: web, namespace: kube-system}", NOT_YET),
        ("{object: pod, name: web, absent: true}", NOT_YET),
        ("{object: pod, name: other, absent: true}", PASSED),
        ("{object: pod, name: web, field: .status.phase, eq: Running}", PASSED),
        ("{object: pod, name: web, field: .status.phase, ne: Running}", NOT_YET),
        ("{object: pod, name: web, field: .status.missing, eq: 1}", NOT_YET),
        ("{object: pod, name: web, field: .status.phase}", PASSED),
        ("{object: pod, name: web, condition: Ready}", PASSED),
        ("{object: pod, name: web, condition: Odd}", NOT_YET),
        ("{object: pod, name: web, condition: Missing}", NOT_YET),
        ("{object-count: pods, eq: 2}", PASSED),
        ("{object-count: pods, labels: {app: web}, eq: 1}", PASSED),
        ("{object-count: pods, namespace: kube-system, eq: 0}", PASSED),
    ],
)
def test_objects_are_compared_field_by_field(yaml: str, verdict: Verdict) -> None:
    seen = pods(pod(**READY), pod("shop", "3333"))
    assert found(yaml, seen).verdict is verdict


def test_what_nobody_has_looked_at_is_not_yet_and_what_cannot_be_seen_is_a_verdict_of_its_own() -> None:
    assert found("process: {comm: sleep}", Observation()).verdict is NOT_YET
    blind = Unseen(Text("ciego", "blind"))
    finding = found("process: {comm: sleep}", Observation(machines={"minion-1": blind}))
    assert (finding.verdict, finding.observed.en) == (CANNOT, "blind")
    assert found("{object: pod, name: x}", Observation(resources={PODS: blind})).verdict is CANNOT
    assert found("not: {process: {comm: sleep}}", Observation(machines={"minion-1": blind})).verdict is CANNOT


class Fixed(Check):
    """A check with a given outcome."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def expected(self, scope: object) -> Text:
        return Text(self.verdict, self.verdict)

    def evaluate(self, observation: Observation, scope: object) -> Finding:
        return Finding(self.verdict, Text("", ""), Text(self.verdict, self.verdict))


def verdict_of(combined: Check) -> Verdict:
    return judge(combined, Observation(), SCOPE).verdict


verdicts = st.lists(st.sampled_from(Verdict), min_size=1, max_size=5)


@given(verdicts)
def test_all_and_any_are_each_others_mirror(parts: list[Verdict]) -> None:
    checks = tuple(map(Fixed, parts))
    mirrored = AnyOf(any=tuple(Not(not_=part) for part in checks))
    assert verdict_of(Not(not_=All(all=checks))) is verdict_of(mirrored)


@given(verdicts)
def test_all_passes_only_if_every_part_does(parts: list[Verdict]) -> None:
    assert (verdict_of(All(all=tuple(map(Fixed, parts)))) is PASSED) == all(part is PASSED for part in parts)


@given(st.sampled_from(Verdict))
def test_not_twice_is_as_it_was(verdict: Verdict) -> None:
    assert verdict_of(Not(not_=Not(not_=Fixed(verdict)))) is verdict


def test_combinators_need_what_their_parts_need() -> None:
    both = check("all: [{process: {comm: a}}, {not: {object: pod, name: x}}]")
    assert both.needs().processes
    assert both.needs().resources == {PODS}


def test_every_kind_of_check_says_what_it_is() -> None:
    assert all(kind.__doc__ for kind in CHECKS.values())


def test_a_machine_state_is_of_the_machine_that_the_check_names() -> None:
    seen = machine(process(), name="minion-2")
    assert found("{process: {comm: sleep}, machine: minion-2}", seen).passed
    assert isinstance(seen.machines["minion-2"], MachineState)
