"""How quantities of faults are written: as tc(8) has them."""

import click
import pytest

from kubelab.cli.fault import DURATION, RATE, SHARE, SHIFT, Quantity, render
from kubelab.cluster.lab.faults import Fault


@pytest.mark.parametrize(
    ("quantity", "written", "value"),
    [
        (DURATION, "50ms", 0.05),
        (DURATION, "0.5s", 0.5),
        (DURATION, "2", 2.0),
        (DURATION, "250us", 0.00025),
        (SHIFT, "-3s", -3.0),
        (SHIFT, "+1h", 3600.0),
        (RATE, "1mbit", 1e6),
        (RATE, "64Kbit", 64e3),
        (SHARE, "10%", 0.1),
        (SHARE, "0.25", 0.25),
    ],
)
def test_a_number_and_its_unit_are_read(quantity: Quantity, written: str, value: float) -> None:
    assert quantity.convert(written, None, None) == pytest.approx(value)


@pytest.mark.parametrize(
    ("quantity", "written"),
    [(DURATION, "-1s"), (DURATION, "fast"), (DURATION, "1mbit"), (RATE, "1ms"), (SHARE, "ten"), (SHIFT, "")],
)
def test_what_is_no_quantity_is_answered_with_an_example(quantity: Quantity, written: str) -> None:
    with pytest.raises(click.BadParameter, match=r"«.*»|'.*' is no quantity"):
        quantity.convert(written, None, None)


def test_faults_are_listed_as_a_table() -> None:
    assert render([Fault("cut", "m", "n"), Fault("drop", "m", "", "loss 10%")]) == [
        "FAULT   MACHINE   TARGET   DETAILS",
        "cut     m         n        -",
        "drop    m         -        loss 10%",
    ]
