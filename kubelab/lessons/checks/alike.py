"""`alike`: two processes are the same in these fields, which are what makes a container one. Pure.

Source: namespaces(7), capabilities(7), proc(5), the OCI runtime specification (config.md, config-linux.md).
What is masked or read-only is read from the mounts below /proc, not from a list of paths: kernels and
runtimes differ in what they have there.
Left out: rlimits, what the seccomp filters say, mounts beyond /proc.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from kubelab.cluster.linux.capabilities import NAMES, mask_of
from kubelab.language import Text
from kubelab.lessons.checks.check import NOT_LOOKED_YET, CannotSee, Finding, Measure, Needs, Scope, check
from kubelab.lessons.checks.mount_table import mount_at
from kubelab.lessons.checks.subject import Subject, View, typed
from kubelab.lessons.observation import NAMESPACE_KINDS, Mount, Observation, Process, Unseen
from kubelab.lessons.schema import SOME
from kubelab.lessons.view import Verdict

AlikeField = Literal["namespaces", "capabilities", "no-new-privs", "seccomp", "uid", "masked", "read-only"]

_KERNEL_TYPES = frozenset(("proc", "sysfs"))


@dataclass(frozen=True, slots=True)
class _Aspect:
    """What of a process is compared, as a set of words, and the command that shows it."""

    name: Text
    words: Callable[[View, Process], frozenset[str]]
    look: str


@check
class AlikeCheck(Measure):
    """Two processes have the same of each of these: `namespaces` (the kinds in which they are in others than
    the machine's), `capabilities` in effect, `no-new-privs`, `seccomp` (whether there is a filter), `uid` (as
    the machine counts), `masked` and `read-only` (paths below /proc). Of several that `of` means one is
    enough. Its value are those in which they differ."""

    alike: Annotated[tuple[AlikeField, ...], "What must be the same.", SOME]
    of: Annotated[Subject, "Who is compared."]
    to: Annotated[Subject, "Whom with: of a pod, name the container, or it is pause."]
    machine: Annotated[str, "The machine on which processes are sought; by default the lesson's own."] = ""

    example = "{alike: [capabilities, no-new-privs], of: {argv: sleep 1000}, to: {pod: web}}"

    def needs(self) -> Needs:
        return self.of.needs() | self.to.needs() | Needs(True, machines=frozenset({self.machine} - {""}))

    def value(self, observation: Observation, scope: Scope) -> list[str]:
        mine, other = self._nearest(observation, scope)
        return list(self._differing(mine, other))

    def expected(self, scope: Scope) -> Text:
        names = [_ASPECTS[field].name for field in self.alike]
        of, to = self.of.phrase(), self.to.phrase()
        return Text(
            f"{of.es}, igual que {to.es} en: {', '.join(name.es for name in names)}",
            f"{of.en}, the same as {to.en} in: {', '.join(name.en for name in names)}",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        mine, other = self._nearest(observation, scope)
        differing = self._differing(mine, other)
        pid = mine.process.pid if mine.process else 1
        if not differing:
            look = _ASPECTS[self.alike[0]].look.format(pid=pid)
            return self.finding(True, scope, _ALIKE, typed(look, mine.state.name, scope))
        texts = [_difference(_ASPECTS[field].name, *_words(field, mine, other)) for field in differing]
        look = typed(_ASPECTS[differing[0]].look.format(pid=pid), mine.state.name, scope)
        observed = Text("; ".join(text.es for text in texts), "; ".join(text.en for text in texts))
        return self.finding(False, scope, observed, look)

    def _nearest(self, observation: Observation, scope: Scope) -> tuple[View, View]:
        """Return whichever differs in the fewest fields, and the one that it is compared with."""
        machine = self.machine or scope.machine
        other = self.to.views(observation, machine)[0]
        views = self.of.views(observation, machine)
        return min(views, key=lambda view: len(self._differing(view, other))), other

    def _differing(self, mine: View, other: View) -> Sequence[AlikeField]:
        pairs = ((field, _words(field, mine, other)) for field in self.alike)
        return [field for field, (left, right) in pairs if left != right]


def _words(field: AlikeField, mine: View, other: View) -> tuple[frozenset[str], frozenset[str]]:
    words = _ASPECTS[field].words
    return words(mine, _process(mine)), words(other, _process(other))


def _process(view: View) -> Process:
    """Return its process; a machine's view is that of its init."""
    if view.process is not None:
        return view.process
    init = next((process for process in view.state.processes if process.pid == 1), None)
    if init is None:
        raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
    return init


def _difference(name: Text, mine: frozenset[str], other: frozenset[str]) -> Text:
    more, less = _listed(mine - other), _listed(other - mine)
    es = [f"de más {more}" if more else "", f"de menos {less}" if less else ""]
    en = [f"has {more} besides" if more else "", f"lacks {less}" if less else ""]
    return Text(
        f"{name.es}: {', '.join(filter(None, es))}", f"{name.en}: it {', it '.join(filter(None, en))}"
    )


def _listed(words: Iterable[str]) -> str:
    return " ".join(sorted(words))


def _kinds(view: View, process: Process) -> frozenset[str]:
    own, machines = process.namespaces, view.state.namespaces
    return frozenset(kind for kind in NAMESPACE_KINDS if own.get(kind) not in (None, machines.get(kind)))


def _capabilities(view: View, process: Process) -> frozenset[str]:
    return frozenset(name for name in NAMES if process.capabilities & mask_of([name]))


def _masked(view: View, process: Process) -> frozenset[str]:
    return frozenset(mount.point for mount in _below_proc(view) if mount.type not in _KERNEL_TYPES)


def _read_only(view: View, process: Process) -> frozenset[str]:
    mounts = _below_proc(view)
    return frozenset(m.point for m in mounts if m.type in _KERNEL_TYPES and "ro" in m.options)


def _below_proc(view: View) -> list[Mount]:
    """Return the mounts that are seen below /proc. Raises CannotSee."""
    mounts = view.state.mounts.get(view.namespace("mnt") or 0)
    if mounts is None:
        raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
    if isinstance(mounts, Unseen):
        raise CannotSee(mounts.reason)
    below = {mount.point for mount in mounts if mount.point.startswith("/proc/")}
    return [found for point in below if (found := mount_at(mounts, point))]


_ALIKE = Text("no hay diferencia", "there is no difference")
_STATUS = "grep -E 'Uid|Cap|NoNewPrivs|Seccomp' /proc/{pid}/status"
_MOUNTS = "grep ' /proc/' /proc/{pid}/mountinfo"
_ASPECTS: Mapping[AlikeField, _Aspect] = {
    "namespaces": _Aspect(Text("espacios propios", "namespaces of its own"), _kinds, "ls -l /proc/{pid}/ns"),
    "capabilities": _Aspect(Text("capabilities", "capabilities"), _capabilities, _STATUS),
    "no-new-privs": _Aspect(
        Text("no_new_privs", "no_new_privs"),
        lambda _, process: frozenset([f"{process.no_new_privs:d}"]),
        _STATUS,
    ),
    "seccomp": _Aspect(
        Text("seccomp", "seccomp"), lambda _, process: frozenset([f"{process.seccomp_mode}"]), _STATUS
    ),
    "uid": _Aspect(Text("uid", "uid"), lambda _, process: frozenset([f"{process.uid}"]), _STATUS),
    "masked": _Aspect(Text("rutas tapadas", "masked paths"), _masked, _MOUNTS),
    "read-only": _Aspect(Text("rutas de solo lectura", "read-only paths"), _read_only, _MOUNTS),
}
