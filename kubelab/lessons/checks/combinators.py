"""Checks made of checks: `all`, `any` and `not`, with three-valued logic ("cannot check" is neither),
those about time, `edge`, `level`, `hold` and `within`, and `value`, which compares what another sees."""

from collections.abc import Iterator
from typing import Annotated, Any

from kubelab.language import Text
from kubelab.lessons.checks.check import Check, Finding, Measure, Needs, Scope, check, judge
from kubelab.lessons.compare import Comparison
from kubelab.lessons.duration import Duration
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question
from kubelab.lessons.schema import SOME
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


def all_parts(whole: Check) -> Iterator[Check]:
    """Yield *whole* and every check that it is made of."""
    yield whole
    for part in whole.parts() if isinstance(whole, _Combined) else ():
        yield from all_parts(part)


@check
class All(_Combined):
    """Every one of the checks holds."""

    all: Annotated[tuple[Check, ...], "The checks.", SOME]

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

    any: Annotated[tuple[Check, ...], "The checks.", SOME]

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


class _Single(_Combined):
    """A check made of one other."""

    __slots__ = ()

    def part(self) -> Check:
        raise NotImplementedError

    def parts(self) -> tuple[Check, ...]:
        return (self.part(),)


@check
class Edge(_Single):
    """The check held at some moment since the step began; it need not hold any more. A step's own checks are
    edges anyway: this is for the inside of other combinators."""

    edge: Annotated[Check, "The check."]

    example = "{edge: {pod-running: web}}"

    def part(self) -> Check:
        return self.edge

    def expected(self, scope: Scope) -> Text:
        inner = self.edge.expected(scope)
        return Text(f"en algún momento, {inner.es}", f"at some moment, {inner.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        held: Finding | None = scope.memory.latest(self)
        if held is not None:
            return held
        inner = judge(self.edge, observation, scope)
        finding = Finding(inner.verdict, self.expected(scope), inner.observed, inner.look)
        if finding.passed:
            scope.memory.note(self, finding)
        return finding


@check
class Level(_Single):
    """The check holds now. As a step's own check it must hold at the moment when the step passes."""

    level: Annotated[Check, "The check."]

    example = "level: {process: {argv: stress}, absent: true}"

    def part(self) -> Check:
        return self.level

    def expected(self, scope: Scope) -> Text:
        return self.level.expected(scope)

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        return self.level.evaluate(observation, scope)


@check
class Hold(_Single):
    """The check holds without a break for a length of time."""

    hold: Annotated[Check, "The check."]
    for_: Annotated[Duration, "How long it must hold."]

    example = "{hold: {pod-running: web}, for: 5s}"

    def part(self) -> Check:
        return self.hold

    def expected(self, scope: Scope) -> Text:
        inner = self.hold.expected(scope)
        return Text(f"durante {self.for_} seguidos, {inner.es}", f"for {self.for_} on end, {inner.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        inner = judge(self.hold, observation, scope)
        since_s = scope.memory.since_s(self, inner.passed)
        if since_s is None:
            return Finding(inner.verdict, self.expected(scope), inner.observed, inner.look)
        over_s = since_s + self.for_.seconds_s
        if scope.memory.at_s >= over_s:
            return self.finding(True, scope, inner.observed, inner.look)
        scope.memory.wake(over_s)
        still = Text(
            f"{inner.observed.es}; todavía no {self.for_} seguidos",
            f"{inner.observed.en}; not for {self.for_} on end yet",
        )
        return self.finding(False, scope, still, inner.look)


@check
class Within(_Combined):
    """Each of the checks held at some moment, and all these moments lie within a length of time: what follows
    from what. One that holds on counts as now."""

    within: Annotated[Duration, "How far apart the moments may be."]
    checks: Annotated[tuple[Check, ...], "The checks, in any order.", SOME]

    example = "{within: 20s, checks: [{pod-gone: old}, {pod-running: web}]}"

    def parts(self) -> tuple[Check, ...]:
        return self.checks

    def expected(self, scope: Scope) -> Text:
        joined = self._joined(scope, "; y ", "; and ")
        return Text(f"en menos de {self.within}: {joined.es}", f"within {self.within}: {joined.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        findings = [self._latest(part, observation, scope) for part in self.checks]
        worst = _first(findings, Verdict.NOT_YET) or _first(findings, Verdict.CANNOT_CHECK) or findings[-1]
        return Finding(worst.verdict, self.expected(scope), worst.observed, worst.look)

    def _latest(self, part: Check, observation: Observation, scope: Scope) -> Finding:
        """Return what was found when *part* last held, if that is recent enough, else what is found now."""
        memory, finding = scope.memory, judge(part, observation, scope)
        if finding.passed:
            memory.note((self, part), (memory.at_s, finding))
            return finding
        held_s, held = memory.latest((self, part)) or (None, None)
        recent = held_s is not None and memory.at_s - held_s <= self.within.seconds_s
        return held if recent and held else finding


@check
class Value(Comparison, _Single):
    """The value of a check that has one compares as the comparison's keys (below) say, or has grown since the
    step began, or is another one than then; or it has stayed the same for a length of time."""

    value: Annotated[Measure, "The check whose value it is."]
    increased: Annotated[
        int | None, "By how much the value, a number, must have grown since it was first seen in the step."
    ] = None
    changed: Annotated[bool, "The value must be another one than when it was first seen in the step."] = False
    steady: Annotated[
        Duration | None, "For how long it must have stayed the same, whatever it was before."
    ] = None

    example = "{value: {object-count: pods, labels: {app: web}}, increased: 1}"

    def part(self) -> Check:
        return self.value

    @property
    def asks(self) -> bool:
        """Whether anything is asked of the value but that there is one."""
        return bool(self.asked()) or self.changed or self.increased is not None or self.steady is not None

    def expected(self, scope: Scope) -> Text:
        subject, phrases = self.value.subject(scope), list(self._phrases())
        es, en = " y ".join(phrase.es for phrase in phrases), " and ".join(phrase.en for phrase in phrases)
        return Text(f"{subject.es}: {es}", f"{subject.en}: {en}")

    def _phrases(self) -> Iterator[Text]:
        if self.asked():
            yield self.phrase()
        if self.increased is not None:
            yield Text(
                f"al menos {self.increased} más que antes", f"at least {self.increased} more than before"
            )
        if self.changed:
            yield Text("otro valor que antes", "another value than before")
        if self.steady is not None:
            yield Text(f"el mismo valor {self.steady} seguidos", f"the same value for {self.steady} on end")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        look = judge(self.value, observation, scope).look
        value = self.value.value(observation, scope)
        # Always asked: what has changed meanwhile has not stayed the same, whatever else holds.
        is_steady = self._is_steady(value, scope)
        if value is None:
            return self.finding(False, scope, Text("no hay ningún valor", "there is no value"), look)
        first = scope.memory.first(self.value, value)
        passed = self.holds(value, self.value.amount) and self._has_moved(first, value) and is_steady
        return self.finding(passed, scope, _seen(first, value), look)

    def _is_steady(self, value: Any, scope: Scope) -> bool:
        if self.steady is None:
            return True
        memory, subject = scope.memory, (self, "steady")
        is_same = value is not None and value == memory.latest(subject)
        memory.note(subject, value)
        memory.since_s(subject, is_same)  # Another value begins anew, now.
        since_s = memory.since_s(subject, value is not None)
        if since_s is None:
            return False
        over_s = since_s + self.steady.seconds_s
        if memory.at_s < over_s:
            memory.wake(over_s)
        return memory.at_s >= over_s

    def _has_moved(self, first: Any, value: Any) -> bool:
        if self.changed and value == first:
            return False
        if self.increased is None:
            return True
        before, now = self.value.amount(first), self.value.amount(value)
        return before is not None and now is not None and now - before >= self.increased


def _seen(first: Any, value: Any) -> Text:
    if first == value:
        return Text(f"vale {value}", f"it is {value}")
    return Text(f"vale {value}; antes, {first}", f"it is {value}; before, {first}")
