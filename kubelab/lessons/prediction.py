"""Predict, run, compare: what the learner expects before a step, and what the live state answers. Pure.

The live state is asked all the time, and the newest value that was seen counts, for by the time the step
passes what showed it may be gone. Of the choices that stand for a check, one that held at some moment has
happened. Where the way to the goal goes on past the answer (in the end all that was left is removed), the
first choice that happened is to stay.
"""

import re
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
    """`answer` is the learner's. `value` is what was seen last, None while nothing was; `choice` the one that
    it stands for, if any does."""

    answer: str = ""
    value: Text | None = None
    choice: str = ""


def reveal(
    predict: Predict | None, state: PredictionState, observation: Observation, scope: Scope
) -> PredictionState:
    """Return the state after *observation*: what the live state answers by now."""
    if predict is None or (predict.first and state.choice):
        return state
    if predict.when and not judge(predict.when, observation, scope).passed:
        return state
    value = value_of(predict.reveal, observation, scope) if predict.reveal else None
    shown = None if predict.reveal is None else state.value if value is None else _shown(value)
    for id_, choice in predict.choices.items():
        seen = _happened(choice, value, predict, observation, scope)
        if seen is not None:
            return replace(state, value=seen if shown is None else shown, choice=id_)
    return state if shown is None else replace(state, value=shown)


def value_of(measure: Measure, observation: Observation, scope: Scope) -> Any:
    """Return the value of *measure*; None while there is none, or it cannot be seen."""
    try:
        return measure.value(observation, scope)
    except CannotSee:
        return None


def _happened(
    choice: Choice, value: Any, predict: Predict, observation: Observation, scope: Scope
) -> Text | None:
    """Return what was seen of the choice that is what happened; None for one that is not."""
    if choice.check is not None:
        finding = judge(choice.check, observation, scope)
        return finding.observed if finding.passed else None
    assert choice.comparison is not None
    assert predict.reveal is not None
    holds = value is not None and choice.comparison.holds(value, predict.reveal.amount)
    return _shown(value) if holds else None


def _shown(value: Any) -> Text:
    if isinstance(value, list | tuple):
        parts = [_shown(item) for item in value]
        return Text(", ".join(part.es for part in parts), ", ".join(part.en for part in parts))
    if isinstance(value, bool):
        return Text("sí", "yes") if value else Text("no", "no")
    return Text(str(value), str(value))


def draw_prediction(
    text: PredictionText | None, state: PredictionState, *, ended: bool
) -> PredictionView | None:
    """Return what a person sees of it; the outcome once the step has *ended*, if anything was seen."""
    if text is None:
        return None
    choices = tuple(ChoiceView(id_, choice) for id_, choice in text.choices.items())
    outcome = _outcome(text, state, state.value) if ended and state.value is not None else None
    return PredictionView(text.text, choices, state.answer, outcome)


def _outcome(text: PredictionText, state: PredictionState, value: Text) -> OutcomeView:
    answer = state.answer.strip()
    right = bool(answer) and (answer == state.choice if text.choices else _says(answer, value))
    explanation = None if right else text.explanations.get(state.answer)
    return OutcomeView(value, state.choice, right, explanation)


def _says(answer: str, value: Text) -> bool:
    """Tell whether the learner's own words are the value, in either language."""
    return any(Comparison(eq=answer.casefold()).holds(shown.casefold()) for shown in (value.es, value.en))


def recorded(value: Text) -> str:
    """Return *value* as progress keeps it: a line for both languages, or one for each. A line that is in the
    value itself (it may be a file's content) ends with \\n there."""
    es, en = (text.replace("\\", "\\\\").replace("\n", "\\n") for text in (value.es, value.en))
    return es if es == en else f"{es}\n{en}"


def resumed(text: str) -> Text:
    """Return the value that `recorded` wrote."""
    es, two, en = text.partition("\n")
    return Text(_unescaped(es), _unescaped(en if two else es))


def _unescaped(line: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], line)
