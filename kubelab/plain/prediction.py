"""A step's question: its answers under letters, and which of them a learner means. Pure."""

import string
from collections.abc import Iterator

from kubelab.language import Language
from kubelab.lessons.view import ChoiceView, PredictionView


def lettered(prediction: PredictionView) -> Iterator[tuple[str, ChoiceView]]:
    return zip(string.ascii_lowercase, prediction.choices, strict=False)


def letters(prediction: PredictionView) -> str:
    return ", ".join(letter for letter, _ in lettered(prediction))


def meant(prediction: PredictionView, said: str) -> str | None:
    """Return the answer that *said* stands for: a choice by its letter ("b", "B)"), its id or its words in
    either language; without choices any words. None if it is none of them.
    """
    said = " ".join(said.split())
    if not prediction.choices:
        return said or None
    folded = said.casefold()
    for letter, choice in lettered(prediction):
        names = (letter, f"{letter})", choice.id, choice.text.es, choice.text.en)
        if folded in (name.casefold() for name in names):
            return choice.id
    return None


def spoken(prediction: PredictionView, answer: str, language: Language) -> str:
    """Return *answer* as it is told: a choice with its letter, or the learner's own words."""
    for letter, choice in lettered(prediction):
        if choice.id == answer:
            return f"{letter}) {choice.text.in_(language)}"
    return answer
