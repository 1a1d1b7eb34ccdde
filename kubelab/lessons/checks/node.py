"""`node`: whether a node is Ready, its taints, its heartbeats, and the cable of its machine.

A heartbeat's age is not the difference of two clocks, the node's and ours, but how long ago we saw the last
one come in, as the node lifecycle controller has it.
Source: kubernetes, pkg/controller/nodelifecycle/node_lifecycle_controller.go (tryUpdateNodeHealth);
https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats; netdevice(7) (carrier).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from kubelab.cluster.objects import LEASES, NODES, Key, Object, key_of
from kubelab.cluster.pods import condition_of
from kubelab.language import Text
from kubelab.lessons.checks import aspects
from kubelab.lessons.checks.aspects import Aspect
from kubelab.lessons.checks.check import (
    NOT_LOOKED_YET,
    CannotSee,
    Finding,
    Measure,
    Needs,
    Scope,
    check,
    machine_state,
    resource_state,
)
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Link, Network, Observation, Unseen
from kubelab.lessons.view import Verdict

LEASE_NAMESPACE = "kube-node-lease"
CABLE = "eth0"

NodeStatus = Literal["Ready", "NotReady", "Unknown"]
_STATUSES: Mapping[NodeStatus, tuple[str, ...]] = {
    "Ready": ("True",),
    "NotReady": ("False", "Unknown"),
    "Unknown": ("Unknown",),
}


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: Annotated[str, "Its key."]
    value: Annotated[str | None, "Its value; by default any."] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None, "Its effect; by default any."
    ] = None

    def __str__(self) -> str:
        value = f"={self.value}" if self.value else ""
        return f"{self.key}{value}" + (f":{self.effect}" if self.effect else "")

    def matches(self, taint: Object) -> bool:
        return (
            taint.get("key") == self.key
            and self.value in (None, taint.get("value") or "")
            and self.effect in (None, taint.get("effect"))
        )


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    """The renewal of the lease that was seen last, when, and whether it came in under our eyes."""

    renewed: str
    seen_s: float
    witnessed: bool


@check
class NodeCheck(Measure):
    """All that is written holds of a node. As a value it is the seconds since its last heartbeat, if
    `heartbeat-age` is written, else the status of its condition Ready."""

    node: Annotated[str, "The node's name."]
    status: Annotated[
        NodeStatus | None,
        "As `kubectl get nodes` has it; `Unknown` is the NotReady of a node that is not heard.",
    ] = None
    taints: Annotated[tuple[Taint, ...], "Taints that it has."] = ()
    taints_not: Annotated[tuple[Taint, ...], "Taints that it has not."] = ()
    cordoned: Annotated[bool | None, "It takes no new pods (`spec.unschedulable`), or it does."] = None
    heartbeat_age: Annotated[
        Comparison | None, "The seconds since its last heartbeat (its Lease was renewed) came in."
    ] = None
    cable: Annotated[
        Literal["plugged", "cut"] | None, "The cable of the machine of that name is plugged in, or is not."
    ] = None

    example = "{node: minion-2, status: NotReady, taints: {key: node.kubernetes.io/unreachable}}"

    def needs(self) -> Needs:
        resources = {NODES} | ({LEASES} if self.heartbeat_age else set())
        if self.cable is None:
            return Needs(resources=frozenset(resources))
        return Needs(True, frozenset(resources), frozenset({self.node}))

    def expected(self, scope: Scope) -> Text:
        phrases = aspects.joined(self._phrases())
        if not phrases.en:
            return Text(f"que exista el nodo `{self.node}`", f"node `{self.node}` to exist")
        return Text(f"nodo `{self.node}`: {phrases.es}", f"node `{self.node}`: {phrases.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        found = list(self._aspects(self._object(observation), observation, scope))
        shown = [aspect for aspect in found if not aspect.holds] or found
        observed = (
            aspects.joined(aspect.observed for aspect in shown) if shown else Text("existe", "it exists")
        )
        look = next((aspect.look for aspect in shown if aspect.look), f"kubectl describe node {self.node}")
        return self.finding(all(aspect.holds for aspect in found), scope, observed, look)

    def value(self, observation: Observation, scope: Scope) -> Any:
        if self.heartbeat_age is not None:
            return round(observation.at_s - self._heartbeat(observation, scope).seen_s, 1)
        return _ready(self._object(observation))

    def _phrases(self) -> Iterator[Text]:
        if self.status is not None:
            yield Text(self.status, self.status)
        for taint in self.taints:
            yield Text(f"taint `{taint}`", f"taint `{taint}`")
        for taint in self.taints_not:
            yield Text(f"sin taint `{taint}`", f"no taint `{taint}`")
        if self.cordoned is not None:
            yield _CORDONED if self.cordoned else _SCHEDULABLE
        if self.heartbeat_age is not None:
            age = self.heartbeat_age.phrase()
            yield Text(
                f"segundos desde su último latido: {age.es}", f"seconds since its last heartbeat: {age.en}"
            )
        if self.cable is not None:
            yield _CABLE[self.cable]

    def _object(self, observation: Observation) -> Object:
        nodes = resource_state(observation, NODES).objects
        node = next((node for node in nodes if key_of(node).name == self.node), None)
        if node is None:
            raise CannotSee(
                Text(f"no hay nodo `{self.node}`", f"there is no node `{self.node}`"), Verdict.NOT_YET
            )
        return node

    def _aspects(self, node: Object, observation: Observation, scope: Scope) -> Iterator[Aspect]:
        spec = node.get("spec") or {}
        if self.status is not None:
            ready = _ready(node)
            told = f"Ready={ready}"
            yield Aspect(ready in _STATUSES[self.status], Text(told, told), f"kubectl get node {self.node}")
        yield from self._taint_aspects(spec.get("taints") or ())
        if self.cordoned is not None:
            cordoned = bool(spec.get("unschedulable"))
            observed = _CORDONED if cordoned else _SCHEDULABLE
            yield Aspect(cordoned == self.cordoned, observed, f"kubectl get node {self.node}")
        if self.heartbeat_age is not None:
            yield self._age(self.heartbeat_age, observation, scope)
        if self.cable is not None:
            cable = self._cable(observation)
            yield Aspect(
                cable == self.cable, _CABLE[cable], f"kubelab shell {self.node} ip link show {CABLE}"
            )

    def _taint_aspects(self, taints: Iterable[Object]) -> Iterator[Aspect]:
        known = list(taints)
        look = f"kubectl get node {self.node} -o jsonpath='{{.spec.taints}}'"
        names = ", ".join(f"{taint.get('key')}:{taint.get('effect')}" for taint in known)
        observed = Text(f"taints: {names or 'ninguno'}", f"taints: {names or 'none'}")
        for wanted in self.taints:
            yield Aspect(any(map(wanted.matches, known)), observed, look)
        for unwanted in self.taints_not:
            yield Aspect(not any(map(unwanted.matches, known)), observed, look)

    def _age(self, wanted: Comparison, observation: Observation, scope: Scope) -> Aspect:
        heartbeat = self._heartbeat(observation, scope)
        age_s = observation.at_s - heartbeat.seen_s
        asked = wanted.asked()
        for bound in (asked[name] for name in ("gt", "ge") if name in asked):
            if age_s <= float(bound):
                scope.memory.wake(heartbeat.seen_s + float(bound) + 0.01)
        look = f"kubectl get lease {self.node} -n {LEASE_NAMESPACE} -o jsonpath='{{.spec.renewTime}}'"
        if not heartbeat.witnessed and not asked.keys() <= {"gt", "ge"}:
            none = Text("todavía no se ha visto llegar ninguno", "none was seen to come in yet")
            return Aspect(False, none, look)
        told = Text(f"último latido hace {age_s:.0f} s", f"last heartbeat {age_s:.0f} s ago")
        return Aspect(wanted.holds(age_s), told, look)

    def _heartbeat(self, observation: Observation, scope: Scope) -> _Heartbeat:
        leases = resource_state(observation, LEASES).objects
        key = Key(LEASE_NAMESPACE, self.node)
        lease = next((lease for lease in leases if key_of(lease) == key), None)
        if lease is None:
            raise CannotSee(
                Text(f"no hay Lease de `{self.node}`", f"there is no Lease of `{self.node}`"), Verdict.NOT_YET
            )
        renewed = str((lease.get("spec") or {}).get("renewTime"))
        subject = ("heartbeat", self.node)
        known: _Heartbeat | None = scope.memory.latest(subject)
        if known is None or known.renewed != renewed:
            known = _Heartbeat(renewed, observation.at_s, witnessed=known is not None)
            scope.memory.note(subject, known)
        return known

    def _cable(self, observation: Observation) -> Literal["plugged", "cut"]:
        link = self._link(observation)
        return "plugged" if link.up and link.carrier else "cut"

    def _link(self, observation: Observation) -> Link:
        machine = machine_state(observation, self.node)
        network = machine.networks.get(machine.namespaces.get("net", 0))
        if isinstance(network, Unseen):
            raise CannotSee(network.reason)
        if network is None:
            raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
        return _cable_link(network, self.node)


def _cable_link(network: Network, machine: str) -> Link:
    link = next((link for link in network.links if link.name == CABLE), None)
    if link is None:
        raise CannotSee(
            Text(f"{machine} no tiene ningún enlace {CABLE}", f"{machine} has no link {CABLE}"),
            Verdict.NOT_YET,
        )
    return link


def _ready(node: Object) -> str:
    return str((condition_of(node, "Ready") or {}).get("status") or "Unknown")


_CORDONED = Text("acordonado: no admite pods nuevos", "cordoned: it takes no new pods")
_SCHEDULABLE = Text("admite pods nuevos", "it takes new pods")
_CABLE: Mapping[str, Text] = {
    "plugged": Text("cable conectado", "cable plugged in"),
    "cut": Text("cable cortado", "cable cut"),
}
