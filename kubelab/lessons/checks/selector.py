"""Which process a check means: every key that is written must hold of it.

Source: proc(5), pid_namespaces(7).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from kubelab.language import Text
from kubelab.lessons.checks.signals import Signal, in_mask
from kubelab.lessons.observation import MachineState, NamespaceKind, Process

State = Literal["running", "sleeping", "stopped", "zombie"]

_STATES: dict[State, str] = {"running": "R", "sleeping": "SDI", "stopped": "Tt", "zombie": "Z"}
_STATE_WORDS: dict[State, Text] = {
    "running": Text("está en ejecución (R)", "is running (R)"),
    "sleeping": Text("duerme (S)", "sleeps (S)"),
    "stopped": Text("está detenido (T)", "is stopped (T)"),
    "zombie": Text("es un zombi (Z)", "is a zombie (Z)"),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """`phrase` completes "a process that …"; `otherwise` says what is so where it does not hold."""

    phrase: Text
    holds: Callable[[Process], bool]
    otherwise: Callable[[Process], Text]


@dataclass(frozen=True, slots=True)
class ProcessSelector:
    """Which process is meant: every key that is written must hold of it."""

    comm: Annotated[str | None, "The command's name, as /proc/PID/comm has it."] = None
    argv: Annotated[str | None, "A part of its command line, the words joined by spaces."] = None
    pid: Annotated[int | None, "Its pid in its own pid namespace."] = None
    state: Annotated[State | None, "Its state."] = None
    in_new: Annotated[
        tuple[NamespaceKind, ...], "It is in namespaces of these kinds that are not the machine's."
    ] = ()
    in_machine: Annotated[tuple[NamespaceKind, ...], "It is in the machine's namespaces of these kinds."] = ()
    children_in_new_pid: Annotated[
        bool, "Its next child will be born in another pid namespace than its own."
    ] = False
    proc_shows: Annotated[
        Literal["own", "other"] | None,
        "The /proc that it sees belongs to its own pid namespace, or to another one.",
    ] = None
    catches: Annotated[Signal | None, "It has a handler for this signal."] = None
    catches_not: Annotated[Signal | None, "It has no handler for this signal."] = None
    pending: Annotated[Signal | None, "This signal is pending."] = None
    parent: Annotated["ProcessSelector | None", "It is a child of such a process."] = None

    def noun(self) -> Text:
        """Return "process `sleep` that … and …" in both languages."""
        name = self.argv or self.comm
        title = f" `{name}`" if name else ""
        phrases = [criterion.phrase for criterion in self._criteria(MachineState("", {}))]
        if not phrases:
            return Text(f"proceso{title}", f"process{title}")
        es = _enumerated([phrase.es for phrase in phrases], " y ")
        en = _enumerated([phrase.en for phrase in phrases], " and ")
        return Text(f"proceso{title} que {es}", f"process{title} that {en}")

    def phrase(self) -> Text:
        noun = self.noun()
        return Text(f"un {noun.es}", f"a {noun.en}")

    def matches(self, process: Process, state: MachineState) -> bool:
        return self.is_about(process) and not any(self._failures(process, state))

    def find(self, state: MachineState) -> list[Process]:
        return [process for process in state.processes if self.matches(process, state)]

    def find_departed(self, state: MachineState) -> list[Process]:
        return [process for process in state.departed if self.matches(process, state)]

    def nearest_miss(self, state: MachineState) -> tuple[Process, Text] | None:
        """Return the process that fails the fewest criteria, and what is so of it instead."""
        candidates = [process for process in state.processes if self._could_be(process)]
        if not candidates:
            return None
        nearest = min(candidates, key=lambda process: len(list(self._failures(process, state))))
        failures = list(self._failures(nearest, state))
        return nearest, Text("; ".join(text.es for text in failures), "; ".join(text.en for text in failures))

    def is_about(self, process: Process) -> bool:
        """Tell whether the process is the one that is named, whatever its state."""
        if self.comm is not None and process.comm != self.comm:
            return False
        return self.argv is None or self.argv in " ".join(process.argv)

    def _could_be(self, process: Process) -> bool:
        """A selector that names no program would miss every process of the machine: that helps nobody."""
        return (self.comm is not None or self.argv is not None) and self.is_about(process)

    def _failures(self, process: Process, state: MachineState) -> Iterator[Text]:
        for criterion in self._criteria(state):
            if not criterion.holds(process):
                yield criterion.otherwise(process)

    def _criteria(self, state: MachineState) -> Iterator[Criterion]:
        if self.pid is not None:
            yield _own_pid(self.pid)
        if self.state is not None:
            yield _in_state(self.state)
        if self.in_new:
            yield _in_new(self.in_new, state)
        if self.in_machine:
            yield _in_machine(self.in_machine, state)
        if self.children_in_new_pid:
            yield CHILDREN_ELSEWHERE
        if self.proc_shows is not None:
            yield PROC_OWN if self.proc_shows == "own" else PROC_OTHER
        if self.catches is not None:
            yield _catches(self.catches)
        if self.catches_not is not None:
            yield _does_not_catch(self.catches_not)
        if self.pending is not None:
            yield _pending(self.pending)
        if self.parent is not None:
            yield _child_of(self.parent, state)


def _own_pid(pid: int) -> Criterion:
    return Criterion(
        Text(f"se ve a sí mismo con el PID {pid}", f"sees itself as PID {pid}"),
        lambda process: process.own_pid == pid,
        lambda process: Text(
            f"se ve a sí mismo con el PID {process.own_pid}", f"it sees itself as PID {process.own_pid}"
        ),
    )


def _in_state(state: State) -> Criterion:
    return Criterion(
        _STATE_WORDS[state],
        lambda process: process.state in _STATES[state],
        lambda process: Text(f"su estado es {process.state}", f"its state is {process.state}"),
    )


def _in_new(kinds: tuple[NamespaceKind, ...], state: MachineState) -> Criterion:
    def shared(process: Process) -> list[str]:
        return [kind for kind in kinds if process.namespaces.get(kind) in (None, state.namespaces.get(kind))]

    es, en = _listed(kinds)
    return Criterion(
        Text(f"tiene espacio {es} propio", f"is in {en} of its own"),
        lambda process: not shared(process),
        lambda process: Text(
            f"su espacio {_listed(shared(process))[0]} es el de la máquina",
            f"it is in the machine's {_listed(shared(process))[1].removeprefix('a ')}",
        ),
    )


def _in_machine(kinds: tuple[NamespaceKind, ...], state: MachineState) -> Criterion:
    def other(process: Process) -> list[str]:
        return [kind for kind in kinds if process.namespaces.get(kind) != state.namespaces.get(kind)]

    es, en = _listed(kinds)
    return Criterion(
        Text(f"está en el espacio {es} de la máquina", f"is in the machine's {en.removeprefix('a ')}"),
        lambda process: not other(process),
        lambda process: Text(
            f"su espacio {_listed(other(process))[0]} no es el de la máquina",
            f"it is not in the machine's {_listed(other(process))[1].removeprefix('a ')}",
        ),
    )


def _listed(kinds: Sequence[str]) -> tuple[str, str]:
    """Return "pid y mnt" and "pid and mnt namespaces"."""
    noun = "namespace" if len(kinds) == 1 else "namespaces"
    article = "a " if len(kinds) == 1 else ""
    return " y ".join(kinds), f"{article}{' and '.join(kinds)} {noun}"


def _has_new_born_elsewhere(process: Process) -> bool:
    """0 is a namespace in which nobody was born yet (/proc has no link to it until then)."""
    return "pid" in process.namespaces and process.children_pid_namespace != process.namespaces["pid"]


CHILDREN_ELSEWHERE = Criterion(
    Text("tendrá sus hijos en otro espacio pid", "will have its children in another pid namespace"),
    _has_new_born_elsewhere,
    lambda _: Text(
        "sus hijos nacen en su mismo espacio de PID", "its children are born in its own pid namespace"
    ),
)

PROC_OWN = Criterion(
    Text("tiene un /proc de su propio espacio pid", "has a /proc of its own pid namespace"),
    lambda process: process.proc_pid_namespace == process.namespaces.get("pid"),
    lambda _: Text("su /proc muestra otro espacio de PID", "its /proc shows another pid namespace"),
)

PROC_OTHER = Criterion(
    Text("tiene un /proc de otro espacio pid", "has a /proc of another pid namespace"),
    lambda process: process.proc_pid_namespace not in (0, process.namespaces.get("pid")),
    lambda _: Text("su /proc muestra su propio espacio de PID", "its /proc shows its own pid namespace"),
)


def _catches(signal: Signal) -> Criterion:
    return Criterion(
        Text(f"tiene manejador para SIG{signal}", f"has a handler for SIG{signal}"),
        lambda process: in_mask(signal, process.caught_signals),
        lambda _: Text(f"no tiene manejador para SIG{signal}", f"it has no handler for SIG{signal}"),
    )


def _does_not_catch(signal: Signal) -> Criterion:
    return Criterion(
        Text(f"no tiene manejador para SIG{signal}", f"has no handler for SIG{signal}"),
        lambda process: not in_mask(signal, process.caught_signals),
        lambda _: Text(f"tiene manejador para SIG{signal}", f"it has a handler for SIG{signal}"),
    )


def _pending(signal: Signal) -> Criterion:
    return Criterion(
        Text(f"tiene SIG{signal} pendiente", f"has SIG{signal} pending"),
        lambda process: in_mask(signal, process.pending_signals),
        lambda _: Text(f"no tiene SIG{signal} pendiente", f"SIG{signal} is not pending"),
    )


def _child_of(parent: ProcessSelector, state: MachineState) -> Criterion:
    parents = {
        process.pid for process in (*state.processes, *state.departed) if parent.matches(process, state)
    }
    phrase = parent.phrase()
    return Criterion(
        Text(f"es hijo de {phrase.es}", f"is a child of {phrase.en}"),
        lambda process: process.parent_pid in parents,
        lambda process: Text(
            f"su padre es el PID {process.parent_pid}", f"its parent is PID {process.parent_pid}"
        ),
    )


def _enumerated(parts: Sequence[str], last: str) -> str:
    """Return "a, b and c"."""
    *rest, final = parts
    return f"{', '.join(rest)}{last}{final}" if rest else final
