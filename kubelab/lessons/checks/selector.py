"""Which process a check means: every key that is written must hold of it.

Source: proc(5), pid_namespaces(7), user_namespaces(7), time_namespaces(7), capabilities(7), chroot(2).
Left out: real and saved uids, groups, supplementary capability sets (only what is in effect counts).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from kubelab.language import Text
from kubelab.lessons.checks import criteria
from kubelab.lessons.checks.capability import Capability
from kubelab.lessons.checks.criteria import Criterion, MappedId, State
from kubelab.lessons.checks.signals import Signal
from kubelab.lessons.observation import MachineState, NamespaceKind, Process


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
    ancestor: Annotated[
        "ProcessSelector | None", "It descends from such a process: child, grandchild, and so on."
    ] = None
    pid_depth: Annotated[
        int | None, "In how many pid namespaces it has a pid, the machine's included: 1 if only there."
    ] = None
    root: Annotated[str | None, "Its root directory, as a path in its mount namespace."] = None
    chrooted: Annotated[bool, "Its root directory is another than `/`, as after chroot(2)."] = False
    cwd: Annotated[str | None, "Its working directory, as a path in its mount namespace."] = None
    uid: Annotated[int | None, "Its effective uid, as the machine counts."] = None
    own_uid: Annotated[
        int | None, "Its effective uid as it sees it itself; 65534 where its user namespace maps none."
    ] = None
    uid_map: Annotated[tuple[MappedId, ...], "Its user namespace maps all these ids so."] = ()
    fake_root: Annotated[bool, "It is uid 0 inside its user namespace, and another uid outside."] = False
    has_capabilities: Annotated[tuple[Capability, ...], "All these are in effect."] = ()
    lacks_capabilities: Annotated[tuple[Capability, ...], "None of these is in effect."] = ()
    no_new_privs: Annotated[
        bool | None, "No program that it executes can gain privileges (`no_new_privs`), or one can."
    ] = None
    seccomp: Annotated[bool | None, "A seccomp filter judges its system calls, or none does."] = None
    boottime: Annotated[
        int | None, "Seconds by which its time namespace sets the clock of uptime(1) (CLOCK_BOOTTIME) ahead."
    ] = None
    monotonic: Annotated[int | None, "Seconds by which its time namespace sets CLOCK_MONOTONIC ahead."] = None
    cgroup: Annotated[
        str | None, "It is in this cgroup, by its path below the machine's own; with v1, in any hierarchy."
    ] = None

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
        return bool(self._among([process], state))

    def find(self, state: MachineState) -> list[Process]:
        return self._among(state.processes, state)

    def find_departed(self, state: MachineState) -> list[Process]:
        return self._among(state.departed, state)

    def pids(self, state: MachineState) -> set[int]:
        """Return the pids of all that match, also of those that are gone."""
        return {process.pid for process in self._among((*state.processes, *state.departed), state)}

    def _among(self, processes: Sequence[Process], state: MachineState) -> list[Process]:
        named = [process for process in processes if self.is_about(process)]
        asked = list(self._criteria(state)) if named else []
        return [process for process in named if all(criterion.holds(process) for criterion in asked)]

    def nearest_miss(self, state: MachineState) -> tuple[Process, Text] | None:
        """Return the process that fails the fewest criteria, and what is so of it instead."""
        candidates = [process for process in state.processes if self._could_be(process)]
        if not candidates:
            return None
        asked = list(self._criteria(state))
        misses = [
            [criterion.otherwise(process) for criterion in asked if not criterion.holds(process)]
            for process in candidates
        ]
        nearest, texts = min(zip(candidates, misses, strict=True), key=lambda pair: len(pair[1]))
        return nearest, Text("; ".join(text.es for text in texts), "; ".join(text.en for text in texts))

    def is_about(self, process: Process) -> bool:
        """Tell whether the process is the one that is named, whatever its state."""
        if self.comm is not None and process.comm != self.comm:
            return False
        return self.argv is None or self.argv in " ".join(process.argv)

    def _could_be(self, process: Process) -> bool:
        """A selector that names no program would miss every process of the machine: that helps nobody."""
        return (self.comm is not None or self.argv is not None) and self.is_about(process)

    def look(self, process: Process, state: MachineState) -> str:
        """Return the command that shows what is amiss with the process, or else what was asked of it."""
        asked = list(self._criteria(state))
        missed = [criterion for criterion in asked if not criterion.holds(process)]
        shown = missed[:1] or sorted(asked, key=lambda criterion: criterion.rank)[-1:]
        template = shown[0].look if shown else criteria.LOOK_AT_PROCESS
        return template.format(pid=process.pid)

    def _criteria(self, state: MachineState) -> Iterator[Criterion]:
        if self.pid is not None:
            yield criteria.own_pid(self.pid)
        if self.pid_depth is not None:
            yield criteria.at_depth(self.pid_depth)
        if self.state is not None:
            yield criteria.in_state(self.state)
        yield from self._namespace_criteria(state)
        yield from self._signal_criteria()
        yield from self._place_criteria(state)
        yield from self._privilege_criteria()
        yield from self._clock_criteria()
        if self.parent is not None:
            yield _child_of(self.parent, state)
        if self.ancestor is not None:
            yield _descends_from(self.ancestor, state)

    def _namespace_criteria(self, state: MachineState) -> Iterator[Criterion]:
        if self.in_new:
            yield criteria.in_new(self.in_new, state)
        if self.in_machine:
            yield criteria.in_machine(self.in_machine, state)
        if self.children_in_new_pid:
            yield criteria.CHILDREN_ELSEWHERE
        if self.proc_shows is not None:
            yield criteria.PROC_OWN if self.proc_shows == "own" else criteria.PROC_OTHER

    def _signal_criteria(self) -> Iterator[Criterion]:
        if self.catches is not None:
            yield criteria.catches(self.catches)
        if self.catches_not is not None:
            yield criteria.does_not_catch(self.catches_not)
        if self.pending is not None:
            yield criteria.pending(self.pending)

    def _place_criteria(self, state: MachineState) -> Iterator[Criterion]:
        if self.root is not None:
            yield criteria.rooted_at(self.root)
        if self.chrooted:
            yield criteria.CHROOTED
        if self.cwd is not None:
            yield criteria.works_in(self.cwd)
        if self.cgroup is not None:
            yield criteria.in_cgroup(self.cgroup, state)

    def _privilege_criteria(self) -> Iterator[Criterion]:
        if self.uid is not None:
            yield criteria.with_uid(self.uid)
        if self.own_uid is not None:
            yield criteria.with_own_uid(self.own_uid)
        if self.uid_map:
            yield criteria.maps_uids(self.uid_map)
        if self.fake_root:
            yield criteria.ROOT_INSIDE_ONLY
        if self.has_capabilities:
            yield criteria.has_capabilities(self.has_capabilities)
        if self.lacks_capabilities:
            yield criteria.lacks_capabilities(self.lacks_capabilities)
        if self.no_new_privs is not None:
            yield criteria.without_new_privileges(self.no_new_privs)
        if self.seccomp is not None:
            yield criteria.filtered(self.seccomp)

    def _clock_criteria(self) -> Iterator[Criterion]:
        if self.boottime is not None:
            yield criteria.clock_ahead("boottime", self.boottime)
        if self.monotonic is not None:
            yield criteria.clock_ahead("monotonic", self.monotonic)


def _child_of(parent: ProcessSelector, state: MachineState) -> Criterion:
    parents = parent.pids(state)
    phrase = parent.phrase()
    return Criterion(
        Text(f"es hijo de {phrase.es}", f"is a child of {phrase.en}"),
        lambda process: process.parent_pid in parents,
        lambda process: Text(
            f"su padre es el PID {process.parent_pid}", f"its parent is PID {process.parent_pid}"
        ),
    )


def _descends_from(ancestor: ProcessSelector, state: MachineState) -> Criterion:
    # A living one counts where a pid was used again.
    parents = {process.pid: process.parent_pid for process in (*state.departed, *state.processes)}
    wanted = ancestor.pids(state)

    def line(process: Process) -> Iterator[int]:
        pid, seen = process.parent_pid, set[int]()
        while pid and pid not in seen:
            seen.add(pid)
            yield pid
            pid = parents.get(pid, 0)

    def named(process: Process) -> str:
        return " ← ".join(map(str, line(process)))

    phrase = ancestor.phrase()
    return Criterion(
        Text(f"desciende de {phrase.es}", f"descends from {phrase.en}"),
        lambda process: any(pid in wanted for pid in line(process)),
        lambda process: Text(
            f"sus antepasados son los PID {named(process)}", f"its ancestors are PIDs {named(process)}"
        ),
        "ps -e -o pid,ppid,stat,args --forest",
    )


def _enumerated(parts: Sequence[str], last: str) -> str:
    """Return "a, b and c"."""
    *rest, final = parts
    return f"{', '.join(rest)}{last}{final}" if rest else final
