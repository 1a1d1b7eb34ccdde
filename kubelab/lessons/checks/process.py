"""`process`: a process with these properties exists on a machine; or none does; or one did, and is gone."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from kubelab.language import Text
from kubelab.lessons.checks.check import Finding, Measure, Needs, Scope, check, machine_state
from kubelab.lessons.checks.selector import ProcessSelector
from kubelab.lessons.checks.subject import typed
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import MachineState, Observation, Process

Field = Literal["pid", "machine-pid", "parent", "state", "uid", "own-uid", "boottime", "root", "cwd", "count"]
NONE = Text("no hay ninguno", "there is none")
LOOK_AT_ALL = "ps -e -o pid,ppid,stat,args"

_FIELDS: Mapping[str, Callable[[Process], Any]] = {
    "pid": lambda process: process.own_pid,
    "machine-pid": lambda process: process.pid,
    "parent": lambda process: process.parent_pid,
    "state": lambda process: process.state,
    "uid": lambda process: process.uid,
    "own-uid": lambda process: process.own_uid,
    "boottime": lambda process: process.clocks.boottime_s,
    "root": lambda process: process.root,
    "cwd": lambda process: process.cwd,
}


@check
class ProcessCheck(Measure):
    """A process is there; or none is, none is left, or so many are. Its value is what `field` names."""

    process: Annotated[ProcessSelector, "Which process: every key that is written must hold of it."]
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "There must be none."] = False
    gone: Annotated[bool, "One was seen since the step began, and none is left."] = False
    count: Annotated[Comparison | None, "How many there must be; by default at least one."] = None
    field: Annotated[
        Field,
        "What of the first such process is the value; or `count`, how many there are. `pid` is the one in "
        "its own pid namespace, `machine-pid` the machine's.",
    ] = "pid"

    example = "process: {argv: sleep 1000, pid: 1, in-new: [pid, mnt]}"

    def needs(self) -> Needs:
        return Needs(processes=True, machines=frozenset({self.machine} - {""}))

    def value(self, observation: Observation, scope: Scope) -> Any:
        found = self.process.find(machine_state(observation, self.machine or scope.machine))
        if self.field == "count":
            return len(found)
        return _FIELDS[self.field](found[0]) if found else None

    def expected(self, scope: Scope) -> Text:
        place, phrase = self.machine or scope.machine, self.process.phrase()
        if self.absent:
            noun = self.process.noun()
            return Text(f"en {place}, ningún {noun.es}", f"on {place}, no {noun.en}")
        if self.gone:
            return Text(f"en {place}, que haya terminado {phrase.es}", f"on {place}, the end of {phrase.en}")
        if self.count is not None:
            asked = self.count.phrase()
            return Text(
                f"en {place}, {phrase.es}: cantidad {asked.es}",
                f"on {place}, {phrase.en}: a number {asked.en}",
            )
        return Text(f"en {place}, {phrase.es}", f"on {place}, {phrase.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        state = machine_state(observation, self.machine or scope.machine)
        found = self.process.find(state)
        if self.gone:
            return self._gone(state, found, scope)
        if self.absent:
            return self.finding(not found, scope, _listed(found), self._look(found, state, scope))
        if self.count is not None:
            return self.finding(
                self.count.holds(len(found)), scope, _listed(found), self._look(found, state, scope)
            )
        if found:
            return self.finding(True, scope, _listed(found), self._look(found, state, scope))
        return self._missed(state, scope)

    def _gone(self, state: MachineState, found: list[Process], scope: Scope) -> Finding:
        departed = self.process.find_departed(state)
        if found:
            return self.finding(False, scope, _listed(found), self._look(found, state, scope))
        if departed:
            pids = ", ".join(str(process.pid) for process in departed)
            return self.finding(True, scope, Text(f"terminó el PID {pids}", f"PID {pids} ended"))
        return self._missed(state, scope)

    def _missed(self, state: MachineState, scope: Scope) -> Finding:
        miss = self.process.nearest_miss(state)
        if miss is None:
            return self.finding(False, scope, NONE, self._look([], state, scope))
        process, instead = miss
        observed = Text(
            f"`{process.comm}` (PID {process.pid}): {instead.es}",
            f"`{process.comm}` (PID {process.pid}): {instead.en}",
        )
        return self.finding(False, scope, observed, self._look([process], state, scope))

    def _look(self, processes: list[Process], state: MachineState, scope: Scope) -> str:
        command = self.process.look(processes[0], state) if processes else LOOK_AT_ALL
        return typed(command, state.name, scope)


def _listed(processes: list[Process]) -> Text:
    if not processes:
        return NONE
    named = ", ".join(f"`{process.comm}` (PID {_pids(process)})" for process in processes[:3])
    more = len(processes) - 3
    if more > 0:
        return Text(f"{named} y {more} más", f"{named} and {more} more")
    return Text(named, named)


def _pids(process: Process) -> str:
    """Return "57" or "57, inside 1" as NSpid has it: 57→1."""
    return "→".join(map(str, process.pids))
