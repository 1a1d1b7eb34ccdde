"""Comparisons, and the units that numbers carry on either side."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.lessons.compare import Comparison, kernel, kubernetes, plain


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("32M", 33554432),
        ("33554432", 33554432),
        ("1K", 1024),
        ("2g", 2 * 1024**3),
        (7, 7),
        ("max", None),
        ("", None),
    ],
)
def test_the_kernel_reads_powers_of_1024(value: object, amount: int | None) -> None:
    assert kernel(value) == (None if amount is None else Decimal(amount))


def test_kubernetes_tells_mega_from_mebi() -> None:
    assert Comparison(eq="32M").holds("32000000", kubernetes)
    assert not Comparison(eq="32Mi").holds("32000000", kubernetes)
    assert Comparison(eq="500m").holds("0.5", kubernetes)
    assert Comparison(le="1Gi").holds("1024Mi", kubernetes)


def test_texts_are_compared_as_texts() -> None:
    assert Comparison(eq="Running").holds("Running")
    assert Comparison(ne="Running").holds("Pending")
    assert Comparison(in_=["Failed", "Succeeded"]).holds("Failed")
    assert not Comparison(gt=3).holds("many")


def test_a_missing_value_is_only_other() -> None:
    assert Comparison(ne="x").holds(None)
    assert not Comparison(eq="x").holds(None)
    assert not Comparison(lt=3).holds(None)


def test_truth_is_no_number() -> None:
    assert plain(True) is None
    assert Comparison(eq=True).holds(True)
    assert not Comparison(eq=1).holds("True")


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_numbers_are_ordered_however_they_are_written(one: int, other: int) -> None:
    assert Comparison(gt=other).holds(str(one)) == (one > other)
    assert Comparison(le=str(other)).holds(one) == (one <= other)
