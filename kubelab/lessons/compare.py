"""Compare a value with what a check asks for: eq, ne, gt, ge, lt, le, in.

Numbers may carry a unit on either side: where both sides can be read as amounts they are compared as such, so
"500m" equals 0.5 of a CPU, and a limit of "32M" equals the 33554432 that the kernel says. What a suffix means
depends on who speaks: in the `kernel`'s interfaces M is 1024 squared, in Kubernetes' objects a million.
Source: kernel, lib/cmdline.c (memparse); https://kubernetes.io/docs/reference/kubernetes-api/ (Quantity).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from kubelab.cluster import quantity
from kubelab.language import Text

_OPERATORS: Mapping[str, tuple[Callable[[Any, Any], bool], Text]] = {
    "eq": (lambda value, wanted: value == wanted, Text("igual a {0}", "equal to {0}")),
    "ne": (lambda value, wanted: value != wanted, Text("distinto de {0}", "other than {0}")),
    "gt": (lambda value, wanted: value > wanted, Text("mayor que {0}", "greater than {0}")),
    "ge": (lambda value, wanted: value >= wanted, Text("al menos {0}", "at least {0}")),
    "lt": (lambda value, wanted: value < wanted, Text("menor que {0}", "less than {0}")),
    "le": (lambda value, wanted: value <= wanted, Text("como mucho {0}", "at most {0}")),
    "in": (lambda value, wanted: value in wanted, Text("uno de {0}", "one of {0}")),
}

Amount = Callable[[Any], Decimal | None]
"""Reads a value as a number, with its unit; None if it is none."""

_MEMPARSE = re.compile(r"(-?\d+(?:\.\d+)?)([KMGTPE]?)", re.IGNORECASE)


def plain(value: Any) -> Decimal | None:
    """Read 7, 0.5 or "7", without a unit."""
    return Decimal(str(value)) if re.fullmatch(r"-?\d+(?:\.\d+)?", _digits(value)) else None


def kernel(value: Any) -> Decimal | None:
    """Read "32M" as memparse does: K, M, G, T, P and E are powers of 1024."""
    match = _MEMPARSE.fullmatch(_digits(value))
    return Decimal(match[1]) * 1024 ** " KMGTPE".index(match[2].upper() or " ") if match else None


def kubernetes(value: Any) -> Decimal | None:
    """Read "500m", "32Mi" or 3 as a Quantity."""
    try:
        return Decimal(quantity.parse(_digits(value)).nanos).scaleb(-9)
    except ValueError:
        return None


def _digits(value: Any) -> str:
    """Return a number or text as text; what is neither, a truth value too, reads as no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a value is compared with; a check that compares has these keys beside its own."""

    eq: Annotated[Any, "Equal to it."] = None
    ne: Annotated[Any, "Other than it; so is a value that is missing."] = None
    gt: Annotated[Any, "Greater than it."] = None
    ge: Annotated[Any, "At least it."] = None
    lt: Annotated[Any, "Less than it."] = None
    le: Annotated[Any, "At most it."] = None
    in_: Annotated[Any, "One of this list."] = None

    def asked(self) -> dict[str, Any]:
        """Return the operators that were written, with their operands."""
        pairs = {name.rstrip("_"): getattr(self, name) for name in Comparison.__slots__}
        return {name: operand for name, operand in pairs.items() if operand is not None}

    def holds(self, value: Any, amount: Amount = plain) -> bool:
        """Tell whether *value* compares so; *amount* says how numbers with units are read on both sides."""
        return all(_holds(name, value, operand, amount) for name, operand in self.asked().items())

    def phrase(self) -> Text:
        parts = [_OPERATORS[name][1] for name in self.asked()]
        operands = [_shown(operand) for operand in self.asked().values()]
        return Text(
            " y ".join(part.es.format(operand) for part, operand in zip(parts, operands, strict=True)),
            " and ".join(part.en.format(operand) for part, operand in zip(parts, operands, strict=True)),
        )


def _shown(operand: Any) -> str:
    return ", ".join(map(str, operand)) if isinstance(operand, list | tuple) else str(operand)


def _holds(name: str, value: Any, operand: Any, amount: Amount) -> bool:
    """A missing value, or one that cannot be ordered against the operand, does not hold."""
    if value is None:
        return name == "ne"
    if name == "in":
        return any(_holds("eq", value, choice, amount) for choice in _listed(operand))
    numbers = amount(value), amount(operand)
    if None not in numbers:
        value, operand = numbers
    try:
        return _OPERATORS[name][0](value, operand)
    except TypeError:
        return False


def _listed(operand: Any) -> Any:
    return operand if isinstance(operand, list | tuple) else (operand,)
