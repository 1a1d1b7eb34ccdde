"""What can be asked of a process: each criterion says when it holds, what is so otherwise, and where to look.

Source: proc(5), namespaces(7), pid_namespaces(7), user_namespaces(7), capabilities(7), chroot(2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from kubelab.language import Text
from kubelab.lessons.checks.capability import Capability, listed
from kubelab.lessons.checks.cgroup_paths import CgroupPaths
from kubelab.lessons.checks.signals import Signal, in_mask
from kubelab.lessons.observation import IdRange, MachineState, NamespaceKind, Process

State = Literal["running", "sleeping", "stopped", "zombie"]

_STATES: dict[State, str] = {"running": "R", "sleeping": "SDI", "stopped": "Tt", "zombie": "Z"}
_STATE_WORDS: dict[State, Text] = {
    "running": Text("está en ejecución (R)", "is running (R)"),
    "sleeping": Text("duerme (S)", "sleeps (S)"),
    "stopped": Text("está detenido (T)", "is stopped (T)"),
    "zombie": Text("es un zombi (Z)", "is a zombie (Z)"),
}
_SECCOMP_FILTER = 2  # proc(5): 0 none, 1 strict, 2 a filter.
LOOK_AT_PROCESS = "ps -o pid,ppid,stat,args -p {pid}"
_LOOK_AT_SIGNALS = "grep -E 'Sig|Shd' /proc/{pid}/status"


@dataclass(frozen=True, slots=True)
class Criterion:
    """`phrase` completes "a process that …"; `otherwise` says what is so where it does not hold. `look` is
    the command that shows it; of several criteria that hold, the one of the highest `rank` is shown."""

    phrase: Text
    holds: Callable[[Process], bool]
    otherwise: Callable[[Process], Text]
    look: str = LOOK_AT_PROCESS
    rank: int = 3


@dataclass(frozen=True, slots=True)
class MappedId:
    """An id inside the process's user namespace, and the one that it stands for outside."""

    inside: Annotated[int, "The id inside."]
    outside: Annotated[int, "The id outside, as the machine counts."]
    count: Annotated[
        int | None, "How long the range is that begins with it; by default it may be anywhere in a range."
    ] = None

    def is_in(self, ranges: Sequence[IdRange]) -> bool:
        if self.count is not None:
            return IdRange(self.inside, self.outside, self.count) in ranges
        return mapped(self.inside, ranges) == self.outside

    def __str__(self) -> str:
        return f"{self.inside} → {self.outside}" + (f" ({self.count})" if self.count is not None else "")


def mapped(inside: int, ranges: Sequence[IdRange]) -> int | None:
    """Return the id outside that *inside* stands for; None if it is not mapped."""
    for known in ranges:
        if 0 <= inside - known.inside < known.count:
            return known.outside + inside - known.inside
    return None


def own_pid(pid: int) -> Criterion:
    return Criterion(
        Text(f"se ve a sí mismo con el PID {pid}", f"sees itself as PID {pid}"),
        lambda process: process.own_pid == pid,
        lambda process: Text(
            f"se ve a sí mismo con el PID {process.own_pid}", f"it sees itself as PID {process.own_pid}"
        ),
        "grep NSpid /proc/{pid}/status",
        rank=2,
    )


def at_depth(depth: int) -> Criterion:
    def pids(process: Process) -> str:
        return ", ".join(map(str, process.pids))

    return Criterion(
        Text(f"tiene un PID en {depth} espacios pid", f"has a PID in {depth} pid namespaces"),
        lambda process: len(process.pids) == depth,
        lambda process: Text(f"sus PID son: {pids(process)}", f"its PIDs are: {pids(process)}"),
        "grep NSpid /proc/{pid}/status",
    )


def in_state(state: State) -> Criterion:
    return Criterion(
        _STATE_WORDS[state],
        lambda process: process.state in _STATES[state],
        lambda process: Text(f"su estado es {process.state}", f"its state is {process.state}"),
        rank=0,
    )


def in_new(kinds: tuple[NamespaceKind, ...], state: MachineState) -> Criterion:
    def shared(process: Process) -> list[str]:
        return [kind for kind in kinds if process.namespaces.get(kind) in (None, state.namespaces.get(kind))]

    es, en = _kinds(kinds)
    return Criterion(
        Text(f"tiene espacio {es} propio", f"is in {en} of its own"),
        lambda process: not shared(process),
        lambda process: Text(
            f"su espacio {_kinds(shared(process))[0]} es el de la máquina",
            f"it is in the machine's {_kinds(shared(process))[1].removeprefix('a ')}",
        ),
        "lsns -p {pid}",
        rank=1,
    )


def in_machine(kinds: tuple[NamespaceKind, ...], state: MachineState) -> Criterion:
    def other(process: Process) -> list[str]:
        return [kind for kind in kinds if process.namespaces.get(kind) != state.namespaces.get(kind)]

    es, en = _kinds(kinds)
    return Criterion(
        Text(f"está en el espacio {es} de la máquina", f"is in the machine's {en.removeprefix('a ')}"),
        lambda process: not other(process),
        lambda process: Text(
            f"su espacio {_kinds(other(process))[0]} no es el de la máquina",
            f"it is not in the machine's {_kinds(other(process))[1].removeprefix('a ')}",
        ),
        "lsns -p {pid}",
        rank=1,
    )


def _kinds(kinds: Sequence[str]) -> tuple[str, str]:
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
    "ls -l /proc/{pid}/ns/",
)

_LOOK_AT_PROC = "ls -l /proc/{pid}/root/proc/1/ns/pid /proc/{pid}/ns/pid"

PROC_OWN = Criterion(
    Text("tiene un /proc de su propio espacio pid", "has a /proc of its own pid namespace"),
    lambda process: process.proc_pid_namespace == process.namespaces.get("pid"),
    lambda _: Text("su /proc muestra otro espacio de PID", "its /proc shows another pid namespace"),
    _LOOK_AT_PROC,
)

PROC_OTHER = Criterion(
    Text("tiene un /proc de otro espacio pid", "has a /proc of another pid namespace"),
    lambda process: process.proc_pid_namespace not in (0, process.namespaces.get("pid")),
    lambda _: Text("su /proc muestra su propio espacio de PID", "its /proc shows its own pid namespace"),
    _LOOK_AT_PROC,
)


def catches(signal: Signal) -> Criterion:
    return Criterion(
        Text(f"tiene manejador para SIG{signal}", f"has a handler for SIG{signal}"),
        lambda process: in_mask(signal, process.caught_signals),
        lambda _: Text(f"no tiene manejador para SIG{signal}", f"it has no handler for SIG{signal}"),
        _LOOK_AT_SIGNALS,
    )


def does_not_catch(signal: Signal) -> Criterion:
    return Criterion(
        Text(f"no tiene manejador para SIG{signal}", f"has no handler for SIG{signal}"),
        lambda process: not in_mask(signal, process.caught_signals),
        lambda _: Text(f"tiene manejador para SIG{signal}", f"it has a handler for SIG{signal}"),
        _LOOK_AT_SIGNALS,
    )


def pending(signal: Signal) -> Criterion:
    return Criterion(
        Text(f"tiene SIG{signal} pendiente", f"has SIG{signal} pending"),
        lambda process: in_mask(signal, process.pending_signals),
        lambda _: Text(f"no tiene SIG{signal} pendiente", f"SIG{signal} is not pending"),
        _LOOK_AT_SIGNALS,
    )


def _root_is(process: Process) -> Text:
    return Text(f"su raíz es {process.root}", f"its root is {process.root}")


def rooted_at(path: str) -> Criterion:
    return Criterion(
        Text(f"tiene por raíz {path}", f"has the root directory {path}"),
        lambda process: process.root == path,
        _root_is,
        "readlink /proc/{pid}/root",
    )


CHROOTED = Criterion(
    Text("tiene otra raíz que /", "has another root directory than /"),
    lambda process: process.root not in ("", "/"),
    _root_is,
    "readlink /proc/{pid}/root",
)


def works_in(path: str) -> Criterion:
    return Criterion(
        Text(f"tiene {path} como directorio de trabajo", f"has the working directory {path}"),
        lambda process: process.cwd == path,
        lambda process: Text(f"trabaja en {process.cwd}", f"it works in {process.cwd}"),
        "readlink /proc/{pid}/cwd",
        rank=2,
    )


def with_uid(uid: int) -> Criterion:
    return Criterion(
        Text(f"tiene el uid {uid} en la máquina", f"has the uid {uid} on the machine"),
        lambda process: process.uid == uid,
        lambda process: Text(
            f"su uid en la máquina es {process.uid}", f"its uid on the machine is {process.uid}"
        ),
        "grep Uid /proc/{pid}/status",
        rank=2,
    )


def with_own_uid(uid: int) -> Criterion:
    return Criterion(
        Text(f"se ve a sí mismo con el uid {uid}", f"sees itself with the uid {uid}"),
        lambda process: process.own_uid == uid,
        lambda process: Text(
            f"se ve a sí mismo con el uid {process.own_uid}", f"it sees itself with the uid {process.own_uid}"
        ),
        "cat /proc/{pid}/uid_map",
        rank=2,
    )


def _uid_map_is(process: Process) -> Text:
    ranges = ", ".join(str(MappedId(line.inside, line.outside, line.count)) for line in process.uid_map)
    if not ranges:
        return Text("su uid_map está vacío", "its uid_map is empty")
    return Text(f"su uid_map es {ranges}", f"its uid_map is {ranges}")


def maps_uids(wanted: tuple[MappedId, ...]) -> Criterion:
    pairs = ", ".join(map(str, wanted))
    return Criterion(
        Text(f"tiene en su uid_map {pairs}", f"has {pairs} in its uid_map"),
        lambda process: all(pair.is_in(process.uid_map) for pair in wanted),
        _uid_map_is,
        "cat /proc/{pid}/uid_map",
    )


ROOT_INSIDE_ONLY = Criterion(
    Text("es root solo dentro de su espacio user", "is root only inside its user namespace"),
    lambda process: mapped(0, process.uid_map) == process.uid != 0,
    lambda process: Text(
        f"su uid en la máquina es {process.uid}; {_uid_map_is(process).es}",
        f"its uid on the machine is {process.uid}; {_uid_map_is(process).en}",
    ),
    "cat /proc/{pid}/uid_map",
)


def has_capabilities(wanted: tuple[Capability, ...]) -> Criterion:
    def lacking(process: Process) -> list[Capability]:
        return [capability for capability in wanted if not capability.is_in(process.capabilities)]

    return Criterion(
        Text(f"tiene {listed(wanted)}", f"has {listed(wanted)}"),
        lambda process: not lacking(process),
        lambda process: Text(f"le falta {listed(lacking(process))}", f"it lacks {listed(lacking(process))}"),
        "grep CapEff /proc/{pid}/status",
    )


def lacks_capabilities(unwanted: tuple[Capability, ...]) -> Criterion:
    def held(process: Process) -> list[Capability]:
        return [capability for capability in unwanted if capability.is_in(process.capabilities)]

    return Criterion(
        Text(f"no tiene {listed(unwanted)}", f"lacks {listed(unwanted)}"),
        lambda process: not held(process),
        lambda process: Text(f"tiene {listed(held(process))}", f"it has {listed(held(process))}"),
        "grep CapEff /proc/{pid}/status",
    )


def without_new_privileges(wanted: bool) -> Criterion:
    es, en = ("no puede", "can gain no") if wanted else ("puede", "can gain")
    return Criterion(
        Text(f"{es} ganar privilegios al ejecutar", f"{en} privileges by executing"),
        lambda process: process.no_new_privs == wanted,
        lambda process: Text(
            f"NoNewPrivs: {process.no_new_privs:d}", f"NoNewPrivs: {process.no_new_privs:d}"
        ),
        "grep NoNewPrivs /proc/{pid}/status",
    )


def filtered(wanted: bool) -> Criterion:
    es, en = ("tiene", "has a") if wanted else ("no tiene", "has no")
    return Criterion(
        Text(f"{es} filtro seccomp", f"{en} seccomp filter"),
        lambda process: (process.seccomp_mode == _SECCOMP_FILTER) == wanted,
        lambda process: Text(f"Seccomp: {process.seccomp_mode}", f"Seccomp: {process.seccomp_mode}"),
        "grep Seccomp /proc/{pid}/status",
    )


def clock_ahead(clock: Literal["boottime", "monotonic"], offset_s: int) -> Criterion:
    def ahead(process: Process) -> int:
        return process.clocks.boottime_s if clock == "boottime" else process.clocks.monotonic_s

    return Criterion(
        Text(f"tiene el reloj {clock} adelantado {offset_s} s", f"has its {clock} clock {offset_s} s ahead"),
        lambda process: ahead(process) == offset_s,
        lambda process: Text(
            f"su reloj {clock} va adelantado {ahead(process)} s",
            f"its {clock} clock is {ahead(process)} s ahead",
        ),
        "cat /proc/{pid}/timens_offsets",
    )


def in_cgroup(path: str, state: MachineState) -> Criterion:
    paths, name = CgroupPaths(state), path.strip("/")

    def where(process: Process) -> str:
        return ", ".join(dict.fromkeys(f"/{path}" for path in paths.of(process).values())) or "-"

    return Criterion(
        Text(f"está en el cgroup /{name}", f"is in cgroup /{name}"),
        lambda process: name in paths.of(process).values(),
        lambda process: Text(f"está en el cgroup {where(process)}", f"it is in cgroup {where(process)}"),
        "cat /proc/{pid}/cgroup",
    )
