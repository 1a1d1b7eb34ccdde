"""`pod`: what became of a pod's containers: their states, exits and restarts, and their processes.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states; kubernetes, pkg/
apis/core/v1/helper/qos/qos.go (the class of a pod whose status does not tell it).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from kubelab.cluster.objects import PODS, Object
from kubelab.cluster.pods import qos_class
from kubelab.language import Text
from kubelab.lessons.checks import aspects
from kubelab.lessons.checks.aspects import Aspect
from kubelab.lessons.checks.check import Check, Finding, Needs, Scope, check
from kubelab.lessons.checks.places import the_pod
from kubelab.lessons.checks.pods import node_of, phase_of, pod_processes
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Observation

State = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container ended."""

    reason: Annotated[str | None, "`Completed`, `Error` or `OOMKilled`; by default any."] = None
    exit_code: Annotated[int | None, "Its exit code; 128 more than the signal that killed it."] = None

    def matches(self, state: Object) -> bool:
        ended = state.get("terminated")
        if ended is None:
            return False
        return self.reason in (None, ended.get("reason")) and self.exit_code in (None, ended.get("exitCode"))

    def phrase(self) -> Text:
        parts = [self.reason or "", "" if self.exit_code is None else f"exit {self.exit_code}"]
        told = " ".join(filter(None, ("terminated", *parts)))
        return Text(told, told)


@check
class PodCheck(Check):
    """All that is written holds of a pod. What is said of one container holds of one and the same."""

    pod: Annotated[str, "The pod's name."]
    namespace: Annotated[str, "The namespace that it is in."] = "default"
    phase: Annotated[
        Literal["Pending", "Running", "Succeeded", "Failed"] | None, "The phase that it is in."
    ] = None
    qos: Annotated[Literal["Guaranteed", "Burstable", "BestEffort"] | None, "Its QoS class."] = None
    ready: Annotated[Comparison | None, "How many of its containers are ready."] = None
    restarts: Annotated[Comparison | None, "How often its containers were restarted, all together."] = None
    processes: Annotated[
        Comparison | None, "How many processes it has on its node, pause among them, zombies not."
    ] = None
    container: Annotated[str, "The container that the following is about; by default any."] = ""
    state: Annotated[State | None, "The state that the container is in."] = None
    reason: Annotated[
        str | None, "The reason of its state, as `CrashLoopBackOff`, `Completed`, `OOMKilled`."
    ] = None
    exit_code: Annotated[int | None, "It is terminated, with this exit code."] = None
    last: Annotated[Termination | None, "How it ended the last time before it was started again."] = None
    image_id: Annotated[str | None, "A part of the id of its image: the digest."] = None

    example = "{pod: web, ready: {eq: 1}, restarts: {eq: 0}}"

    def needs(self) -> Needs:
        return Needs(self.processes is not None, frozenset({PODS}))

    def expected(self, scope: Scope) -> Text:
        phrases = aspects.joined(self._phrases())
        title = f"pod `{self.pod}`"
        if not phrases.en:
            return Text(f"que exista el {title}", f"{title} to exist")
        return Text(f"{title}: {phrases.es}", f"{title}: {phrases.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        pod = the_pod(observation, self.namespace, self.pod)
        where = "" if self.namespace == "default" else f" -n {self.namespace}"
        found = list(self._aspects(pod, observation))
        shown = [aspect for aspect in found if not aspect.holds] or found
        observed = (
            aspects.joined(aspect.observed for aspect in shown) if shown else Text("existe", "it exists")
        )
        look = next(
            (aspect.look for aspect in shown if aspect.look), f"kubectl describe pod {self.pod}{where}"
        )
        return self.finding(all(aspect.holds for aspect in found), scope, observed, look)

    def _phrases(self) -> Iterator[Text]:
        if self.phase is not None:
            yield Text(f"fase {self.phase}", f"phase {self.phase}")
        if self.qos is not None:
            yield Text(f"clase QoS {self.qos}", f"QoS class {self.qos}")
        if self.ready is not None:
            yield _counted(Text("contenedores listos", "containers ready"), self.ready)
        if self.restarts is not None:
            yield _counted(Text("reinicios", "restarts"), self.restarts)
        if self.processes is not None:
            yield _counted(Text("procesos en su nodo", "processes on its node"), self.processes)
        if self._is_about_a_container():
            yield self._container_phrase()

    def _container_phrase(self) -> Text:
        es = f"contenedor `{self.container}`" if self.container else "un contenedor"
        en = f"container `{self.container}`" if self.container else "a container"
        words = [self.state or "", self.reason or ""]
        words.append("" if self.exit_code is None else f"exit {self.exit_code}")
        words.append(f"imageID …{self.image_id}…" if self.image_id else "")
        told = " ".join(filter(None, words))
        last = Text("", "")
        if self.last is not None:
            phrase = self.last.phrase()
            last = Text(f", la última vez {phrase.es}", f", the last time {phrase.en}")
        return Text(f"{es} {told}{last.es}".replace(" ,", ","), f"{en} {told}{last.en}".replace(" ,", ","))

    def _is_about_a_container(self) -> bool:
        asked = (self.state, self.reason, self.exit_code, self.last, self.image_id)
        return bool(self.container) or any(each is not None for each in asked)

    def _aspects(self, pod: Object, observation: Observation) -> Iterator[Aspect]:
        statuses = self._statuses(pod)
        if self.phase is not None:
            phase = phase_of(pod)
            yield Aspect(phase == self.phase, Text(f"fase {phase}", f"phase {phase}"))
        if self.qos is not None:
            qos = (pod.get("status") or {}).get("qosClass") or qos_class(pod)
            yield Aspect(qos == self.qos, Text(f"clase QoS {qos}", f"QoS class {qos}"))
        if self.ready is not None:
            ready = sum(bool(status.get("ready")) for status in statuses)
            told = Text(f"contenedores listos: {ready}", f"containers ready: {ready}")
            yield Aspect(self.ready.holds(ready), told)
        if self.restarts is not None:
            restarts = sum(int(status.get("restartCount") or 0) for status in statuses)
            yield Aspect(
                self.restarts.holds(restarts), Text(f"reinicios: {restarts}", f"restarts: {restarts}")
            )
        if self.processes is not None:
            yield _processes(self.processes, pod, observation)
        if self._is_about_a_container():
            yield self._container(statuses)

    def _statuses(self, pod: Object) -> list[Object]:
        """Return the statuses of the containers that are meant: of the init ones only one that is named."""
        status = pod.get("status") or {}
        every = list(status.get("containerStatuses") or ())
        if not self.container:
            return every
        every += status.get("initContainerStatuses") or ()
        return [each for each in every if each.get("name") == self.container]

    def _container(self, statuses: list[Object]) -> Aspect:
        told = "; ".join(map(_container_told, statuses))
        observed = Text(told or "ningún contenedor ha empezado", told or "no container has begun")
        return Aspect(any(map(self._is_so, statuses)), observed)

    def _is_so(self, status: Object) -> bool:
        state = status.get("state") or {}
        name = next(iter(state), "waiting")
        details = state.get(name) or {}
        if self.exit_code is not None and (name, details.get("exitCode")) != ("terminated", self.exit_code):
            return False
        return (
            self.state in (None, name)
            and self.reason in (None, details.get("reason"))
            and (self.last is None or self.last.matches(status.get("lastState") or {}))
            and (self.image_id or "") in str(status.get("imageID") or "")
        )


def _counted(what: Text, comparison: Comparison) -> Text:
    phrase = comparison.phrase()
    return Text(f"{what.es}: {phrase.es}", f"{what.en}: {phrase.en}")


def _processes(wanted: Comparison, pod: Object, observation: Observation) -> Aspect:
    processes, node = pod_processes(pod, observation), node_of(pod)
    number = len(processes)
    pids = ",".join(str(process.pid) for process in processes)
    observed = Text(f"procesos en `{node}`: {number}", f"processes on `{node}`: {number}")
    return Aspect(wanted.holds(number), observed, f"ps -o pid,args -p {pids}" if pids else "")


def _container_told(status: Object) -> str:
    """Return "web: terminated (OOMKilled, exit 137); last time terminated (Error, exit 1)"."""
    now, last = _state_told(status.get("state") or {}), _state_told(status.get("lastState") or {})
    return f"{status.get('name')}: {now or 'waiting'}" + (f" ← {last}" if last else "")


def _state_told(state: Object) -> str:
    name = next(iter(state), "")
    details = state.get(name) or {}
    exit_code = details.get("exitCode")
    parts = [str(details.get("reason") or ""), "" if exit_code is None else f"exit {exit_code}"]
    inside = ", ".join(filter(None, parts))
    return f"{name} ({inside})" if inside else name
