"""Checks on pods that the API alone cannot answer: what it says is compared with the node's processes.

`pod-running`, `pod-answers`, `pod-shares`, `pod-gone`. What became of its containers: see `containers`.
"""

from typing import Annotated, Any

from kubelab.cluster.objects import PODS, Key, key_of, uid_of
from kubelab.language import Text
from kubelab.lessons.checks.check import (
    Check,
    Finding,
    Needs,
    Scope,
    answer_to,
    check,
    resource_state,
)
from kubelab.lessons.checks.places import the_pod
from kubelab.lessons.checks.pods import find_pod, first_processes, ip_of, node_of, phase_of, pod_processes
from kubelab.lessons.checks.reach import Reach
from kubelab.lessons.observation import NamespaceKind, Observation, Process, Unseen
from kubelab.lessons.question import Question

PAUSE = "pause"


class _PodCheck(Check):
    """What the four have in common: processes and pods are watched, and a missing pod is "not yet"."""

    __slots__ = ()

    def needs(self) -> Needs:
        return Needs(processes=True, resources=frozenset({PODS}))


def _containers(processes: list[Process]) -> list[Process]:
    return [process for process in processes if process.comm != PAUSE]


@check
class PodRunning(_PodCheck):
    """Its phase is Running, and on its node pause and a first process per container really live."""

    pod_running: Annotated[str, "The pod's name."]
    namespace: Annotated[str, "The namespace that it is in."] = "default"
    containers: Annotated[int | None, "How many containers it has; by default any number."] = None

    example = "{pod-running: web, containers: 1}"

    def expected(self, scope: Scope) -> Text:
        count = self.containers
        es = "" if count is None else f" con {count} contenedores" if count != 1 else " con 1 contenedor"
        en = "" if count is None else f" with {count} containers" if count != 1 else " with 1 container"
        return Text(
            f"el pod `{self.pod_running}`{es} en fase Running, con sus procesos vivos en su nodo",
            f"pod `{self.pod_running}`{en} in phase Running, its processes alive on its node",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        pod = the_pod(observation, self.namespace, self.pod_running)
        declared = len(pod["spec"]["containers"])
        alive = _containers(first_processes(pod_processes(pod, observation)))
        passed = phase_of(pod) == "Running" and len(alive) >= declared == (self.containers or declared)
        observed = Text(
            f"fase {phase_of(pod)}; contenedores vivos en `{node_of(pod)}`: {len(alive)} de {declared}",
            f"phase {phase_of(pod)}; containers alive on `{node_of(pod)}`: {len(alive)} of {declared}",
        )
        return self.finding(passed, scope, observed, f"kubectl describe pod {self.pod_running}")


@check
class PodAnswers(_PodCheck):
    """Something answers at the pod's IP when a machine asks."""

    pod_answers: Annotated[str, "The pod's name."]
    from_: Annotated[str, "The machine that asks; by default the lesson's own."] = ""
    namespace: Annotated[str, "The namespace that it is in."] = "default"

    example = "{pod-answers: web, from: minion-2}"

    def expected(self, scope: Scope) -> Text:
        machine = self.from_ or scope.machine
        return Text(
            f"la IP del pod `{self.pod_answers}` responde desde {machine}",
            f"the IP of pod `{self.pod_answers}` answers from {machine}",
        )

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        pods = observation.resources.get(PODS)
        if pods is None or isinstance(pods, Unseen):
            return frozenset()
        pod = find_pod(pods, self.namespace, self.pod_answers)
        address = ip_of(pod) if pod else ""
        return frozenset({Reach(self.from_ or scope.machine, address)} if address else ())

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        pod = the_pod(observation, self.namespace, self.pod_answers)
        address = ip_of(pod)
        if not address:
            observed = Text("el pod todavía no tiene IP", "the pod has no IP yet")
            return self.finding(False, scope, observed, f"kubectl get pod {self.pod_answers} -o wide")
        answer = answer_to(observation, Reach(self.from_ or scope.machine, address))
        es, en = ("responde", "answers") if answer else ("no responde", "does not answer")
        return self.finding(
            answer, scope, Text(f"{address} {es}", f"{address} {en}"), f"ip route get {address}"
        )


@check
class PodShares(_PodCheck):
    """All its containers, and pause, are in one and the same namespace of each of these kinds."""

    pod_shares: Annotated[str, "The pod's name."]
    kinds: Annotated[tuple[NamespaceKind, ...], "The kinds of Linux namespaces that are shared."]
    namespace: Annotated[str, "The Kubernetes namespace that it is in."] = "default"

    example = "{pod-shares: web, kinds: [net, ipc, uts]}"

    def expected(self, scope: Scope) -> Text:
        kinds = ", ".join(self.kinds)
        return Text(
            f"los contenedores del pod `{self.pod_shares}` comparten: {kinds}",
            f"the containers of pod `{self.pod_shares}` share: {kinds}",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        pod = the_pod(observation, self.namespace, self.pod_shares)
        firsts = first_processes(pod_processes(pod, observation))
        different = [kind for kind in self.kinds if len({process.namespaces[kind] for process in firsts}) > 1]
        complete = len(_containers(firsts)) >= len(pod["spec"]["containers"])
        look = f"lsns -p {firsts[-1].pid}" if firsts else f"kubectl get pod {self.pod_shares}"
        if not complete:
            observed = Text("faltan procesos de sus contenedores", "some containers have no process")
        elif different:
            kinds = ", ".join(different)
            observed = Text(f"no comparten: {kinds}", f"they do not share: {kinds}")
        else:
            observed = Text("los comparten", "they do")
        return self.finding(complete and not different, scope, observed, look)


@check
class PodGone(_PodCheck):
    """A pod of that name was there since the step began; now neither the object nor its processes are."""

    pod_gone: Annotated[str, "The pod's name."]
    namespace: Annotated[str, "The namespace that it was in."] = "default"

    example = "pod-gone: old"

    def expected(self, scope: Scope) -> Text:
        return Text(
            f"el pod `{self.pod_gone}` y todos sus procesos han desaparecido",
            f"pod `{self.pod_gone}` and all its processes are gone",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        pods = resource_state(observation, PODS)
        look = f"kubectl get pod {self.pod_gone} -o wide"
        present = find_pod(pods, self.namespace, self.pod_gone)
        if present is not None:
            processes = pod_processes(present, observation)
            observed = Text(
                f"el pod está ahí, con {len(processes)} procesos en `{node_of(present)}`",
                f"the pod is there, with {len(processes)} processes on `{node_of(present)}`",
            )
            return self.finding(False, scope, observed, look)
        departed = [pod for pod in pods.departed if key_of(pod) == Key(self.namespace, self.pod_gone)]
        if not departed:
            never = Text(
                "no hay pod con ese nombre, ni lo hubo en este paso", "there is none, nor was in this step"
            )
            return self.finding(False, scope, never, look)
        left = [process.pid for pod in departed for process in pod_processes(pod, observation)]
        if left:
            pids = ", ".join(map(str, left))
            return self.finding(False, scope, Text(f"quedan los PID {pids}", f"left are PIDs {pids}"), look)
        uids = ", ".join(uid_of(pod)[:8] for pod in departed)
        return self.finding(
            True, scope, Text(f"desapareció (uid {uids}…)", f"it is gone (uid {uids}…)"), look
        )
