"""A length of time as authors write it: `20s`, `500ms`, `2m`; a number alone is seconds."""

import re
from dataclasses import dataclass

from kubelab.lessons.located import Node

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: `500ms`, `20s`, `2m`; a number alone is seconds."""

    seconds_s: float

    @classmethod
    def read(cls, node: Node) -> "Duration":
        match = _WRITTEN.fullmatch(node.text().strip())
        if match is None:
            raise node.error(
                f"«{node.value}» no es un tiempo como 20s, 500ms o 2m.",
                f"“{node.value}” is no length of time like 20s, 500ms or 2m.",
            )
        return cls(float(match[1]) * _UNITS_S[match[2]])

    def __str__(self) -> str:
        return f"{self.seconds_s:g} s"
