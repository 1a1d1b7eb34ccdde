"""A capability by its name, with or without `CAP_`. Source: capabilities(7)."""

from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.cluster.linux.capabilities import NAMES, mask_of
from kubelab.language import Text
from kubelab.lessons.located import Node, unknown


@dataclass(frozen=True, slots=True)
class Capability:
    """A capability as capabilities(7) names it, with or without `CAP_`: NET_ADMIN."""

    name: str

    @classmethod
    def read(cls, node: Node) -> "Capability":
        name = node.text().upper().removeprefix("CAP_")
        if name not in NAMES:
            raise unknown(node, Text("capability", "capability"), name, NAMES)
        return cls(name)

    def is_in(self, mask: int) -> bool:
        return bool(mask & mask_of([self.name]))


def listed(capabilities: Iterable[Capability]) -> str:
    return ", ".join(f"CAP_{capability.name}" for capability in capabilities)
