"""Compare a value with what a check asks for: eq, ne, gt, ge, lt, le, in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

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

    def holds(self, value: Any) -> bool:
        return all(_holds(name, value, operand) for name, operand in self.asked().items())

    def phrase(self) -> Text:
        parts = [_OPERATORS[name][1] for name in self.asked()]
        operands = [_shown(operand) for operand in self.asked().values()]
        return Text(
            " y ".join(part.es.format(operand) for part, operand in zip(parts, operands, strict=True)),
            " and ".join(part.en.format(operand) for part, operand in zip(parts, operands, strict=True)),
        )


def _shown(operand: Any) -> str:
    return ", ".join(map(str, operand)) if isinstance(operand, list) else str(operand)


def _holds(name: str, value: Any, operand: Any) -> bool:
    """A missing value, or one that cannot be ordered against the operand, does not hold."""
    if value is None:
        return name == "ne"
    if isinstance(operand, str) and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value) if name in ("eq", "ne") else value
    try:
        return _OPERATORS[name][0](value, operand)
    except TypeError:
        return False
