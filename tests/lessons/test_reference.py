"""The authors' reference says what the code does: it is made from it, and the committed one is up to date."""

from pathlib import Path

import pytest
from observed import check

from kubelab.lessons.checks import CHECKS
from kubelab.lessons.reference import reference
from kubelab.lessons.sample import before_and_after
from kubelab.lessons.view import Verdict

COMMITTED = Path(__file__).parents[2] / "lessons" / "README.md"


def test_the_committed_reference_is_what_the_code_says() -> None:
    assert COMMITTED.read_text() == reference(), "run: kubelab lesson reference > lessons/README.md"


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_an_example_that_is_first_not_yet_and_then_passed(name: str) -> None:
    example = check(CHECKS[name].example)
    assert isinstance(example, CHECKS[name])
    before, after = before_and_after(example)
    assert before.verdict is Verdict.NOT_YET
    assert after.verdict is Verdict.PASSED


@pytest.mark.parametrize("name", CHECKS)
def test_every_key_of_every_check_is_explained(name: str) -> None:
    text = reference().split(f"### `{name}`\n")[1].split("\n###")[0]
    assert CHECKS[name].__doc__
    assert text.count("| `") >= 1
    assert "None" not in text


def test_every_link_in_it_leads_somewhere() -> None:
    text = reference()
    headings = {
        line.lstrip("#").strip().lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    targets = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert targets <= headings
