"""Cgroups: fields by their v2 names, counters that grew, members; over what was answered."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from observed import HOST, check, found, pod, pods, process

from kubelab.cluster.linux.cgroups import CgroupTree, Hierarchy
from kubelab.language import Text
from kubelab.lessons.answering import cgroup as answering
from kubelab.lessons.checks import Measure, Scope, judge
from kubelab.lessons.checks.cgroup_fields import CgroupField, CgroupFile, CgroupText
from kubelab.lessons.located import LessonError, read_yaml
from kubelab.lessons.memory import Memory
from kubelab.lessons.observation import MachineState, Observation, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

INIT = process(1, "init", cgroup="4:memory:/lab/m/machine/system\n1:cpu:/lab/m/machine/system")
EATER = process(8, "eat", cgroup="4:memory:/lab/m/machine/demo\n1:cpu:/lab/m/machine/system")
APP = process(
    9,
    "app",
    pids=(9, 1),
    cgroup="4:memory:/lab/m/machine/kubepods/pod1111-2222/c7\n1:cpu:/lab/m/machine/kubepods/pod1111-2222/c7",
)
STATUS = {"containerStatuses": [{"name": "main", "containerID": "kubelab://c7"}]}
V1 = "/sys/fs/cgroup/memory"


def seen(answers: dict[str, str | Unseen | None], path: str = "demo") -> Observation:
    """Return what is seen of a machine whose cgroup *path* answers so, by file; "" stands for the cgroup."""
    given_ = {
        CgroupFile("minion-1", path, file): answer
        if isinstance(answer, Unseen)
        else CgroupText(f"{V1}/{path}/{file}".rstrip("/"), answer)
        for file, answer in answers.items()
    }
    state = MachineState("minion-1", HOST, (INIT, EATER, APP))
    on = pods(pod(**STATUS), on=Observation(machines={"minion-1": state}))
    return Observation(on.machines, on.resources, given_)


EVENTS = "max 7\noom_kill 2"
PRESSURE = "some avg10=1.50 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9"
IO = "8:0 rbytes=10 wbytes=20\n8:16 rbytes=1 wbytes=2"


@pytest.mark.parametrize(
    ("yaml", "answers", "verdict"),
    [
        ("cgroup: demo", {"": ""}, PASSED),
        ("cgroup: /demo/", {"": ""}, PASSED),
        ("cgroup: demo", {"": None}, NOT_YET),
        ("{cgroup: demo, absent: true}", {"": None}, PASSED),
        ("{cgroup: demo, absent: true}", {"": ""}, NOT_YET),
        ("{cgroup: demo, field: memory.max, eq: 32M}", {"memory.max": "33554432"}, PASSED),
        ("{cgroup: demo, field: memory.max, eq: 33554432}", {"memory.max": "33554432"}, PASSED),
        ("{cgroup: demo, field: memory.max, le: 64M}", {"memory.max": "max"}, NOT_YET),
        ("{cgroup: demo, field: memory.max, eq: max}", {"memory.max": "max"}, PASSED),
        ("{cgroup: demo, field: memory.max, ne: max}", {"memory.max": None}, NOT_YET),
        ("{cgroup: demo, field: memory.max}", {"memory.max": "1"}, PASSED),
        ("{cgroup: demo, field: cpu.max, eq: 20000 100000}", {"cpu.max": "20000 100000"}, PASSED),
        ("{cgroup: demo, field: memory.events.oom_kill, ge: 2}", {"memory.events": EVENTS}, PASSED),
        ("{cgroup: demo, field: memory.events, key: oom_kill, ge: 3}", {"memory.events": EVENTS}, NOT_YET),
        ("{cgroup: demo, field: memory.events.high, ge: 0}", {"memory.events": EVENTS}, NOT_YET),
        ("{cgroup: demo, field: memory.pressure.some.total, gt: 100}", {"memory.pressure": PRESSURE}, PASSED),
        ("{cgroup: demo, field: memory.pressure.some.avg10, gt: 1}", {"memory.pressure": PRESSURE}, PASSED),
        ("{cgroup: demo, field: io.stat.rbytes, eq: 11}", {"io.stat": IO}, PASSED),
        ("{cgroup: demo, field: 'io.stat.8:16.wbytes', eq: 2}", {"io.stat": IO}, PASSED),
        ("{cgroup: demo, field: 'io.stat.8:32.wbytes', eq: 2}", {"io.stat": IO}, NOT_YET),
        ("{cgroup: demo, members: {comm: eat}}", {"": ""}, PASSED),
        ("{cgroup: demo, members: {comm: app}}", {"": ""}, NOT_YET),
        ("{cgroup: demo, members: {comm: eat}}", {"": None}, NOT_YET),
        ("{cgroup: demo, count: {eq: 1}}", {"": ""}, PASSED),
        ("{cgroup: demo, count: {eq: 0}}", {"": ""}, NOT_YET),
        ("{cgroup: demo, members: {comm: eat}, ge: 2}", {"": ""}, NOT_YET),
        ("{cgroup: demo, increased: 1}", {"": ""}, CANNOT),
        ("{cgroup: demo, controllers: [memory]}", {"cgroup.controllers": "cpu memory"}, PASSED),
        ("{cgroup: demo, controllers: [memory, io]}", {"cgroup.controllers": "cpu memory"}, NOT_YET),
        ("{cgroup: {comm: eat}, field: memory.max, eq: 1K}", {"memory.max": "1024"}, PASSED),
        ("{cgroup: {comm: nobody}, field: memory.max, eq: 1K}", {"memory.max": "1024"}, NOT_YET),
        ("{cgroup: demo, field: memory.high, eq: max}", {"memory.high": Unseen(Text("v1", "v1"))}, CANNOT),
        ("{cgroup: demo, field: memory.high, eq: max}", {}, NOT_YET),
    ],
)
def test_what_a_cgroup_says(yaml: str, answers: dict[str, str | Unseen | None], verdict: Verdict) -> None:
    assert found(yaml, seen(answers)).verdict is verdict


def questions(yaml: str) -> set[tuple[str, str, str]]:
    asked = check(yaml).questions(seen({}), Scope("minion-1"))
    return {(each.machine, each.path, each.file) for each in asked if isinstance(each, CgroupFile)}


def test_a_cgroup_is_named_by_its_path_or_by_who_is_in_it() -> None:
    assert questions("{cgroup: /a/b, field: memory.max, eq: 1}") == {("minion-1", "a/b", "memory.max")}
    assert questions("{cgroup: /, machine: m}") == {("m", "", "")}
    assert questions("{cgroup: {comm: eat}, field: memory.max}") == {("minion-1", "demo", "memory.max")}
    assert questions("{cgroup: {comm: eat}, field: cpu.max}") == {("minion-1", "system", "cpu.max")}
    pod_path = "kubepods/pod1111-2222"
    assert questions("{cgroup: {pod: web}, field: memory.max}") == {("minion-1", pod_path, "memory.max")}
    assert questions("{cgroup: {pod: web, container: main}, field: memory.max}") == {
        ("minion-1", f"{pod_path}/c7", "memory.max")
    }
    assert questions("{cgroup: {comm: nobody}, field: memory.max}") == set()


def increase(*texts: str | None, by: int = 1) -> list[Verdict]:
    """Return what is found of a counter that says these values one after another."""
    wanted = check(f"{{cgroup: demo, field: memory.events.oom_kill, increased: {by}}}")
    memory = Memory()
    verdicts = []
    for text in texts:
        memory = Memory(memory.notes)
        answer = None if text is None else f"oom_kill {text}"
        verdicts.append(judge(wanted, seen({"memory.events": answer}), Scope("minion-1", memory)).verdict)
    return verdicts


def test_a_counter_counts_from_where_it_was_when_the_step_began() -> None:
    assert increase("5", "5", "6") == [NOT_YET, NOT_YET, PASSED]
    assert increase("5", "6", "7", by=2) == [NOT_YET, NOT_YET, PASSED]


def test_in_a_cgroup_that_is_made_during_the_step_it_counts_from_zero() -> None:
    assert increase(None, "1") == [NOT_YET, PASSED]
    assert increase("5", None, "1") == [NOT_YET, NOT_YET, PASSED]
    assert increase("5", "1") == [NOT_YET, PASSED]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 5))
def test_of_a_counter_that_only_grows_the_increase_is_the_difference(steps: list[int], by: int) -> None:
    values = [sum(steps[: number + 1]) for number in range(len(steps))]
    verdicts = increase(*map(str, values), by=by)
    assert [verdict is PASSED for verdict in verdicts] == [value - values[0] >= by for value in values]


@pytest.mark.parametrize(
    ("yaml", "answers", "observed", "look"),
    [
        (
            "{cgroup: demo, field: memory.max, eq: 32M}",
            {"memory.max": "max"},
            "memory.max is max",
            f"cat {V1}/demo/memory.max",
        ),
        (
            "{cgroup: demo, field: memory.max, eq: 32M}",
            {"memory.max": None},
            f"{V1}/demo does not exist",
            "ls /sys/fs/cgroup/memory/",
        ),
        (
            "{cgroup: demo, members: {comm: app}}",
            {"": ""},
            "in it: `eat` (PID 8)",
            f"cat {V1}/demo/cgroup.procs",
        ),
        (
            "{cgroup: demo, controllers: io}",
            {"cgroup.controllers": "memory"},
            "its controllers are: memory",
            "find /sys/fs/cgroup -path '*/demo'",
        ),
    ],
)
def test_what_is_amiss_is_said_with_the_file_of_this_machines_version(
    yaml: str, answers: dict[str, Any], observed: str, look: str
) -> None:
    finding = found(yaml, seen(answers))
    assert (finding.observed.en, finding.look) == (observed, look)


def test_what_is_expected_is_said_in_both_languages() -> None:
    yaml = "{cgroup: demo, field: memory.events.oom_kill, increased: 1}"
    assert found(yaml, seen({"memory.events": EVENTS})).expected == Text(
        "en minion-1, el cgroup /demo: que memory.events.oom_kill aumente al menos en 1",
        "on minion-1, cgroup /demo: memory.events.oom_kill to increase by at least 1",
    )


@pytest.mark.parametrize(
    ("yaml", "answers", "value"),
    [
        ("{cgroup: demo, field: memory.max}", {"memory.max": "33554432"}, 33554432),
        ("{cgroup: demo, field: memory.max}", {"memory.max": None}, None),
        ("{cgroup: demo, field: memory.events.oom_kill}", {"memory.events": EVENTS}, 2),
        ("{cgroup: demo, count: {ge: 0}}", {"": ""}, 1),
        ("cgroup: demo", {"": None}, False),
    ],
)
def test_the_value_is_that_of_the_field(yaml: str, answers: dict[str, Any], value: object) -> None:
    measure = check(yaml)
    assert isinstance(measure, Measure)
    assert measure.value(seen(answers), Scope("minion-1")) == value
    assert measure.amount("1K") == 1024


@pytest.mark.parametrize(
    ("text", "file", "key"),
    [
        ("memory.max", "memory.max", ""),
        ("memory.swap.max", "memory.swap.max", ""),
        ("memory.events.oom_kill", "memory.events", "oom_kill"),
        ("memory.events.local", "memory.events.local", ""),
        ("memory.events.local.oom_kill", "memory.events.local", "oom_kill"),
        ("cpu.stat.nr_throttled", "cpu.stat", "nr_throttled"),
        ("cgroup.events.frozen", "cgroup.events", "frozen"),
    ],
)
def test_a_field_is_a_file_and_a_key_in_it(text: str, file: str, key: str) -> None:
    name = CgroupField.read(read_yaml(text, "es.md"))
    assert (name.file, name.key, str(name)) == (file, key, text)


@pytest.mark.parametrize(
    "yaml", ["{cgroup: a, field: oom_kill}", "{cgroup: a, field: mem.max}", "cgroup: a/../b"]
)
def test_what_is_no_field_or_leads_elsewhere_is_refused(yaml: str) -> None:
    with pytest.raises(LessonError):
        check(yaml)


def answers(base: Path, version: int, *controllers: str) -> dict[str, CgroupText | Unseen]:
    """Return what is answered of the cgroup /demo of a machine with one hierarchy, by file."""
    name = "" if version == 2 else controllers[0]
    tree = CgroupTree((Hierarchy(name, str(base), version, controllers),))
    here, there = tree.at("demo"), tree.as_seen_inside().at("demo")
    files = ("memory.max", "memory.high", "cpu.max", "cgroup.procs")
    return {"": answering.find(here, there)} | {file: answering.read(file, here, there) for file in files}


def test_on_v2_a_field_is_in_the_file_of_its_name(tmp_path: Path) -> None:
    before = answers(tmp_path, 2, "memory")
    assert before[""] == CgroupText("/sys/fs/cgroup/demo", None)
    assert before["memory.max"] == CgroupText("/sys/fs/cgroup/demo/memory.max", None)
    (tmp_path / "demo").mkdir()
    for file in ("memory.max", "memory.high", "cgroup.procs"):
        (tmp_path / "demo" / file).write_text("7\n")
    after = answers(tmp_path, 2, "memory")
    assert after[""] == CgroupText("/sys/fs/cgroup/demo", "")
    assert after["memory.high"] == CgroupText("/sys/fs/cgroup/demo/memory.high", "7")
    assert after["cgroup.procs"] == CgroupText("/sys/fs/cgroup/demo/cgroup.procs", "7")


def test_on_v1_it_is_in_the_file_that_v1_has_for_it_or_cannot_be_seen(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "memory.limit_in_bytes").write_text("4096\n")
    (tmp_path / "demo" / "cgroup.procs").write_text("")
    seen_ = answers(tmp_path, 1, "memory")
    assert seen_["memory.max"] == CgroupText("/sys/fs/cgroup/memory/demo/memory.limit_in_bytes", "4096")
    assert seen_["cgroup.procs"] == CgroupText("/sys/fs/cgroup/memory/demo/cgroup.procs", "")
    for file, reason in (
        (
            "memory.high",
            "this machine's cgroups have no memory.high: cgroup v1 slows nobody who uses much memory",
        ),
        ("cpu.max", "this machine has no cpu controller, which would have cpu.max"),
    ):
        unseen = seen_[file]
        assert isinstance(unseen, Unseen)
        assert unseen.reason.en.startswith(reason)
