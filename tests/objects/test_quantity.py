"""Quantities, by the tables of upstream's quantity_test.go and by their algebra."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.quantity import Format, Quantity, as_bytes, millicores, parse

CANONICAL = {
    "1024Mi": "1Gi",
    "307200Ki": "300Mi",
    "6Ki": "6Ki",
    "1025024Mi": "1001Gi",
    "1024Gi": "1Ti",
    "0.5Ki": "512",
    "1.5Gi": "1536Mi",
    "1000M": "1G",
    "0.001T": "1G",
    "1000u": "1m",
    "1.08": "1080m",
    "1080000000n": "1080m",
    "1234567M": "1234567M",
    "0.5": "500m",
    "1000": "1k",
    "100000": "100k",
    "1E": "1E",
    "1000E": "1e21",
    "1e3": "1e3",
    ".001e12": "1e9",
    "0.001e0": "1e-3",
    "1000e-12": "1e-9",
    "0Ki": "0",
    "00": "0",
    "+5": "5",
    "1.": "1",
    ".001Ki": "1024m",
    ".000001Ki": "1024u",
    ".000000000001Ki": "2n",
    "0.9n": "1n",
    "8Ei": "9223372036854775807",
    "18446744073709551616": "18446744073709551616",
}


@pytest.mark.parametrize(("text", "canonical"), CANONICAL.items())
def test_the_canonical_form_has_no_fraction_and_the_largest_suffix(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    if canonical != "0" and text[0] != "+":
        assert str(parse("-" + text)) == "-" + canonical


@pytest.mark.parametrize("text", ["", "1.1.M", "1+1.0M", "0.1am", "aoeu", " 1", "1 ", "1\n", "True", "١"])
def test_what_does_not_look_like_a_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse(text)


@pytest.mark.parametrize("text", ["0.1mi", ".5i", "1i", "-3.01i", "-3.01e-", "1e", "1EK", "1e1000000000"])
def test_a_suffix_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        parse(text)


def test_too_many_digits() -> None:
    with pytest.raises(ValueError, match="unable to parse numeric part of quantity"):
        parse("1" * 5000)


def test_json_numbers_are_quantities() -> None:
    assert parse(2) == parse("2")
    assert parse(0.5) == parse("500m")
    assert parse(1e-07) == parse("100n")


def test_processors_and_memory_round_up() -> None:
    assert [millicores(cpu) for cpu in ("100m", "1", 2, "0.5", "1u", "1.0001")] == [
        100,
        1000,
        2000,
        500,
        1,
        1001,
    ]
    assert [as_bytes(memory) for memory in ("128Mi", "1k", "1500m", "-1500m")] == [2**27, 1000, 2, -2]


QUANTITIES = st.builds(Quantity, st.integers(-(10**30), 10**30), st.sampled_from(Format))


@given(QUANTITIES)
def test_what_is_written_is_read_back_as_the_same_value(quantity: Quantity) -> None:
    if quantity.format is Format.BINARY_SI and abs(quantity.nanos) >= 2**63 * 10**9:
        return  # Parsing caps those.
    text = str(quantity)
    assert parse(text) == quantity
    assert str(parse(text)) == text


@given(QUANTITIES, QUANTITIES)
def test_sums_are_exact_and_keep_the_format_of_the_first_that_is_not_zero(a: Quantity, b: Quantity) -> None:
    assert (a + b).nanos == a.nanos + b.nanos
    assert a + b - b == a
    assert (a + b).format == (a or b).format
    assert (a < b) == (a.nanos < b.nanos)


@given(
    st.integers(0, 10**20),
    st.integers(0, 12),
    st.sampled_from(["n", "m", "", "k", "E", "Ki", "Ei", "e-7", "E4"]),
)
def test_parsing_is_exact_down_to_nano_and_rounds_up_below(digits: int, places: int, suffix: str) -> None:
    factors = {"n": Fraction(1, 10**9), "m": Fraction(1, 1000), "": 1, "k": 1000, "E": 10**18, "Ki": 2**10}
    factors |= {"Ei": 2**60, "e-7": Fraction(1, 10**7), "E4": 10**4}
    exact = Fraction(digits, 10**places) * factors[suffix]
    if suffix.endswith("i"):
        exact = min(exact, Fraction(2**63 - 1))
    text = f"{digits:0{places + 1}d}"
    nanos = parse(f"{text[: len(text) - places]}.{text[len(text) - places :]}{suffix}").nanos
    assert 0 <= nanos - exact * 10**9 < 1
