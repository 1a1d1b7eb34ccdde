"""`cgroup`: a cgroup is there, or is not; a field of it compares so, or has increased; processes are in it.

Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst. Everything is said in v2's words; where the
machine has v1, its files are read as v2 would say it, and what v1 cannot say cannot be checked.
Left out: what a counter has grown by in a cgroup that was removed and made again between two looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from kubelab.cluster.objects import uid_of
from kubelab.language import Text
from kubelab.lessons import compare
from kubelab.lessons.checks.cgroup_fields import CgroupField, CgroupFile, CgroupText
from kubelab.lessons.checks.cgroup_paths import CgroupPaths, path_for
from kubelab.lessons.checks.check import (
    CannotSee,
    Finding,
    Measure,
    Needs,
    Scope,
    answer_to,
    check,
    machine_state,
)
from kubelab.lessons.checks.selector import ProcessSelector
from kubelab.lessons.checks.subject import Subject, View, typed
from kubelab.lessons.compare import Comparison
from kubelab.lessons.located import Node
from kubelab.lessons.observation import MachineState, Observation, Process
from kubelab.lessons.question import Question
from kubelab.lessons.view import Verdict

CONTROLLERS_FILE = "cgroup.controllers"


@dataclass(frozen=True, slots=True)
class CgroupSelector:
    """Its path below the machine's own cgroup (`demo`; `/` is that itself), or whose it is: that of a process
    (`{comm: stress}`), a pod's (`{pod: web}`) or a container's (`{pod: web, container: app}`)."""

    path: str = ""
    subject: Subject | None = None

    @classmethod
    def read(cls, node: Node) -> "CgroupSelector":
        if isinstance(node.value, dict):
            return cls(subject=Subject.read(node))
        parts = [part for part in node.text().split("/") if part]
        if any(part in (".", "..") for part in parts):
            raise node.error("la ruta de un cgroup no tiene puntos.", "a cgroup's path has no dots.")
        return cls("/".join(parts))

    def phrase(self) -> Text:
        if self.subject is None:
            return Text(f"el cgroup /{self.path}", f"cgroup /{self.path}")
        phrase = self.subject.phrase()
        return Text(f"el cgroup de {phrase.es}", f"the cgroup of {phrase.en}")

    def places(self, observation: Observation, machine: str, file: str) -> list[tuple[str, str]]:
        """Return machine and path of all that it means, at least one, in the hierarchy that has *file*.

        Raises:
            CannotSee: there is no such process or pod yet.
        """
        if self.subject is None:
            return [(machine, self.path)]
        views = self.subject.views(observation, machine)
        found = {
            (view.state.name, path)
            for view in views
            if (path := self._path(view, observation, file)) is not None
        }
        if not found:
            phrase = self.subject.phrase()
            none = Text(f"{phrase.es} no está en ningún cgroup", f"{phrase.en} is in no cgroup")
            raise CannotSee(none, Verdict.NOT_YET)
        return sorted(found)

    def _path(self, view: View, observation: Observation, file: str) -> str | None:
        if view.process is None:
            return ""
        path = path_for(file.partition(".")[0], CgroupPaths(view.state).of(view.process))
        assert self.subject is not None
        if self.subject.pod is None or self.subject.pod.container or path is None:
            return path
        pod = self.subject.pod.find(observation)
        return _cut(path, uid_of(pod)) if pod is not None else None


def _cut(path: str, uid: str) -> str:
    """Return the path up to the directory that has the pod's uid in its name."""
    parts = path.split("/")
    marks = (uid, uid.replace("-", "_"))
    last = next((n for n, part in enumerate(parts) if any(mark in part for mark in marks)), len(parts) - 1)
    return "/".join(parts[: last + 1])


@check
class CgroupCheck(Comparison, Measure):
    """A cgroup is there, or is not; or a field of it compares as the comparison's keys (below) say, where
    numbers may have the kernel's units (32M); or it has increased since the step began; or processes are in
    it. Its value is that of the field, or how many processes are in it."""

    cgroup: Annotated[CgroupSelector, "Which cgroup."]
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "There must be none."] = False
    field: Annotated[
        CgroupField | None, "A field by its cgroup-v2 name: `memory.max`, `memory.events.oom_kill`, …"
    ] = None
    key: Annotated[str, "The key in the field's file, if it is not written with the field."] = ""
    increased: Annotated[
        int | None, "It has grown by so much since the step began, or since the cgroup was made."
    ] = None
    members: Annotated[ProcessSelector | None, "Such a process is in it; with v1, in any hierarchy."] = None
    count: Annotated[
        Comparison | None,
        "How many (such) processes are in it; without `field`, the comparison's own keys say the same.",
    ] = None
    controllers: Annotated[tuple[str, ...], "Controllers that it has, by their v2 names."] = ()

    example = "{cgroup: demo, field: memory.events.oom_kill, increased: 1}"

    def needs(self) -> Needs:
        needs = Needs(processes=True, machines=frozenset({self.machine} - {""}))
        return needs | self.cgroup.subject.needs() if self.cgroup.subject else needs

    def amount(self, value: Any) -> Any:
        return compare.kernel(value)

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        try:
            return frozenset(self._asked(observation, scope))
        except CannotSee:
            return frozenset()

    def value(self, observation: Observation, scope: Scope) -> Any:
        asked = self._asked(observation, scope)[0]
        if self._counts_members:
            return len(self._members(asked, observation))
        answer = answer_to(observation, asked)
        return self._value(answer) if self.field else answer.text is not None

    def expected(self, scope: Scope) -> Text:
        machine, phrase = self.machine or scope.machine, self.cgroup.phrase()
        wishes = self._wishes()
        es, en = "; ".join(wish.es for wish in wishes), "; ".join(wish.en for wish in wishes)
        if self.absent:
            return Text(f"en {machine}, que no exista {phrase.es}", f"on {machine}, {phrase.en} not to exist")
        if not wishes:
            return Text(f"en {machine}, que exista {phrase.es}", f"on {machine}, {phrase.en} to exist")
        return Text(f"en {machine}, {phrase.es}: {es}", f"on {machine}, {phrase.en}: {en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        findings = [self._judge(asked, observation, scope) for asked in self._asked(observation, scope)]
        return next((finding for finding in findings if finding.passed), findings[0])

    @property
    def _field(self) -> CgroupField | None:
        if self.field is None or not self.key:
            return self.field
        return CgroupField(self.field.file, f"{self.field.key}.{self.key}".strip("."))

    @property
    def _counts_members(self) -> bool:
        return self.field is None and (self.members is not None or self._number is not None)

    @property
    def _number(self) -> Comparison | None:
        """Return what the number of processes is compared with."""
        return self if self.count is None and self.field is None and self.asked() else self.count

    def _asked(self, observation: Observation, scope: Scope) -> list[CgroupFile]:
        """Raises CannotSee."""
        file = CONTROLLERS_FILE if self.controllers else ""
        file = self.field.file if self.field else file
        places = self.cgroup.places(observation, self.machine or scope.machine, file)
        return [CgroupFile(machine, path, file) for machine, path in places]

    def _wishes(self) -> list[Text]:
        wishes = []
        if self._field is not None:
            wishes.append(self._field_wish(self._field))
        if self.controllers:
            names = ", ".join(self.controllers)
            wishes.append(Text(f"con los controladores {names}", f"with the controllers {names}"))
        if self.members is not None:
            phrase = self.members.phrase()
            wishes.append(Text(f"dentro, {phrase.es}", f"{phrase.en} in it"))
        if self._number is not None:
            asked = self._number.phrase()
            wishes.append(Text(f"procesos: cantidad {asked.es}", f"a number of processes {asked.en}"))
        return wishes

    def _field_wish(self, field: CgroupField) -> Text:
        if self.increased is not None:
            return Text(
                f"que {field} aumente al menos en {self.increased}",
                f"{field} to increase by at least {self.increased}",
            )
        asked = self.phrase()
        if not self.asked():
            return Text(f"con el campo {field}", f"with the field {field}")
        return Text(f"{field} {asked.es}", f"{field} {asked.en}")

    def _judge(self, asked: CgroupFile, observation: Observation, scope: Scope) -> Finding:
        try:
            finding = self._judge_answer(asked, answer_to(observation, asked), observation, scope)
        except CannotSee as reason:
            return Finding(reason.verdict, self.expected(scope), reason.reason)
        return replace(finding, look=typed(finding.look, asked.machine, scope))

    def _judge_answer(
        self, asked: CgroupFile, answer: CgroupText, observation: Observation, scope: Scope
    ) -> Finding:
        if self.increased is not None:
            return self._judge_increase(asked, answer, scope)
        if answer.text is None:
            return self.finding(self.absent, scope, _missing(asked, answer), _look_around(asked, answer))
        if self.absent:
            there = Text(f"existe {_directory(answer, asked)}", f"{_directory(answer, asked)} is there")
            return self.finding(False, scope, there, _look_around(asked, answer))
        if self._field is not None:
            return self._judge_field(answer, self._field, scope)
        if self._counts_members:
            return self._judge_members(asked, answer, observation, scope)
        if self.controllers:
            return self._judge_controllers(asked, answer, scope)
        there = Text(f"existe {answer.file}", f"{answer.file} is there")
        return self.finding(True, scope, there, f"ls {answer.file}")

    def _judge_field(self, answer: CgroupText, field: CgroupField, scope: Scope) -> Finding:
        value, look = self._value(answer), f"cat {answer.file}"
        if value is None:
            none = Text(f"{field.file} no tiene {field.key}", f"{field.file} has no {field.key}")
            return self.finding(False, scope, none, look)
        is_ = Text(f"{field} es {value}", f"{field} is {value}")
        return self.finding(self.holds(value, compare.kernel), scope, is_, look)

    def _judge_increase(self, asked: CgroupFile, answer: CgroupText, scope: Scope) -> Finding:
        """A cgroup that is not there yet has counted nothing."""
        if (field := self._field) is None:
            raise CannotSee(Text("la lección no dice qué campo aumenta", "the lesson names no field"))
        value = compare.kernel(self._value(answer)) or 0
        subject = (asked, field.key)
        noted = scope.memory.latest(subject)
        # A counter that went down belongs to a cgroup that was made anew.
        base = value if noted is None else noted if noted <= value else 0
        scope.memory.note(subject, base)
        if answer.text is None:
            return self.finding(False, scope, _missing(asked, answer), _look_around(asked, answer))
        observed = Text(
            f"{field} es {value}; al empezar era {base}",
            f"{field} is {value}; it was {base} at the beginning",
        )
        return self.finding(value - base >= (self.increased or 0), scope, observed, f"cat {answer.file}")

    def _judge_members(
        self, asked: CgroupFile, answer: CgroupText, observation: Observation, scope: Scope
    ) -> Finding:
        everyone = self._members(asked, observation, everyone=True)
        found = self._members(asked, observation)
        passed = self._number.holds(len(found)) if self._number is not None else bool(found)
        look = f"cat {answer.file}/cgroup.procs"
        listed = ", ".join(f"`{process.comm}` (PID {process.pid})" for process in everyone[:3])
        more = len(everyone) - 3
        es, en = (f"{listed} y {more} más", f"{listed} and {more} more") if more > 0 else (listed, listed)
        observed = Text(f"dentro: {es}", f"in it: {en}") if everyone else Text("está vacío", "it is empty")
        return self.finding(passed, scope, observed, look)

    def _judge_controllers(self, asked: CgroupFile, answer: CgroupText, scope: Scope) -> Finding:
        has = (answer.text or "").split()
        listed = " ".join(has) or "-"
        observed = Text(f"sus controladores son: {listed}", f"its controllers are: {listed}")
        is_v2 = answer.file == f"/sys/fs/cgroup/{asked.path}/{CONTROLLERS_FILE}"
        look = f"cat {answer.file}" if is_v2 else f"find /sys/fs/cgroup -path '*/{asked.path}'"
        return self.finding(set(self.controllers) <= set(has), scope, observed, look)

    def _value(self, answer: CgroupText) -> int | str | None:
        field = self._field
        return None if answer.text is None or field is None else field.value(answer.text)

    def _members(self, asked: CgroupFile, observation: Observation, everyone: bool = False) -> list[Process]:
        """Return the processes in it, those that `members` means unless *everyone* is wanted."""
        state = machine_state(observation, asked.machine)
        found = _in_cgroup(asked.path, state)
        if self.members is None or everyone:
            return found
        meant = {process.identity for process in self.members.find(state)}
        return [process for process in found if process.identity in meant]


def _in_cgroup(path: str, state: MachineState) -> list[Process]:
    paths = CgroupPaths(state)
    memberships: Mapping[int, Any] = {process.pid: paths.of(process).values() for process in state.processes}
    return [process for process in state.processes if path in memberships[process.pid]]


def _directory(answer: CgroupText, asked: CgroupFile) -> str:
    return answer.file.rpartition("/")[0] if asked.file else answer.file


def _missing(asked: CgroupFile, answer: CgroupText) -> Text:
    directory = _directory(answer, asked)
    return Text(f"no existe {directory}", f"{directory} does not exist")


def _look_around(asked: CgroupFile, answer: CgroupText) -> str:
    """Return the command that lists what there is instead."""
    return f"ls {_directory(answer, asked).removesuffix(asked.path)}"
