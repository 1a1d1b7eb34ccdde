"""Quantities: "100m" of CPU, "1.5Gi" of memory; exact, and written back in canonical form.

Source: kubernetes, apimachinery/pkg/api/resource/{quantity,suffix}.go. As there, a value is
kept down to nano and anything finer is rounded away from zero, and a binary quantity is capped at 2^63-1.
Left out: the input string that upstream sometimes keeps as it was ("+5Ki"): ours is always canonical; and
exponents beyond 999, which upstream accepts.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

NANOS = 10**9
BINARY_MAX = 2**63 - 1
DIGITS_MAX = 1000

_SPLIT = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"  # Only quoted: upstream's parser takes more ("Ki").
_GRAMMAR = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([+-]?0*[0-9]{1,3})")

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIXES = ("", *_BINARY)


class Format(StrEnum):
    DECIMAL_EXPONENT = "DecimalExponent"  # 12e6
    BINARY_SI = "BinarySI"  # 12Mi
    DECIMAL_SI = "DecimalSI"  # 12M


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """Quantities compare by value alone: 1024Mi equals 1Gi. `str` gives the canonical form."""

    nanos: int
    format: Format = field(default=Format.DECIMAL_SI, compare=False)

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return self + -other

    def __neg__(self) -> "Quantity":
        return Quantity(-self.nanos, self.format)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __str__(self) -> str:
        sign, nanos = ("-" if self.nanos < 0 else ""), abs(self.nanos)
        if not nanos:
            return "0"
        if self.format is Format.BINARY_SI and nanos % NANOS == 0 and nanos >= 1024 * NANOS:
            return sign + _binary(nanos // NANOS)
        return sign + _decimal(nanos, with_suffix=self.format is not Format.DECIMAL_EXPONENT)


@lru_cache(4096, typed=True)  # A cluster has few different ones, and asks for each of them often.
def parse(value: str | float) -> Quantity:
    """Return the quantity that *value* writes; JSON may also have it as a number.

    Raises:
        ValueError: it is none, in upstream's words.
    """
    match = _GRAMMAR.fullmatch(text := str(value))
    if not match or not text:
        raise ValueError(f"quantities must match the regular expression '{_SPLIT}'")
    sign, whole, fraction, suffix = match.groups(default="")
    if len(whole) + len(fraction) > DIGITS_MAX:
        raise ValueError("unable to parse numeric part of quantity")
    base, exponent, format_ = _interpret(suffix)
    nanos = _nanos(int(whole + fraction or "0"), -len(fraction), base, exponent)
    if format_ is Format.BINARY_SI:
        nanos = min(nanos, BINARY_MAX * NANOS)
        format_ = format_ if nanos == 0 or nanos >= NANOS else Format.DECIMAL_SI
    return Quantity(-nanos if sign == "-" else nanos, format_)


def millicores(quantity: Quantity | str | float) -> int:
    """Return an amount of CPU in thousandths of a core, rounded away from zero."""
    return _round_up(_quantity(quantity).nanos * 1000, NANOS)


def as_bytes(quantity: Quantity | str | float) -> int:
    """Return an amount of memory in bytes, rounded away from zero."""
    return _round_up(_quantity(quantity).nanos, NANOS)


def _quantity(value: Quantity | str | float) -> Quantity:
    return value if isinstance(value, Quantity) else parse(value)


def _interpret(suffix: str) -> tuple[int, int, Format]:
    """Return base, exponent and format that *suffix* stands for."""
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], Format.DECIMAL_SI
    if suffix in _BINARY:
        return 2, _BINARY[suffix], Format.BINARY_SI
    if match := _EXPONENT.fullmatch(suffix):
        return 10, int(match[1]), Format.DECIMAL_EXPONENT
    raise ValueError("unable to parse quantity's suffix")


def _nanos(digits: int, scale: int, base: int, exponent: int) -> int:
    """Return digits * 10^scale * base^exponent in billionths, rounded up."""
    if base == 2:
        digits <<= exponent
    else:
        scale += exponent
    return digits * 10 ** (scale + 9) if scale >= -9 else _round_up(digits, 10 ** (-9 - scale))


def _round_up(numerator: int, denominator: int) -> int:
    magnitude = -(-abs(numerator) // denominator)
    return -magnitude if numerator < 0 else magnitude


def _decimal(nanos: int, *, with_suffix: bool) -> str:
    mantissa, exponent = nanos, -9
    while mantissa % 1000 == 0:
        mantissa, exponent = mantissa // 1000, exponent + 3
    if with_suffix and exponent in _DECIMAL_SUFFIXES:
        return f"{mantissa}{_DECIMAL_SUFFIXES[exponent]}"
    return f"{mantissa}e{exponent}" if exponent else str(mantissa)


def _binary(value: int) -> str:
    index = 0
    while value % 1024 == 0 and index < len(_BINARY_SUFFIXES) - 1:
        value, index = value // 1024, index + 1
    return f"{value}{_BINARY_SUFFIXES[index]}"
