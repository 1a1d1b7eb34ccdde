"""`all`, `any`, `not`: checks made of checks, with three-valued logic: "cannot check" is neither."""

from typing import Annotated, Any

from kubelab.language import Text
from kubelab.lessons.checks.check import Check, Finding, Needs, Scope, check, judge
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question
from kubelab.lessons.view import Verdict


class _Combined(Check):
    __slots__ = ()

    def parts(self) -> tuple[Check, ...]:
        raise NotImplementedError

    def needs(self) -> Needs:
        needs = Needs()
        for part in self.parts():
            needs |= part.needs()
        return needs

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return frozenset().union(*(part.questions(observation, scope) for part in self.parts()))

    def _findings(self, observation: Observation, scope: Scope) -> list[Finding]:
        return [judge(part, observation, scope) for part in self.parts()]

    def _joined(self, scope: Scope, es: str, en: str) -> Text:
        texts = [part.expected(scope) for part in self.parts()]
        return Text(es.join(text.es for text in texts), en.join(text.en for text in texts))


@check
class All(_Combined):
    """Every one of the checks holds."""

    all: Annotated[tuple[Check, ...], "The checks."]

    example = "all: [{pod-running: web}, {pod-answers: web}]"

    def parts(self) -> tuple[Check, ...]:
        return self.all

    def expected(self, scope: Scope) -> Text:
        return self._joined(scope, "; y además ", "; and also ")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        findings = self._findings(observation, scope)
        # What the learner can still do comes before what nobody can tell.
        worst = _first(findings, Verdict.NOT_YET) or _first(findings, Verdict.CANNOT_CHECK) or findings[-1]
        return Finding(worst.verdict, self.expected(scope), worst.observed, worst.look)


@check
class AnyOf(_Combined):
    """At least one of the checks holds."""

    any: Annotated[tuple[Check, ...], "The checks."]

    example = "any: [{object: deployment, name: web}, {pod-running: web}]"

    def parts(self) -> tuple[Check, ...]:
        return self.any

    def expected(self, scope: Scope) -> Text:
        return self._joined(scope, "; o bien ", "; or ")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        findings = self._findings(observation, scope)
        best = _first(findings, Verdict.PASSED) or _first(findings, Verdict.CANNOT_CHECK) or findings[0]
        return Finding(best.verdict, self.expected(scope), best.observed, best.look)


@check
class Not(_Combined):
    """The check does not hold; what cannot be checked stays so."""

    not_: Annotated[Check, "The check."]

    example = "not: {process: {argv: stress}}"

    def parts(self) -> tuple[Check, ...]:
        return (self.not_,)

    def expected(self, scope: Scope) -> Text:
        inner = self.not_.expected(scope)
        return Text(f"que no ocurra: {inner.es}", f"not: {inner.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        inner = self.not_.evaluate(observation, scope)
        opposite = {Verdict.PASSED: Verdict.NOT_YET, Verdict.NOT_YET: Verdict.PASSED}
        verdict = opposite.get(inner.verdict, inner.verdict)
        return Finding(verdict, self.expected(scope), inner.observed, inner.look)


def _first(findings: list[Finding], verdict: Verdict) -> Finding | None:
    return next((finding for finding in findings if finding.verdict is verdict), None)
