"""Predict, run, compare: what the learner expects before a step, and what the live state answers. Pure.

The live state is asked all the time, and the newest value that was seen counts, for by the time the step
passes what showed it may be gone. Of the choices that stand for a check, one that held at some moment has
happened.
"""

from dataclasses import dataclass, replace
from typing import Any

from kubelab.language import Text
from kubelab.lessons.checks import Measure, Scope, judge
from kubelab.lessons.checks.check import CannotSee
from kubelab.lessons.compare import Comparison
from kubelab.lessons.format import Choice, Predict, PredictionText
from kubelab.lessons.observation import Observation
from kubelab.lessons.view import ChoiceView, OutcomeView, PredictionView


@dataclass(frozen=True, slots=True)
class PredictionState:
    """`answer` is the learner's. `value` is what was seen last, as text, "" while nothing was; `choice` the
    one that it stands for, if any does."""

    answer: str = ""
    value: str = ""
    choice: str = ""


def reveal(
    predict: Predict | None, state: PredictionState, observation: Observation, scope: Scope
) -> PredictionState:
    """Return the state after *observation*: what the live state answers by now."""
    if predict is None or (predict.when and not judge(predict.when, observation, scope).passed):
        return state
    value = value_of(predict.reveal, observation, scope)
    shown = state.value if value is None else _shown(value)
    for id_, choice in predict.choices.items():
        if _happened(choice, value, predict, observation, scope):
            return replace(state, value=shown, choice=id_)
    return replace(state, value=shown)


def value_of(measure: Measure, observation: Observation, scope: Scope) -> Any:
    """Return the value of *measure*; None while there is none, or it cannot be seen."""
    try:
        return measure.value(observation, scope)
    except CannotSee:
        return None


def _happened(choice: Choice, value: Any, predict: Predict, observation: Observation, scope: Scope) -> bool:
    if choice.check is not None:
        return judge(choice.check, observation, scope).passed
    assert choice.comparison is not None
    return value is not None and choice.comparison.holds(value, predict.reveal.amount)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def draw_prediction(
    text: PredictionText | None, state: PredictionState, *, ended: bool
) -> PredictionView | None:
    """Return what a person sees of it; the outcome once the step has *ended*, if anything was seen."""
    if text is None:
        return None
    choices = tuple(ChoiceView(id_, choice) for id_, choice in text.choices.items())
    outcome = _outcome(text, state) if ended and (state.value or state.choice) else None
    return PredictionView(text.text, choices, state.answer, outcome)


def _outcome(text: PredictionText, state: PredictionState) -> OutcomeView:
    answer = state.answer.strip()
    right = answer == state.choice if text.choices else Comparison(eq=answer).holds(state.value)
    explanation = None if right else text.explanations.get(state.answer)
    return OutcomeView(Text(state.value, state.value), state.choice, right, explanation)
