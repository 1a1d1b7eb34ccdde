"""JSONPath, comparisons, variables and signals: small pure parts, each against its own specification."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.jsonpath import JsonPath
from kubelab.lessons.checks.signals import in_mask
from kubelab.lessons.compare import Comparison
from kubelab.lessons.variables import draw, substitute

POD = {
    "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web"}},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {"name": "a", "restartCount": 0, "ready": True},
            {"name": "b", "restartCount": 3, "ready": False},
        ],
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("{.status.phase}", ["Running"]),
        (".status.phase", ["Running"]),
        ("{.status.containerStatuses[1].name}", ["b"]),
        ("{.status.containerStatuses[-1].name}", ["b"]),
        ("{.status.containerStatuses[7].name}", []),
        ("{.status.containerStatuses[*].restartCount}", [0, 3]),
        ('{.status.containerStatuses[?(@.name=="b")].restartCount}', [3]),
        ("{.status.containerStatuses[?(@.ready==true)].name}", ["a"]),
        ("{.status.containerStatuses[?(@.restartCount==3)].name}", ["b"]),
        (r"{.metadata.labels.app\.kubernetes\.io/name}", ["web"]),
        (r"{.metadata.labels['app\.kubernetes\.io/name']}", ["web"]),
        ("{.status.absent.deeper}", []),
        ("{.status.phase.deeper}", []),
    ],
)
def test_jsonpath_selects_as_kubectl_does(path: str, found: list[Any]) -> None:
    assert JsonPath.parse(path).find(POD) == found


@pytest.mark.parametrize(
    ("comparison", "value", "holds"),
    [
        (Comparison(eq="Running"), "Running", True),
        (Comparison(eq=3), 3, True),
        (Comparison(eq="3"), 3, True),
        (Comparison(ne="x"), None, True),
        (Comparison(eq="x"), None, False),
        (Comparison(ge=1), 1, True),
        (Comparison(gt=1, lt=3), 3, False),
        (Comparison(gt=1), "text", False),
        (Comparison(in_=["a", "b"]), "b", True),
        (Comparison(eq=1), True, True),
    ],
)
def test_a_comparison_holds_if_all_its_operators_do(
    comparison: Comparison, value: object, holds: bool
) -> None:
    assert comparison.holds(value) is holds


@given(st.integers(), st.integers())
def test_the_operators_agree_with_each_other(value: int, operand: int) -> None:
    assert Comparison(eq=operand).holds(value) is not Comparison(ne=operand).holds(value)
    assert Comparison(lt=operand).holds(value) is not Comparison(ge=operand).holds(value)
    assert Comparison(gt=operand).holds(value) is not Comparison(le=operand).holds(value)


@given(st.text())
def test_the_same_seed_draws_the_same(seed: str) -> None:
    choices = {"A": ("x", "y", "z"), "B": (1, 2)}
    drawn = draw(choices, seed)
    assert drawn == draw(choices, seed)
    assert all(drawn[name] in values for name, values in choices.items())


def test_different_seeds_draw_all_the_choices() -> None:
    assert {draw({"A": (1, 2, 3)}, str(seed))["A"] for seed in range(50)} == {1, 2, 3}


def test_only_declared_names_are_substituted() -> None:
    assert (
        substitute("$$ $! $HOME $NAME $NAMES ${x} $(y)", {"NAME": "web"})
        == "$$ $! $HOME web $NAMES ${x} $(y)"
    )


@given(st.text())
def test_without_variables_a_text_stays_as_it_is(text: str) -> None:
    assert substitute(text, {}) == text


def test_a_signal_is_the_bit_before_its_number() -> None:
    assert in_mask("TERM", 0x4000)
    assert not in_mask("TERM", 0x2000)
    assert in_mask("HUP", 0x1)
