"""A preview has everything that a lesson says, checks and types, in the language asked for."""

import pytest
from lesson_files import source
from test_predictions import asked

from kubelab.cluster.errors import LabError
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.preview import preview

LESSON = parse_lesson(source())


def test_all_of_a_lesson_is_in_its_preview() -> None:
    text = "\n".join(preview(LESSON, "en"))
    for part in (
        "A lesson (demo/01-sleep, 5 min)",
        "bench:/root/things",
        "$SECS=1001",
        "=== 1/2 Sleep [one]",
        "> What will happen?",
        "[edge] on bench, a process `sleep 1001`",
        "[level] on bench, no process `sleep 1001`",
        "--- Hint 1 (observe)",
        "--- Hint 4 (command)",
        "--- Wrong attempt [too-short]",
        "$ sleep 7 &",
        "told by: on bench, a process `sleep 7`",
        "That is little.",
        "$ pkill -f 'sleep 1001'",
        "Good.",
    ):
        assert part in text, part


def test_one_step_can_be_read_alone_and_in_spanish() -> None:
    text = "\n".join(preview(LESSON, "es", "two"))
    assert "=== 2/2 Despertar [two]" in text
    assert "Dormir" not in text


def test_a_misspelt_step_gets_a_suggestion() -> None:
    with pytest.raises(LabError) as caught:
        list(preview(LESSON, "en", "tow"))
    assert "did you mean “two”?" in caught.value.sentence.in_("en")  # type: ignore[union-attr]


def test_a_prediction_is_read_with_how_each_choice_is_told() -> None:
    text = "\n".join(preview(parse_lesson(asked()), "en"))
    for part in (
        "--- Prediction\n    What will happen?",
        "--- [none] Nada\n    told by: equal to 0\n    Pues sí.",
        "--- [many] Muchos\n    told by: on bench, a process `sleep 9`",
    ):
        assert part in text, part
