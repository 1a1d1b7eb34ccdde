"""Which answer a learner means, and how the question is told before and after the live system answers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.language import Text
from kubelab.lessons.view import ChoiceView, LessonView, Mode, OutcomeView, PredictionView, StepView
from kubelab.plain.prediction import letters, meant, spoken
from kubelab.plain.telling import Teller

CHOICES = (
    ChoiceView("swap", Text("Va a `swap`.", "It goes to `swap`.")),
    ChoiceView("killed", Text("Muere.", "It dies.")),
)
ASKED = PredictionView(Text("¿Qué pasa?", "What *happens*?"), CHOICES)
FREE = PredictionView(Text("¿Cuántos?", "How many?"), ())
DIES = OutcomeView(Text("1", "1"), "killed", right=False, explanation=Text("Sin swap.", "No swap."))
STEP = StepView(
    "one", Text("Uno", "One"), Text("Haz.", "Do."), (), 0, False, (), None, Text("Fue.", "It was.")
)
ENGLISH = Teller("en")


def view(prediction: PredictionView, *, passed: bool = False) -> LessonView:
    step = replace(STEP, prediction=prediction, passed=passed)
    return LessonView("track/lesson", Text("Lección", "Lesson"), (step, replace(STEP, id="two")), 0)


@pytest.mark.parametrize("said", ["b", "B", "b)", "killed", "It dies.", " it  dies. ", "muere."])
def test_a_choice_is_meant_by_its_letter_its_id_or_its_words(said: str) -> None:
    assert meant(ASKED, said) == "killed"


def test_what_is_no_choice_means_none() -> None:
    assert meant(ASKED, "c") is None
    assert letters(ASKED) == "a, b"


@given(st.text())
def test_without_choices_any_words_are_an_answer(said: str) -> None:
    assert meant(FREE, said) == (" ".join(said.split()) or None)


def test_an_answer_is_told_with_its_letter_and_own_words_as_they_are() -> None:
    assert spoken(ASKED, "killed", "es") == "b) Muere."
    assert spoken(FREE, "two, I think", "en") == "two, I think"


def test_the_question_follows_the_steps_text() -> None:
    assert list(ENGLISH.step(view(ASKED)))[2:] == [
        "Do.",
        "",
        "Question.",
        "What happens?",
        "a) It goes to `swap`.",
        "b) It dies.",
        "Answer with :predict and the letter, if you like; it can be changed until the system answers.",
    ]


def test_an_answer_so_far_is_told_instead_of_how_to_answer() -> None:
    said = list(ENGLISH.question(replace(ASKED, answer="killed")))
    assert said[-1] == "Your answer so far: b) It dies."


def test_the_outcome_is_told_between_the_passed_step_and_its_debrief() -> None:
    answered = replace(ASKED, answer="swap")
    assert list(ENGLISH.news(view(answered), view(replace(answered, outcome=DIES), passed=True))) == [
        "Step passed: One.",
        "You predicted: a) It goes to `swap`.",
        "The system answers: 1",
        "That is answer b) It dies.",
        "It does not agree with your prediction.",
        "No swap.",
        "It was.",
        ":next goes on to the next step.",
    ]


def test_a_prediction_that_agrees_is_told_so() -> None:
    right = replace(ASKED, answer="killed", outcome=replace(DIES, right=True, explanation=None))
    assert list(ENGLISH.question(right))[-3:] == [
        "You predicted: b) It dies.",
        "The system answers: 1",
        "It agrees with your prediction.",
    ]


def test_who_did_not_answer_hears_what_the_system_says_and_no_reproach() -> None:
    assert list(ENGLISH.question(replace(ASKED, outcome=DIES)))[-2:] == [
        "The system answers: 1",
        "That is answer b) It dies.",
    ]


def test_an_answer_without_a_value_is_the_choice_itself() -> None:
    said = list(ENGLISH.question(replace(ASKED, outcome=replace(DIES, value=Text("", "")))))
    assert said[-1] == "The system answers: b) It dies."


def test_own_words_are_compared_by_who_wrote_them() -> None:
    free = replace(FREE, answer="3, maybe", outcome=OutcomeView(Text("2", "2"), "", right=False))
    assert list(ENGLISH.question(free))[-3:] == [
        "You predicted: 3, maybe",
        "The system answers: 2",
        "Compare it with your prediction.",
    ]


def test_work_of_the_lab_is_told_when_it_begins_and_not_again() -> None:
    idle = view(ASKED)
    busy = replace(idle, busy=Text("Se prepara el paso…", "Setting up the step…"))
    assert list(ENGLISH.news(idle, busy)) == ["The lab is at work. Setting up the step."]
    assert list(ENGLISH.news(busy, busy)) == list(ENGLISH.news(busy, idle)) == []


def test_a_skipped_step_is_told_as_such() -> None:
    skipped = replace(STEP, passed=True, skipped=True)
    after = replace(view(ASKED), steps=(skipped, STEP))
    assert next(ENGLISH.news(view(ASKED), after)) == "Step skipped: One. The lab typed the solution."
    assert next(ENGLISH.step(after)) == "Step 1 of 2, skipped: One"


def test_a_test_says_that_it_is_one_and_ends_as_one() -> None:
    test = replace(view(FREE), mode=Mode.TEST_OUT)
    assert list(ENGLISH.step(test))[1:3] == ["", "This is a test: no hints and no solutions."]
    last = replace(test, steps=(replace(STEP),))
    passed = replace(test, steps=(replace(STEP, passed=True),))
    assert list(ENGLISH.news(last, passed))[-1] == "Test passed: Lesson. :home goes back to the list."
