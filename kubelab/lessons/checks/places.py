"""From where something is asked, and whom: the machines, pods, nodes and addresses of network checks.

Source: network_namespaces(7): a socket stays in the network namespace that it was made in.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from kubelab.cluster.objects import NODES, PODS, Object, key_of
from kubelab.language import Text
from kubelab.lessons import schema
from kubelab.lessons.checks.check import CannotSee, Needs, Scope, machine_state, resource_state
from kubelab.lessons.checks.pods import find_pod, ip_of, node_of, pod_processes
from kubelab.lessons.checks.selector import ProcessSelector
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Observation, Process
from kubelab.lessons.view import Verdict


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace: a machine's own, or that of one of its processes, by the machine's pid. *net* is
    the namespace's inode then: by the time that it is used, the pid may be another process's."""

    machine: str
    pid: int = 0
    net: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks: a machine, written as its name alone, or a pod or a process, from inside its network
    namespace."""

    machine: Annotated[str, "The machine's name; by default the lesson's own."] = ""
    pod: Annotated[str | None, "A pod's name."] = None
    process: Annotated[ProcessSelector | None, "A process of the machine."] = None
    namespace: Annotated[str, "The namespace that the pod is in."] = "default"

    @classmethod
    def read(cls, node: Node) -> "Origin":
        if isinstance(node.value, dict):
            return schema.read_fields(cls, node, node.mapping())
        return cls(machine=node.text())

    def needs(self) -> Needs:
        resources: frozenset[Any] = frozenset({PODS} if self.pod else ())
        machines = frozenset({self.machine} if self.machine else ())
        return Needs(bool(self.pod or self.process), resources, machines)

    def phrase(self, scope: Scope) -> Text:
        if self.pod is not None:
            return Text(f"el pod `{self.pod}`", f"pod `{self.pod}`")
        machine = self.machine or scope.machine
        if self.process is not None:
            noun = self.process.noun()
            return Text(f"el {noun.es} de {machine}", f"the {noun.en} on {machine}")
        return Text(machine, machine)

    def place(self, observation: Observation, scope: Scope) -> Place:
        """Raises CannotSee while there is no such pod or process."""
        if self.pod is not None:
            pod = the_pod(observation, self.namespace, self.pod)
            return _inside(node_of(pod), pod_processes(pod, observation), self.phrase(scope))
        name = self.machine or scope.machine
        if self.process is None:
            return Place(name)
        state = machine_state(observation, name)
        living = [found for found in self.process.find(state) if not found.is_zombie]
        return _inside(name, living, self.phrase(scope))

    def command(self, command: str, observation: Observation, scope: Scope) -> str:
        """Return how the learner runs *command* there."""
        if self.pod is not None:
            where = "" if self.namespace == "default" else f" -n {self.namespace}"
            return f"kubectl exec{where} {self.pod} -- {command}"
        name = self.machine or scope.machine
        there = "" if name == scope.machine else f"kubelab shell {name} "
        if self.process is None:
            return there + command
        try:
            return f"{there}nsenter -t {self.place(observation, scope).pid} -n {command}"
        except CannotSee:
            return there + command


def _inside(machine: str, processes: Sequence[Process], who: Text) -> Place:
    for process in processes:
        if net := process.namespaces.get("net", 0):
            return Place(machine, process.pid, net)
    raise CannotSee(
        Text(f"no hay ningún proceso vivo: {who.es}", f"no process is alive: {who.en}"), Verdict.NOT_YET
    )


def the_pod(observation: Observation, namespace: str, name: str) -> Object:
    """Return the pod. Raises CannotSee while there is none."""
    pod = find_pod(resource_state(observation, PODS), namespace, name)
    if pod is None:
        raise CannotSee(Text(f"no hay pod `{name}`", f"there is no pod `{name}`"), Verdict.NOT_YET)
    return pod


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked: an IPv4 address, written alone, or a pod, a node or a machine, each at its address."""

    address: Annotated[str, "The address."] = ""
    pod: Annotated[str | None, "A pod's name."] = None
    node: Annotated[str | None, "A node's name: its `InternalIP`."] = None
    machine: Annotated[str | None, "A machine's name."] = None
    namespace: Annotated[str, "The namespace that the pod is in."] = "default"

    @classmethod
    def read(cls, node: Node) -> "Target":
        if isinstance(node.value, dict):
            return schema.read_fields(cls, node, node.mapping())
        address = node.text()
        if not address.startswith("$"):  # A value that is not known yet.
            _check_address(address, node)
        return cls(address=address)

    def needs(self) -> Needs:
        wanted = {PODS: self.pod, NODES: self.node}
        return Needs(resources=frozenset(resource for resource, name in wanted.items() if name))

    def phrase(self) -> Text:
        if self.pod:
            return Text(f"el pod `{self.pod}`", f"pod `{self.pod}`")
        if self.node:
            return Text(f"el nodo `{self.node}`", f"node `{self.node}`")
        return Text(self.machine or self.address, self.machine or self.address)

    def resolve(self, observation: Observation) -> str:
        """Return its address, or its machine's name. Raises CannotSee while it has none."""
        if self.pod:
            return _known(ip_of(the_pod(observation, self.namespace, self.pod)), self.phrase())
        if self.node:
            return _known(_internal_ip(observation, self.node), self.phrase())
        return self.machine or self.address


def _check_address(text: str, node: Node) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise node.error(
            f"«{text}» no es una dirección IPv4; un pod se escribe {{pod: NOMBRE}}, y así node y machine.",
            f"“{text}” is no IPv4 address; a pod is written {{pod: NAME}}, and so are node and machine.",
        ) from None


def _known(address: str, who: Text) -> str:
    if not address:
        raise CannotSee(Text(f"{who.es} todavía no tiene IP", f"{who.en} has no IP yet"), Verdict.NOT_YET)
    return address


def _internal_ip(observation: Observation, name: str) -> str:
    nodes = resource_state(observation, NODES).objects
    node = next((node for node in nodes if key_of(node).name == name), None)
    if node is None:
        raise CannotSee(Text(f"no hay nodo `{name}`", f"there is no node `{name}`"), Verdict.NOT_YET)
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((str(each["address"]) for each in addresses if each.get("type") == "InternalIP"), "")
