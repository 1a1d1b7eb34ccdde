"""`session`: what the learner did in the lesson itself, beside its machines: hints, resets, the language.

For lessons on how lessons work. The session tells its own state with each observation. Left out: predictions
(the step that asks one shows its answer), and what was done before the lesson was opened this time.
"""

from typing import Annotated, Any, Literal

from kubelab.language import Text
from kubelab.lessons.checks.check import NOT_LOOKED_YET, CannotSee, Finding, Measure, Needs, Scope, check
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Observation
from kubelab.lessons.view import Verdict

Figure = Literal["hints", "resets", "language"]

_FIGURES: dict[Figure, Text] = {
    "hints": Text("las pistas de este paso que has pedido", "the hints of this step that you asked for"),
    "resets": Text("las veces que has reiniciado este paso", "how often you reset this step"),
    "language": Text("el idioma de la lección", "the lesson's language"),
}


@check
class SessionCheck(Comparison, Measure):
    """What the learner did in the lesson itself compares as the comparison's keys (below) say."""

    session: Annotated[
        Figure,
        "What: how many `hints` of this step are shown, how many `resets` of it there were since the lesson "
        "was opened, or the `language` (`es`, `en`) that is chosen.",
    ]

    example = "{session: hints, ge: 1}"

    def needs(self) -> Needs:
        return Needs()

    def subject(self, scope: Scope) -> Text:
        return _FIGURES[self.session]

    def expected(self, scope: Scope) -> Text:
        figure, phrase = self.subject(scope), self.phrase()
        return Text(f"{figure.es}: {phrase.es}", f"{figure.en}: {phrase.en}")

    def value(self, observation: Observation, scope: Scope) -> Any:
        if observation.session is None:
            raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
        return getattr(observation.session, self.session)

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        value = self.value(observation, scope)
        return self.finding(self.holds(value), scope, Text(str(value), str(value)))
