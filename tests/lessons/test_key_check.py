"""The check on a key of the store, over observations."""

from typing import Any

import pytest
from observed import check

from kubelab.language import Text
from kubelab.lessons.checks import Measure, Scope, judge
from kubelab.lessons.checks.store_key import KeyIn, StoredKey
from kubelab.lessons.observation import Observation, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK
LUNA = StoredKey("llena", version=2, create_revision=41, mod_revision=57, lease=0)


def verdict(yaml: str, answer: Any, member: str = "") -> Verdict:
    observation = Observation(answers={KeyIn("/course/luna", member): answer})
    return judge(check(yaml), observation, Scope("master-1")).verdict


@pytest.mark.parametrize(
    ("keys", "there", "not_there"),
    [
        ("", PASSED, NOT_YET),
        (", absent: true", NOT_YET, PASSED),
        (", eq: llena", PASSED, NOT_YET),
        (", eq: nueva", NOT_YET, NOT_YET),
        (", field: version, ge: 2", PASSED, NOT_YET),
        (", field: mod_revision, gt: 57", NOT_YET, NOT_YET),
        (", field: lease, gt: 0", NOT_YET, NOT_YET),
    ],
)
def test_a_key_is_there_or_its_fields_compare(keys: str, there: Verdict, not_there: Verdict) -> None:
    yaml = f"{{key: /course/luna{keys}}}"
    assert (verdict(yaml, LUNA), verdict(yaml, StoredKey())) == (there, not_there)


def test_one_member_can_be_asked_for_its_own_copy() -> None:
    yaml = "{key: /course/luna, member: master-3, eq: llena}"
    assert verdict(yaml, LUNA, "master-3") is PASSED
    assert check(yaml).questions(Observation(), Scope("master-1")) == {KeyIn("/course/luna", "master-3")}


def test_a_store_that_does_not_answer_cannot_be_checked() -> None:
    assert verdict("{key: /course/luna}", Unseen(Text("mudo", "mute"))) is CANNOT


def test_its_value_is_the_fields() -> None:
    measure = check("{key: /course/luna, field: mod_revision}")
    assert isinstance(measure, Measure)
    observation = Observation(answers={KeyIn("/course/luna"): LUNA})
    assert measure.value(observation, Scope("master-1")) == 57
