"""`requests`: so many HTTP requests to one address reach each of its backends, without an error.

Source: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies: each
connection is given to one of the backends, so every request has a connection of its own.

Requests are a load, so on average there are no more of them than `REQUESTS_PER_S`: what they told is kept in
the step's memory, and they are sent again after a rest.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from kubelab.cluster.objects import PODS, Object, key_of
from kubelab.cluster.pods import is_ready
from kubelab.language import Text
from kubelab.lessons.checks.check import (
    NOT_LOOKED_YET,
    CannotSee,
    Check,
    Finding,
    Needs,
    Scope,
    check,
    resource_state,
)
from kubelab.lessons.checks.kinds import SERVICE, key_in
from kubelab.lessons.checks.labels import Labels
from kubelab.lessons.checks.places import Origin, Place, Target
from kubelab.lessons.checks.pods import ip_of
from kubelab.lessons.checks.reach import HTTP_PORT
from kubelab.lessons.observation import Observation, Unseen
from kubelab.lessons.question import Question
from kubelab.lessons.view import Verdict

REQUESTS_PER_S = 20
REST_S_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Tally:
    """`reached`: how often each backend answered, by what tells it apart. `error` is the first of them."""

    sent: int
    reached: tuple[tuple[str, int], ...] = ()
    errors: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Requests(Question[Tally]):
    """*number* of HTTP requests, but none after more errors than *errors_max*. A backend is told apart by the
    answer's *header*, or else by the first line of its body."""

    origin: Place
    address: str
    port: int
    path: str
    number: int
    errors_max: int
    header: str = ""

    far: ClassVar[bool] = True


@check
class RequestsCheck(Check):
    """So many HTTP requests, each by a connection of its own, are answered without an error (no connection,
    or a status from 400 on), and each of the backends answers at least one of them."""

    requests: Annotated[int, "How many requests are sent."]
    to: Annotated[Target | None, "Whom they are sent to, if not to a Service."] = None
    service: Annotated[str, "A Service: they are sent to its `clusterIP` and port."] = ""
    namespace: Annotated[str, "The namespace that the Service and the backends are in."] = "default"
    port: Annotated[int | None, "The port; by default 80, of a Service its first one."] = None
    path: Annotated[str, "What is asked for."] = "/"
    from_: Annotated[Origin | None, "Who sends them; by default the lesson's own machine."] = None
    backends: Annotated[int | None, "Exactly as many backends answer; by default any number."] = None
    labels: Annotated[
        Labels | None,
        "Each pod that has these labels and is Ready answers: what tells a backend apart has its name or IP.",
    ] = None
    header: Annotated[
        str, "The header that tells a backend apart; by default the first line of the body does."
    ] = ""
    errors: Annotated[int, "As many errors may happen."] = 0

    example = "{requests: 20, to: 10.96.0.10, port: 80, backends: 2}"

    def _origin(self) -> Origin:
        return self.from_ or Origin()

    def needs(self) -> Needs:
        needs = self._origin().needs() | Needs(resources=frozenset({PODS} if self.labels else ()))
        if self.to is not None:
            return needs | self.to.needs()
        return needs | SERVICE.needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        looked_up = frozenset() if self.to is not None else SERVICE.questions()
        try:
            question = self._question(observation, scope)
        except CannotSee:
            return looked_up
        key, at_s = (self, "rest"), observation.at_s
        if question in observation.answers:
            scope.memory.note(key, at_s + self._rest_s())
        rest_until_s = scope.memory.latest(key)
        rests = rest_until_s is not None and at_s < rest_until_s
        return looked_up if rests else looked_up | {question}

    def expected(self, scope: Scope) -> Text:
        who, origin = self._whom(), self._origin().phrase(scope)
        es, en = self._backends_phrase()
        most = f"{self.errors} " if self.errors else ""
        return Text(
            f"{self.requests} peticiones desde {origin.es} a {who.es}: "
            f"{f'como mucho {most}errores' if most else 'ningún error'}{es}",
            f"{self.requests} requests from {origin.en} to {who.en}: "
            f"{f'at most {most}errors' if most else 'no error'}{en}",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        question = self._question(observation, scope)
        tally = self._tally(question, observation, scope)
        silent = [pod for pod in self._pods(observation) if not _answered(pod, tally)]
        passed = tally.errors <= self.errors and tally.sent == self.requests and not silent
        if self.backends is not None:
            passed = passed and len(tally.reached) == self.backends
        return self.finding(passed, scope, _told(tally, silent), self._look(question, observation, scope))

    def _tally(self, question: Requests, observation: Observation, scope: Scope) -> Tally:
        """Return what was answered, now or before the present rest."""
        answer = observation.answers.get(question)
        if isinstance(answer, Unseen):
            raise CannotSee(answer.reason)
        if answer is not None:
            scope.memory.note((self, "tally"), (question, answer))
        scope.memory.wake(observation.at_s + self._rest_s())
        known: tuple[Requests, Tally] | None = scope.memory.latest((self, "tally"))
        if known is None or known[0] != question:
            raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
        return known[1]

    def _rest_s(self) -> float:
        return max(REST_S_MIN, self.requests / REQUESTS_PER_S)

    def _question(self, observation: Observation, scope: Scope) -> Requests:
        origin, (address, port) = self._origin().place(observation, scope), self._address(observation)
        return Requests(origin, address, port, self.path, self.requests, self.errors, self.header)

    def _address(self, observation: Observation) -> tuple[str, int]:
        if self.to is not None:
            return self.to.resolve(observation), self.port or HTTP_PORT
        served = SERVICE.served(observation)
        key = key_in(served.resource, self.namespace, self.service)
        service = next((obj for obj in served.state.objects if key_of(obj) == key), None)
        if service is None:
            name = self.service
            raise CannotSee(
                Text(f"no hay Service `{name}`", f"there is no Service `{name}`"), Verdict.NOT_YET
            )
        return self._vip(service)

    def _vip(self, service: Object) -> tuple[str, int]:
        spec = service.get("spec") or {}
        address, ports = str(spec.get("clusterIP") or "None"), spec.get("ports") or ()
        if address == "None" or not ports:
            name = self.service
            raise CannotSee(
                Text(f"el Service `{name}` no tiene clusterIP", f"Service `{name}` has no clusterIP"),
                Verdict.NOT_YET,
            )
        return address, self.port or int(ports[0]["port"])

    def _pods(self, observation: Observation) -> list[Object]:
        if self.labels is None:
            return []
        pods = resource_state(observation, PODS).objects
        backends = [pod for pod in pods if self._is_backend(pod)]
        if not backends:
            raise CannotSee(
                Text("ningún pod Ready tiene esas labels", "no Ready pod has these labels"), Verdict.NOT_YET
            )
        return backends

    def _is_backend(self, pod: Object) -> bool:
        labelled = self.labels is not None and self.labels.match(pod)
        return labelled and key_of(pod).namespace == self.namespace and is_ready(pod)

    def _whom(self) -> Text:
        if self.to is None:
            return Text(f"el Service `{self.service}`", f"Service `{self.service}`")
        who = self.to.phrase()
        port = self.port or HTTP_PORT
        return Text(f"{who.es}:{port}", f"{who.en}:{port}") if self.to.address else who

    def _backends_phrase(self) -> tuple[str, str]:
        if self.labels is not None:
            return (
                f", y responde cada pod Ready con {self.labels}",
                f", and each Ready pod with {self.labels} answers",
            )
        if self.backends is None:
            return "", ""
        return f", y responden {self.backends} backends", f", and {self.backends} backends answer"

    def _look(self, question: Requests, observation: Observation, scope: Scope) -> str:
        url = f"http://{question.address}:{question.port}{question.path}"
        shown = f"curl -si {url} | grep -i {self.header}:" if self.header else f"curl -s {url} | head -1"
        loop = f"for i in $(seq {self.requests}); do {shown}; done | sort | uniq -c"
        return self._origin().command(f"sh -c '{loop}'", observation, scope) if self.from_ else loop


def _answered(pod: Object, tally: Tally) -> bool:
    """A backend's text names the pod if its name or IP stands in it as a word of its own."""
    names = "|".join(re.escape(name) for name in (key_of(pod).name, ip_of(pod)) if name)
    word = re.compile(rf"(?<![\w.-])(?:{names})(?![\w-]|\.\w)")
    return any(word.search(backend) for backend, _ in tally.reached)


def _told(tally: Tally, silent: list[Object]) -> Text:
    reached = ", ".join(f"{backend[:40]} ({number})" for backend, number in tally.reached)
    missing = ", ".join(key_of(pod).name for pod in silent)
    error = f" ({tally.error})" if tally.error else ""
    return Text(
        f"peticiones: {tally.sent}; errores: {tally.errors}{error}; respondieron: {reached or '-'}"
        + (f"; no respondió: {missing}" if missing else ""),
        f"requests: {tally.sent}; errors: {tally.errors}{error}; answered by: {reached or '-'}"
        + (f"; not by: {missing}" if missing else ""),
    )
