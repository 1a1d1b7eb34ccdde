"""The checks on API objects, containers, nodes, requests and the store, over observations."""

from dataclasses import replace
from typing import Any

import pytest
from observed import HOST, check, machine, pod, pods, process

from kubelab.cluster.objects import CONFIGMAPS, EVENTS, LEASES, NODES, PODS, REPLICASETS, Object, Resource
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text
from kubelab.lessons.checks import Check, Finding, Measure, Scope, judge
from kubelab.lessons.checks.kinds import Objects, Served
from kubelab.lessons.checks.places import Place
from kubelab.lessons.checks.reach import Probe, Reply
from kubelab.lessons.checks.service import Requests, Tally
from kubelab.lessons.checks.store import StoreQuestion
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import Link, MachineState, Network, Observation, ResourceState, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK
BLIND = Unseen(Text("ciego", "blind"))


class Step:
    """One check over one observation after another, with the memory of one step."""

    def __init__(self, yaml: str) -> None:
        self.check = check(yaml)
        self.scope = Scope("minion-1")

    def sees(self, observation: Observation) -> Finding:
        self.scope.memory.wake_at_s = None
        return judge(self.check, observation, self.scope)

    def verdict(self, observation: Observation) -> Verdict:
        return self.sees(observation).verdict

    def asks(self, observation: Observation) -> frozenset[Any]:
        return self.check.questions(observation, self.scope)


def verdict_of(yaml: str, observation: Observation) -> Verdict:
    return Step(yaml).verdict(observation)


def resources(known: dict[Resource, Any], **rest: Any) -> Observation:
    states = {kind: seen if isinstance(seen, Unseen) else ResourceState(seen) for kind, seen in known.items()}
    return Observation(resources=states, **rest)


def value_of(yaml: str, observation: Observation) -> Any:
    measure = check(yaml)
    assert isinstance(measure, Measure)
    return measure.value(observation, Scope("minion-1"))


def an_object(name: str = "web", uid: str = "1111-2222", /, **fields: Any) -> Object:
    labels = fields.pop("labels", {"app": "web"})
    metadata = {"name": name, "namespace": "default", "uid": uid, "labels": labels, "generation": 1}
    return {"metadata": metadata | fields.pop("metadata", {}), "spec": {}, "status": {}} | fields


OWNED = {
    "ownerReferences": [
        {"kind": "Node", "name": "minion-1"},
        {"kind": "ReplicaSet", "name": "web-5d4f", "controller": True},
    ]
}
CONDITIONS = {"conditions": [{"type": "Progressing", "status": "False", "reason": "DeadlineExceeded"}]}


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("condition: Progressing", NOT_YET),
        ("condition: Progressing, status: False", PASSED),
        ("condition: Progressing, status: False, reason: DeadlineExceeded", PASSED),
        ("condition: Progressing, status: False, reason: Other", NOT_YET),
        ("condition: Ready, status: False", NOT_YET),
        ("owner: {kind: ReplicaSet}", PASSED),
        ("owner: {kind: replicaset, name: web-5d4f}", PASSED),
        ("owner: {kind: ReplicaSet, name: other}", NOT_YET),
        ("owner: {kind: Node}", NOT_YET),
        ("owner: {kind: Node, controller: false}", PASSED),
        ("orphan: true", NOT_YET),
        ("field: '{.spec.cpu}', eq: 0.5", PASSED),
        ("field: '{.spec.memory}', ge: 64Mi", PASSED),
        ("field: '{.spec.memory}', gt: 64Mi", NOT_YET),
        ("field: '{.spec.cpu}', eq: 500m, owner: {kind: ReplicaSet}, condition: Progressing", NOT_YET),
    ],
)
def test_all_that_is_written_of_an_object_must_hold(keys: str, verdict: Verdict) -> None:
    obj = an_object(metadata=OWNED, status=CONDITIONS, spec={"cpu": "500m", "memory": "64Mi"})
    assert (
        verdict_of(f"{{object: replicaset, name: web, {keys}}}", resources({REPLICASETS: (obj,)})) is verdict
    )


def test_what_does_not_hold_is_told_and_where_to_look() -> None:
    wanted = (
        "{object: pod, name: web, field: .status.phase, eq: Running, owner: {kind: ReplicaSet, name: web}}"
    )
    finding = Step(wanted).sees(resources({PODS: (pod(),)}))
    assert finding.expected.en == "`pod/web`: {.status.phase} equal to Running; owner `ReplicaSet/web`"
    assert finding.expected.es == "`pod/web`: {.status.phase} igual a Running; dueño `ReplicaSet/web`"
    assert finding.observed == Text("no tiene dueño", "it has no owner")
    assert finding.look == "kubectl get pod web -o jsonpath='{.metadata.ownerReferences}'"


def test_an_object_whose_name_is_random_is_found_by_its_labels() -> None:
    wanted = "{object: pod, labels: 'app in (web, shop),!old', field: '{.status.phase}', eq: Running}"
    failing = pod("web-1", "a", phase="Pending")
    assert verdict_of(wanted, resources({PODS: (failing,)})) is NOT_YET
    assert (
        Step(wanted).sees(resources({PODS: (failing,)})).observed.en
        == "there is no `pod` with `app in (shop,web),!old`"
    )
    failing["metadata"]["labels"] = {"app": "web"}
    seen = resources({PODS: (failing, pod("web", "b"))})
    assert verdict_of(wanted, seen) is PASSED
    assert value_of("{object: pod, labels: app=web, field: .metadata.name}", seen) == "web-1"


def test_gone_is_what_was_there_since_the_step_began() -> None:
    wanted = "{object: configmap, name: web, gone: true}"
    step = Step(wanted)
    assert step.verdict(resources({CONFIGMAPS: ()})) is NOT_YET
    assert step.verdict(resources({CONFIGMAPS: (an_object(),)})) is NOT_YET
    assert step.verdict(resources({CONFIGMAPS: ()})) is PASSED
    departed = Observation(resources={CONFIGMAPS: ResourceState((), (an_object(),))})
    assert verdict_of(wanted, departed) is PASSED


def test_a_number_increased_since_the_step_first_saw_it() -> None:
    step = Step("{object: replicaset, name: web, field: .metadata.generation, increased: 2}")
    for generation, verdict in ((5, NOT_YET), (6, NOT_YET), (7, PASSED)):
        obj = an_object(metadata={"generation": generation})
        assert step.verdict(resources({REPLICASETS: (obj,)})) is verdict
    assert (
        step.verdict(resources({REPLICASETS: (an_object("web", "new", metadata={"generation": 9}),)}))
        is NOT_YET
    )


def test_restarts_of_all_containers_are_added_up() -> None:
    step = Step(
        "{object: pod, name: web, field: '{.status.containerStatuses[*].restartCount}', increased: 2}"
    )
    for counts, verdict in (((0, 3), NOT_YET), ((1, 4), PASSED)):
        statuses = [{"restartCount": count} for count in counts]
        assert step.verdict(resources({PODS: (pod(containerStatuses=statuses),)})) is verdict


def event(reason: str = "FailedScheduling", count: int = 1, **about: Any) -> Object:
    involved = {"kind": "Pod", "namespace": "default", "name": "web", "uid": "1111-2222"} | about
    return an_object(
        "e", "e", reason=reason, type="Warning", message="0/2 nodes", count=count, involvedObject=involved
    )


@pytest.mark.parametrize(
    ("keys", "happened", "verdict"),
    [
        ("reason: FailedScheduling", event(), PASSED),
        ("reason: FailedScheduling, type: Normal", event(), NOT_YET),
        ("type: Warning, contains: nodes", event("Other"), PASSED),
        ("contains: insufficient", event(), NOT_YET),
        ("reason: Scheduled", event(), NOT_YET),
        ("count: {ge: 3}", event(count=3), PASSED),
        ("count: {eq: 0}", event(), NOT_YET),
        ("reason: FailedScheduling", event(uid="another"), NOT_YET),
        ("reason: FailedScheduling", event(uid=""), PASSED),
        ("reason: FailedScheduling", event(kind="ReplicaSet"), NOT_YET),
        ("reason: FailedScheduling", event() | {"series": {"count": 9}}, PASSED),
    ],
)
def test_events_are_those_about_the_object(keys: str, happened: Object, verdict: Verdict) -> None:
    seen = resources({PODS: (pod(),), EVENTS: (happened,)})
    assert verdict_of(f"{{object: pod, name: web, events: {{{keys}}}}}", seen) is verdict


def test_new_events_are_those_since_the_step_began() -> None:
    step = Step("{object: pod, name: web, events: {reason: BackOff, new: true}}")
    assert step.verdict(resources({PODS: (pod(),), EVENTS: (event("BackOff", 4),)})) is NOT_YET
    assert step.verdict(resources({PODS: (pod(),), EVENTS: (event("BackOff", 5),)})) is PASSED
    assert (
        value_of(
            "{object: pod, name: web, events: {}}", resources({PODS: (pod(),), EVENTS: (event("X", 5),)})
        )
        == 5
    )


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ("", 3),
        ("labels: {app: web}", 2),
        ("labels: 'app in (web, shop)'", 3),
        ("labels: app!=web", 1),
        ("labels: {app: web}, fields: status.phase=Running", 1),
        ("fields: status.phase!=Running", 1),
    ],
)
def test_objects_are_counted_by_label_and_field_selectors(keys: str, count: int) -> None:
    pending = pod("web-2", "b", phase="Pending")
    pending["metadata"]["labels"] = {"app": "web"}
    seen = resources({PODS: (pod(), pending, pod("shop", "c"))})
    assert value_of(f"{{object-count: pods, {keys}}}".replace(", }", "}"), seen) == count


@pytest.mark.parametrize("yaml", ["{object: pod, labels: 'a in'}", "{object-count: pods, fields: phase}"])
def test_a_selector_that_is_none_is_the_authors_error(yaml: str) -> None:
    with pytest.raises(LessonError, match="selector"):
        check(yaml)


def test_a_field_is_a_value_for_captures() -> None:
    seen = resources({PODS: (pod(),), CONFIGMAPS: ()})
    assert value_of("{object: pod, name: web, field: .metadata.uid}", seen) == "1111-2222"
    assert value_of("{object: pod, name: web, field: '{.metadata.*}'}", seen)[0] == "web"
    assert value_of("{object: pod, name: web, field: .nope}", seen) is None
    assert value_of("{object: pod, name: web}", seen) is True
    assert value_of("{object: configmap, name: web, condition: Ready}", seen) is None


WIDGETS = Resource("example.com", "v1", "widgets", "Widget", namespaced=True)


def test_kinds_that_are_not_watched_are_asked_for() -> None:
    step = Step("{object: widgets.example.com, name: web}")
    question = Objects("widgets", "example.com")
    assert step.check.needs().resources == frozenset()
    assert step.asks(Observation()) == {question}
    assert step.verdict(Observation()) is NOT_YET
    served = Served(WIDGETS, ResourceState((an_object(),)))
    assert step.verdict(Observation(answers={question: served})) is PASSED
    assert step.verdict(Observation(answers={question: BLIND})) is CANNOT
    assert (
        verdict_of("{object-count: services, eq: 0}", Observation(answers={Objects("services", ""): BLIND}))
        is CANNOT
    )


def test_a_built_in_kind_is_known_by_its_names_and_a_misspelt_one_is_the_authors_error() -> None:
    for name in ("Service", "services", "deployments.apps", "NetworkPolicy", "ingresses", "endpoints"):
        check(f"{{object: {name}, name: x}}")
    with pytest.raises(LessonError, match="statefulset"):
        check("{object: statefulst, name: x}")


def container(name: str = "c", **fields: Any) -> Object:
    return {
        "name": name,
        "ready": True,
        "restartCount": 0,
        "imageID": "img@sha256:abc",
        "state": {"running": {}},
    } | fields


def ended(reason: str, code: int) -> Object:
    return {"terminated": {"reason": reason, "exitCode": code}}


@pytest.mark.parametrize(
    ("keys", "statuses", "verdict"),
    [
        ("restarts: {eq: 0}", [container()], PASSED),
        ("restarts: {ge: 2}", [container(restartCount=1), container("d", restartCount=1)], PASSED),
        (
            "restarts: {ge: 2}, container: d",
            [container(restartCount=1), container("d", restartCount=1)],
            NOT_YET,
        ),
        ("ready: {eq: 1}", [container(), container("d", ready=False)], PASSED),
        ("state: running", [container()], PASSED),
        (
            "state: waiting, reason: CrashLoopBackOff",
            [container(state={"waiting": {"reason": "CrashLoopBackOff"}})],
            PASSED,
        ),
        ("reason: Completed, exit-code: 0", [container(state=ended("Completed", 0))], PASSED),
        ("exit-code: 0", [container()], NOT_YET),
        ("exit-code: 137", [container(state=ended("OOMKilled", 137))], PASSED),
        ("last: {reason: OOMKilled}", [container(lastState=ended("OOMKilled", 137))], PASSED),
        ("last: {exit-code: 1}", [container(lastState=ended("OOMKilled", 137))], NOT_YET),
        ("last: {exit-code: 1}", [container()], NOT_YET),
        ("container: d, state: running", [container()], NOT_YET),
        ("container: d, state: running", [container(state={}), container("d")], PASSED),
        (
            "state: running, last: {exit-code: 1}",
            [container(), container("d", lastState=ended("Error", 1), state={})],
            NOT_YET,
        ),
        ("image-id: 'sha256:abc'", [container()], PASSED),
        ("image-id: 'sha256:def'", [container()], NOT_YET),
        ("qos: BestEffort", [], PASSED),
        ("qos: Guaranteed", [], NOT_YET),
        ("phase: Running", [], PASSED),
        ("phase: Failed", [], NOT_YET),
        ("state: running", [], NOT_YET),
    ],
)
def test_containers_are_told_by_their_states(keys: str, statuses: list[Object], verdict: Verdict) -> None:
    seen = resources({PODS: (pod(containerStatuses=statuses),)})
    assert verdict_of(f"{{pod: web, {keys}}}", seen) is verdict


def test_an_end_is_told_with_reason_and_exit_code() -> None:
    status = container(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended("OOMKilled", 137))
    finding = Step("{pod: web, state: running}").sees(resources({PODS: (pod(containerStatuses=[status]),)}))
    assert finding.observed.en == "c: waiting (CrashLoopBackOff) ← terminated (OOMKilled, exit 137)"
    assert verdict_of("{pod: other, state: running}", resources({PODS: ()})) is NOT_YET


def test_a_pods_processes_are_those_in_its_cgroup_on_its_node() -> None:
    inside = {"cgroup": "/kubepods/pod1111-2222/c"}
    seen = pods(pod(), on=machine(process(7, **inside), process(8, state="Z", **inside), process(9)))
    assert verdict_of("{pod: web, processes: {eq: 1}}", seen) is PASSED
    finding = Step("{pod: web, processes: {ge: 2}}").sees(seen)
    assert (finding.verdict, finding.look) == (NOT_YET, "ps -o pid,args -p 7")


def node(ready: str = "True", **spec: Any) -> Object:
    status = {
        "conditions": [{"type": "Ready", "status": ready}],
        "addresses": [{"type": "InternalIP", "address": "10.1.0.2"}],
    }
    return {"metadata": {"name": "minion-1", "uid": "n"}, "spec": spec, "status": status}


TAINT = {"key": "disk", "value": "ssd", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("keys", "seen", "verdict"),
    [
        ("status: Ready", node(), PASSED),
        ("status: Ready", node("Unknown"), NOT_YET),
        ("status: NotReady", node("Unknown"), PASSED),
        ("status: NotReady", node("False"), PASSED),
        ("status: Unknown", node("False"), NOT_YET),
        ("status: Unknown", node("Unknown"), PASSED),
        ("taints: {key: disk}", node(taints=[TAINT]), PASSED),
        ("taints: {key: disk, value: ssd, effect: NoSchedule}", node(taints=[TAINT]), PASSED),
        ("taints: {key: disk, effect: NoExecute}", node(taints=[TAINT]), NOT_YET),
        ("taints: [{key: disk}, {key: gpu}]", node(taints=[TAINT]), NOT_YET),
        ("taints-not: {key: disk}", node(taints=[TAINT]), NOT_YET),
        ("taints-not: {key: gpu}", node(taints=[TAINT]), PASSED),
        ("cordoned: true", node(unschedulable=True), PASSED),
        ("cordoned: true", node(), NOT_YET),
        ("cordoned: false", node(), PASSED),
        ("cordoned: false, status: Ready", node("False"), NOT_YET),
    ],
)
def test_a_node_is_told_by_its_condition_its_taints_and_its_spec(
    keys: str, seen: Object, verdict: Verdict
) -> None:
    assert verdict_of(f"{{node: minion-1, {keys}}}", resources({NODES: (seen,)})) is verdict


def heard(at_s: float, renewed: str | None) -> Observation:
    """Return what is seen at that moment of a node whose Lease was *renewed* last at that time of its own."""
    lease = {"metadata": {"name": "minion-1", "namespace": "kube-node-lease"}, "spec": {"renewTime": renewed}}
    return resources({NODES: (node(),), LEASES: (lease,) if renewed else ()}, at_s=at_s)


def test_a_heartbeat_is_as_old_as_it_is_since_it_came_in_whatever_the_nodes_clock_says() -> None:
    step = Step("{node: minion-1, heartbeat-age: {gt: 10}}")
    assert step.verdict(heard(100, "2001-01-01T00:00:00Z")) is NOT_YET
    assert step.scope.memory.wake_at_s == pytest.approx(110, abs=0.1)
    assert step.verdict(heard(109, "2001-01-01T00:00:05Z")) is NOT_YET
    assert step.verdict(heard(111, "2001-01-01T00:00:05Z")) is NOT_YET
    assert step.verdict(heard(119.5, "2001-01-01T00:00:05Z")) is PASSED


def test_that_a_heartbeat_is_fresh_is_known_only_once_one_came_in() -> None:
    step = Step("{node: minion-1, heartbeat-age: {lt: 5}}")
    assert step.verdict(heard(100, "a")) is NOT_YET
    assert step.verdict(heard(102, "a")) is NOT_YET
    assert step.verdict(heard(103, "b")) is PASSED
    assert step.verdict(heard(110, "b")) is NOT_YET
    assert verdict_of("{node: minion-1, heartbeat-age: {lt: 5}}", heard(100, None)) is NOT_YET
    assert value_of("{node: minion-1, heartbeat-age: {gt: 0}}", heard(100, "a")) == 0


@pytest.mark.parametrize(
    ("up", "carrier", "word"), [(True, True, "plugged"), (True, False, "cut"), (False, False, "cut")]
)
def test_a_cable_is_cut_when_the_machines_link_has_no_carrier(up: bool, carrier: bool, word: str) -> None:
    cable = Link(2, "eth0", "veth", up, carrier, 1500, "")
    state = MachineState("minion-1", HOST, networks={HOST["net"]: Network((cable,))})
    seen = resources({NODES: (node(),)}, machines={"minion-1": state})
    other = {"plugged": "cut", "cut": "plugged"}[word]
    assert verdict_of(f"{{node: minion-1, cable: {word}}}", seen) is PASSED
    assert verdict_of(f"{{node: minion-1, cable: {other}}}", seen) is NOT_YET


def test_a_network_that_cannot_be_looked_at_leaves_the_cable_unknown() -> None:
    wanted = "{node: minion-1, cable: cut}"
    for network, verdict in ((BLIND, CANNOT), (Network(), NOT_YET)):
        state = MachineState("minion-1", HOST, networks={HOST["net"]: network})
        assert verdict_of(wanted, resources({NODES: (node(),)}, machines={"minion-1": state})) is verdict
    assert (
        verdict_of(
            wanted, resources({NODES: (node(),)}, machines={"minion-1": MachineState("minion-1", HOST)})
        )
        is NOT_YET
    )
    assert verdict_of(wanted, resources({NODES: BLIND})) is CANNOT
    assert verdict_of(wanted, resources({NODES: ()})) is NOT_YET


ADDRESS = "10.1.0.7"


@pytest.mark.parametrize(
    ("keys", "reply", "verdict"),
    [
        ("", Reply("echo"), PASSED),
        ("", Reply("silence"), NOT_YET),
        ("", Reply("unreachable", "No route to host"), NOT_YET),
        ("answers: false", Reply("silence"), PASSED),
        ("answers: false", Reply("unreachable"), PASSED),
        ("answers: false", Reply("echo"), NOT_YET),
        ("by: tcp", Reply("refused"), PASSED),
        ("by: tcp, port: 80", Reply("open"), PASSED),
        ("by: tcp, port: 80, open: true", Reply("refused"), NOT_YET),
        ("by: tcp, port: 80, open: true", Reply("open"), PASSED),
        ("by: tcp, port: 80, open: false", Reply("refused"), PASSED),
        ("by: tcp, port: 80, open: false", Reply("silence"), NOT_YET),
        ("by: tcp, answers: false", Reply("refused"), NOT_YET),
        ("by: http", Reply("response", status=404), PASSED),
        ("by: http, status: 200", Reply("response", status=404), NOT_YET),
        ("by: http, contains: hola", Reply("response", status=200, body="¡hola!"), PASSED),
        ("by: http, contains: hola", Reply("response", status=200, body="adiós"), NOT_YET),
        ("by: http", Reply("no HTTP"), NOT_YET),
        ("by: http, answers: false", Reply("refused"), PASSED),
        ("by: http, answers: false", Reply("no HTTP"), PASSED),
    ],
)
def test_a_refused_connection_is_an_answer_but_no_open_port(
    keys: str, reply: Reply, verdict: Verdict
) -> None:
    step = Step(f"{{reach: {ADDRESS}, {keys}}}".replace(", }", "}"))
    (probe,) = step.asks(Observation())
    assert step.verdict(Observation()) is NOT_YET
    assert step.verdict(Observation(answers={probe: reply})) is verdict
    assert step.verdict(Observation(answers={probe: BLIND})) is CANNOT


def only(questions: frozenset[Any]) -> Any:
    (question,) = questions
    return question


def test_who_is_asked_and_who_asks_may_be_pods_nodes_machines_and_processes() -> None:
    inside = {"cgroup": "/kubepods/pod1111-2222/c", "namespaces": {"net": 30}}
    seen = pods(pod(), on=machine(process(7, **inside), process(9, "nc", namespaces={"net": 31})))
    seen = replace(seen, resources={**seen.resources, NODES: ResourceState((node(),))})
    asked = {
        "{reach: {pod: web}}": Probe(Place("minion-1"), "10.0.0.9", "ping"),
        "{reach: {node: minion-1}}": Probe(Place("minion-1"), "10.1.0.2", "ping"),
        "{reach: {machine: minion-2}, from: minion-2}": Probe(Place("minion-2"), "minion-2", "ping"),
        "{reach: 1.2.3.4, from: {pod: web}}": Probe(Place("minion-1", 7, 30), "1.2.3.4", "ping"),
        "{reach: 1.2.3.4, from: {process: {comm: nc}}}": Probe(Place("minion-1", 9, 31), "1.2.3.4", "ping"),
        "{reach: 1.2.3.4, by: tcp}": Probe(Place("minion-1"), "1.2.3.4", "tcp", 1),
        "{reach: 1.2.3.4, by: http, path: /x}": Probe(Place("minion-1"), "1.2.3.4", "http", 80, "/x"),
    }
    for yaml, probe in asked.items():
        assert only(Step(yaml).asks(seen)) == probe, yaml
    for yaml in (
        "{reach: {pod: nope}}",
        "{reach: {node: nope}}",
        "{reach: 1.2.3.4, from: {process: {comm: vim}}}",
    ):
        assert Step(yaml).asks(seen) == frozenset()
        assert verdict_of(yaml, seen) is NOT_YET


def test_the_learner_is_told_how_to_ask_from_there() -> None:
    inside = {"cgroup": "/kubepods/pod1111-2222/c", "namespaces": {"net": 30}}
    seen = pods(pod(), on=machine(process(7, **inside)))
    looks = {
        "{reach: 1.2.3.4}": "ping -c 1 -W 1 1.2.3.4",
        "{reach: 1.2.3.4, from: minion-2}": "kubelab shell minion-2 ping -c 1 -W 1 1.2.3.4",
        "{reach: 1.2.3.4, from: {pod: web}}": "kubectl exec web -- ping -c 1 -W 1 1.2.3.4",
        "{reach: 1.2.3.4, from: {process: {pid: 7}}}": "nsenter -t 7 -n ping -c 1 -W 1 1.2.3.4",
    }
    for yaml, look in looks.items():
        step = Step(yaml)
        answered = replace(seen, answers={only(step.asks(seen)): Reply("silence")})
        assert step.sees(answered).look == look


def test_what_is_no_address_is_the_authors_error_but_a_captured_one_is_not_known_yet() -> None:
    with pytest.raises(LessonError, match="IPv4"):
        check("reach: web")
    assert isinstance(check("reach: $IP"), Check)


REQUESTS = Requests(Place("minion-1"), "10.96.0.1", 80, "/", 10, 0)


@pytest.mark.parametrize(
    ("keys", "tally", "verdict"),
    [
        ("", Tally(10, (("a", 10),)), PASSED),
        ("", Tally(3, (("a", 2),), 1, "refused"), NOT_YET),
        ("backends: 2", Tally(10, (("a", 10),)), NOT_YET),
        ("backends: 2", Tally(10, (("a", 9), ("b", 1))), PASSED),
        ("backends: 2", Tally(10, (("a", 5), ("b", 4), ("c", 1))), NOT_YET),
    ],
)
def test_requests_reach_each_backend_without_an_error(keys: str, tally: Tally, verdict: Verdict) -> None:
    step = Step(f"{{requests: 10, to: 10.96.0.1, {keys}}}".replace(", }", "}"))
    assert step.asks(Observation()) == {REQUESTS}
    assert step.verdict(Observation()) is NOT_YET
    assert step.verdict(Observation(answers={REQUESTS: tally})) is verdict


def test_some_errors_may_be_allowed() -> None:
    step = Step("{requests: 10, to: 10.96.0.1, errors: 1}")
    assert (
        step.verdict(Observation(answers={replace(REQUESTS, errors_max=1): Tally(10, (("a", 9),), 1)}))
        is PASSED
    )
    assert (
        step.verdict(Observation(answers={replace(REQUESTS, errors_max=1): Tally(5, (("a", 3),), 2)}))
        is NOT_YET
    )


def test_between_requests_there_is_a_rest_in_which_what_they_told_still_counts() -> None:
    step = Step("{requests: 10, to: 10.96.0.1, backends: 2}")
    answered = Observation(answers={REQUESTS: Tally(10, (("a", 10),))}, at_s=100)
    assert step.verdict(answered) is NOT_YET
    assert step.asks(answered) == frozenset()
    assert step.scope.memory.wake_at_s == 100.5
    resting = Observation(at_s=100.2)
    assert "a (10)" in step.sees(resting).observed.en
    assert step.asks(resting) == frozenset()
    assert step.asks(Observation(at_s=100.5)) == {REQUESTS}
    assert step.verdict(Observation(answers={REQUESTS: BLIND}, at_s=101)) is CANNOT


def backend(name: str, uid: str, ip: str, ready: str = "True") -> Object:
    made = pod(name, uid, podIP=ip, conditions=[{"type": "Ready", "status": ready}])
    made["metadata"]["labels"] = {"app": "web"}
    return made


def test_backends_named_by_labels_are_the_ready_pods_and_each_must_answer() -> None:
    wanted = "{requests: 10, to: 10.96.0.1, labels: {app: web}}"
    known = (
        backend("web-1", "a", "10.0.0.1"),
        backend("web-2", "b", "10.0.0.2"),
        backend("web-3", "c", "", "False"),
    )

    def told(*reached: str) -> Finding:
        tally = Tally(10, tuple((name, 1) for name in reached))
        return Step(wanted).sees(resources({PODS: known}, answers={REQUESTS: tally}))

    assert told("hello from web-1", "web-2").passed
    assert told("10.0.0.1:8080", "10.0.0.2").passed
    assert told("web-1", "web-22").observed.en.endswith("; not by: web-2")
    assert told("web-1", "10.0.0.20").verdict is NOT_YET
    assert verdict_of(wanted, resources({PODS: ()}, answers={REQUESTS: Tally(10)})) is NOT_YET


def service(**spec: Any) -> Served:
    kind = Resource("", "v1", "services", "Service", namespaced=True)
    return Served(
        kind, ResourceState((an_object(spec={"clusterIP": "10.96.0.1", "ports": [{"port": 80}]} | spec),))
    )


def test_a_services_address_is_looked_up_first() -> None:
    step, question = Step("{requests: 10, service: web}"), Objects("services", "")
    assert step.asks(Observation()) == {question}
    assert step.asks(Observation(answers={question: service()})) == {question, REQUESTS}
    headless = Observation(answers={question: service(clusterIP="None")})
    assert step.sees(headless).observed.en == "Service `web` has no clusterIP"
    assert verdict_of("{requests: 10, service: other}", Observation(answers={question: service()})) is NOT_YET
    assert step.verdict(Observation(answers={question: BLIND})) is CANNOT


def stored(revision: int = 5, **fields: Any) -> Observation:
    return Observation(answers={StoreQuestion(): StoreState(("m-1", "m-2", "m-3"), revision, **fields)})


RAFT = {"term": 4, "leader": "m-2", "alive": ("m-2", "m-3"), "compacted": 3}


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("store: leader, eq: m-2", PASSED),
        ("store: leader, ne: m-2", NOT_YET),
        ("store: leader, ne: m-1", PASSED),
        ("store: term, gt: 3", PASSED),
        ("store: term, gt: 4", NOT_YET),
        ("store: revision, ge: 5", PASSED),
        ("store: members, eq: 3", PASSED),
        ("store: alive, eq: 2", PASSED),
        ("store: quorum, eq: true", PASSED),
        ("store: quorum, eq: false", NOT_YET),
        ("store: compacted, ge: 3", PASSED),
        ("store: compacted, ge: 4", NOT_YET),
    ],
)
def test_the_stores_figures_are_compared(keys: str, verdict: Verdict) -> None:
    assert verdict_of(f"{{{keys}}}", stored(**RAFT)) is verdict


def test_while_there_is_no_leader_it_is_not_another_one() -> None:
    assert verdict_of("{store: leader, ne: m-2}", stored(term=4)) is NOT_YET


def test_a_store_without_election_has_no_leader_to_check() -> None:
    for keys in ("leader, ne: x", "term, gt: 1", "compacted, gt: 1"):
        assert verdict_of(f"{{store: {keys}}}", stored()) is CANNOT
    assert verdict_of("{store: members, eq: 3}", stored()) is PASSED
    assert verdict_of("{store: revision, gt: 1}", Observation(answers={StoreQuestion(): BLIND})) is CANNOT


def test_a_term_grows_since_the_step_began() -> None:
    step = Step("{store: term, increased: 1}")
    assert step.verdict(stored(term=4)) is NOT_YET
    assert step.verdict(stored(term=5)) is PASSED


def written(revision: int, *uids: str) -> Observation:
    objects = tuple(an_object(f"n-{uid}", uid) for uid in uids)
    return replace(stored(revision), resources={CONFIGMAPS: ResourceState(objects)})


def test_committed_writes_are_preserved() -> None:
    step = Step("{preserved: configmaps, labels: app=web}")
    assert step.sees(written(3)).observed.en == "there is nothing yet that could be lost"
    assert step.verdict(written(5, "a", "b")) is PASSED
    assert step.verdict(written(6, "a", "b", "c")) is PASSED
    assert step.sees(written(7, "b", "c")).observed.en == "of 2 these are missing: n-a"
    assert step.sees(written(4, "a", "b")).observed.en == "the revision went back from 7 to 4"
    assert step.verdict(written(7)) is NOT_YET
