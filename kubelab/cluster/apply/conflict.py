"""What an applied configuration would take from other managers, and how upstream tells it.

Source: kubernetes, apimachinery/pkg/util/managedfields/internal/conflict.go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from kubelab.cluster.apply import fields
from kubelab.cluster.apply.fields import Fields
from kubelab.cluster.apply.managed_fields import Manager


@dataclass(frozen=True, slots=True)
class Conflict:
    manager: str  # As `Manager` is told.
    path: tuple[str, ...]

    @property
    def field(self) -> str:
        return fields.shown(self.path)

    @property
    def message(self) -> str:
        return f"conflict with {self.manager}"


class ConflictError(Exception):
    """An applied configuration changes what others own."""

    def __init__(self, conflicts: Iterable[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__(_message(self.conflicts))


def conflicts_of(sets: Mapping[Manager, Fields]) -> list[Conflict]:
    """Return a conflict for each field in *sets*, by manager."""
    found = [Conflict(str(manager), path) for manager, tree in sets.items() for path in fields.paths(tree)]
    return sorted(found, key=lambda conflict: conflict.manager)


def _message(conflicts: tuple[Conflict, ...]) -> str:
    if len(conflicts) == 1:
        return f"Apply failed with 1 conflict: {conflicts[0].message}: {conflicts[0].field}"
    lines: list[str] = []
    for manager, group in groupby(conflicts, key=lambda conflict: conflict.manager):
        lines += [f"conflicts with {manager}:", *(f"- {conflict.field}" for conflict in group)]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
