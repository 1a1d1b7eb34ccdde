"""`reach`: whether something answers at an address when somebody asks: by ping, TCP or HTTP.

Source: RFC 792 (echo); RFC 9293, section 3.10.7.1: a closed port answers a SYN with a reset, and that is an
answer too; RFC 9110 (HTTP).
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from kubelab.language import Text
from kubelab.lessons.checks.check import (
    CannotSee,
    Check,
    Finding,
    Needs,
    Scope,
    answer_to,
    check,
)
from kubelab.lessons.checks.places import Origin, Place, Target
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question

Protocol = Literal["ping", "tcp", "http"]

CLOSED_PORT = 1  # Hosts answer there with a reset: that is an answer too.
HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Reach(Question[bool]):
    """Whether anything at all answers at *address*."""

    machine: str
    address: str

    far: ClassVar[bool] = True


Outcome = Literal["echo", "open", "refused", "response", "silence", "unreachable", "no HTTP"]


@dataclass(frozen=True, slots=True)
class Reply:
    """`detail` is the kernel's word for what is unreachable; `status` is HTTP's, and so is `body`, which is
    its beginning."""

    outcome: Outcome
    detail: str = ""
    status: int = 0
    body: str = ""


@dataclass(frozen=True, slots=True)
class Probe(Question[Reply]):
    """What answers at *address*, which may be a machine's name. *port* and *path* count where they belong."""

    origin: Place
    address: str
    by: Protocol
    port: int = 0
    path: str = ""

    far: ClassVar[bool] = True


_ANSWERS: dict[Protocol, set[Outcome]] = {
    "ping": {"echo"},
    "tcp": {"open", "refused"},
    "http": {"response"},
}
_OBSERVED: dict[Outcome, Text] = {
    "echo": Text("responde al ping", "it answers the ping"),
    "open": Text("el puerto {port} acepta conexiones", "port {port} accepts connections"),
    "refused": Text(
        "el puerto {port} está cerrado: responde con RST", "port {port} is closed: it answers with RST"
    ),
    "response": Text("HTTP {status}: «{line}»", "HTTP {status}: “{line}”"),
    "silence": Text("no responde nadie", "nobody answers"),
    "unreachable": Text("no se puede llegar: {detail}", "it cannot be reached: {detail}"),
    "no HTTP": Text(
        "el puerto {port} acepta conexiones, pero no responde por HTTP",
        "port {port} accepts connections but does not answer HTTP",
    ),
}


@check
class ReachCheck(Check):
    """Something answers there when somebody asks; or nothing does."""

    reach: Annotated[Target, "Who is asked."]
    by: Annotated[Protocol, "How: an ICMP echo, a TCP connection, or an HTTP GET."] = "ping"
    port: Annotated[
        int | None, "The port; by default 80 for HTTP, and for TCP one that is closed: hosts answer anyway."
    ] = None
    from_: Annotated[Origin | None, "Who asks; by default the lesson's own machine."] = None
    answers: Annotated[bool, "There must be an answer; or, if false, none."] = True
    open: Annotated[bool | None, "By TCP: the port must accept the connection, or refuse it."] = None
    path: Annotated[str, "By HTTP: what is asked for."] = "/"
    status: Annotated[int | None, "By HTTP: the status of the answer; by default any."] = None
    contains: Annotated[str | None, "By HTTP: a part of the answer's body."] = None

    example = "{reach: 10.244.0.2, by: tcp, port: 8080, open: true, from: minion-2}"

    def _origin(self) -> Origin:
        return self.from_ or Origin()

    def needs(self) -> Needs:
        return self._origin().needs() | self.reach.needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        try:
            return frozenset({self._probe(observation, scope)})
        except CannotSee:
            return frozenset()

    def expected(self, scope: Scope) -> Text:
        who, origin, how = self.reach.phrase(), self._origin().phrase(scope), self._how()
        return Text(
            f"{who.es} {how.es}, preguntando desde {origin.es}",
            f"{who.en} {how.en}, asked from {origin.en}",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        probe = self._probe(observation, scope)
        reply = answer_to(observation, probe)
        observed = _OBSERVED[reply.outcome].format(
            port=probe.port,
            status=reply.status,
            detail=reply.detail,
            line=next(iter(reply.body.splitlines()), "")[:60],
        )
        told = Text(f"{probe.address}: {observed.es}", f"{probe.address}: {observed.en}")
        look = self._origin().command(_command(probe), observation, scope)
        return self.finding(self._holds(reply), scope, told, look)

    def _holds(self, reply: Reply) -> bool:
        answered = reply.outcome in _ANSWERS[self.by]
        if not self.answers or not answered:
            return answered == self.answers
        if self.open is not None and self.by == "tcp":
            return self.open == (reply.outcome == "open")
        return self.status in (None, reply.status) and (self.contains or "") in reply.body

    def _probe(self, observation: Observation, scope: Scope) -> Probe:
        origin, address = self._origin().place(observation, scope), self.reach.resolve(observation)
        if self.by == "ping":
            return Probe(origin, address, "ping")
        if self.by == "tcp":
            return Probe(origin, address, "tcp", self.port or CLOSED_PORT)
        return Probe(origin, address, "http", self.port or HTTP_PORT, self.path)

    def _how(self) -> Text:
        no_es, no_en = ("", "answers") if self.answers else ("no ", "does not answer")
        if self.by == "ping":
            return Text(f"{no_es}responde a un ping", f"{no_en} a ping")
        if self.by == "http":
            port = self.port or HTTP_PORT
            return Text(
                f"{no_es}responde a GET {self.path} por HTTP (puerto {port}){self._content().es}",
                f"{no_en} GET {self.path} by HTTP (port {port}){self._content().en}",
            )
        where = Text(f" en el puerto {self.port}", f" on port {self.port}") if self.port else Text("", "")
        if self.answers and self.open is not None:
            es, en = ("acepta", "accepts") if self.open else ("rechaza", "refuses")
            return Text(f"{es} conexiones TCP{where.es}", f"{en} TCP connections{where.en}")
        return Text(f"{no_es}responde por TCP{where.es}", f"{no_en} by TCP{where.en}")

    def _content(self) -> Text:
        status = f" {self.status}" if self.status else ""
        if not self.contains:
            return Text(f" con{status}" if status else "", f" with{status}" if status else "")
        return Text(f" con{status} «{self.contains}»", f" with{status} “{self.contains}”")


def _command(probe: Probe) -> str:
    """Return what a learner types to see the same; bash and ping are on every machine."""
    if probe.by == "ping":
        return f"ping -c 1 -W 1 {probe.address}"
    if probe.by == "http":
        return f"curl -si -m 2 http://{probe.address}:{probe.port}{probe.path}"
    return f"timeout 1 bash -c '</dev/tcp/{probe.address}/{probe.port}'"
