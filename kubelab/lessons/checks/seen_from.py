"""What the checks of mounts, files, networks have in common: they look from somebody's view. Pure."""

from dataclasses import replace

from kubelab.language import Text
from kubelab.lessons.checks.check import CannotSee, Finding, Measure, Needs, Scope
from kubelab.lessons.checks.subject import Subject, View, typed
from kubelab.lessons.observation import Observation


class SeenFrom(Measure):
    """A check whose fields `of` and `machine` say who looks; it is enough if one of them sees it so."""

    __slots__ = ()
    of: Subject
    machine: str

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        """Return what is found from one view, with the command to be run on its machine. Raises CannotSee."""
        raise NotImplementedError

    def needs(self) -> Needs:
        return self.of.needs() | Needs(machines=frozenset({self.machine} - {""}))

    def place(self, scope: Scope) -> Text:
        """Return "on minion-1" or "as seen from a process `bash`"."""
        return self.of.place(self.machine or scope.machine)

    def views(self, observation: Observation, scope: Scope) -> tuple[View, ...]:
        """Return all views, at least one. Raises CannotSee."""
        return self.of.views(observation, self.machine or scope.machine)

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        findings = [self._judge(view, observation, scope) for view in self.views(observation, scope)]
        return next((finding for finding in findings if finding.passed), findings[0])

    def _judge(self, view: View, observation: Observation, scope: Scope) -> Finding:
        try:
            finding = self.judge_view(view, observation, scope)
            return replace(finding, look=typed(finding.look, view.state.name, scope))
        except CannotSee as reason:
            return Finding(reason.verdict, self.expected(scope), reason.reason)
