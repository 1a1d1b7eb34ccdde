"""The entries of `metadata.managedFields`: what each manager owns, by which operation, since when.

An entry is known by its manager's name, its operation and its subresource; one of an update by its version,
too (an applier has one entry, whatever version it applied last).

Source: kubernetes, apimachinery/pkg/util/managedfields/internal/managedfields.go; meta/v1/validation (of
managedFields).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kubelab.cluster.apply import fields
from kubelab.cluster.apply.fields import Fields

Operation = Literal["Apply", "Update"]
APPLY: Operation = "Apply"
UPDATE: Operation = "Update"
_FORMAT = "FieldsV1"


@dataclass(frozen=True, slots=True)
class Manager:
    """`api_version` is "" for who applies."""

    name: str
    operation: Operation
    api_version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """As conflicts name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == UPDATE else text


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns; `time` is as the API writes it ("" if unknown)."""

    fields: Fields
    api_version: str
    time: str = ""


Owners = Mapping[Manager, Owned]


def decode(entries: Sequence[Any] | None, *, trusted: bool = False) -> dict[Manager, Owned]:
    """Return the owners that *entries* tell; *trusted* ones were written by `encode`.

    Raises:
        ValueError: they are no managedFields.
    """
    owners: dict[Manager, Owned] = {}
    for index, entry in enumerate(entries or ()):
        if not trusted:
            _check(entry, index)
        tree = entry.get("fieldsV1") or {}
        operation, version = entry["operation"], entry["apiVersion"]
        manager = Manager(
            entry.get("manager", ""),
            operation,
            version if operation == UPDATE else "",
            entry.get("subresource", ""),
        )
        owned = tree if trusted else fields.decoded(tree)
        owners[manager] = Owned(owned, version, entry.get("time") or "")
    return owners


def _check(entry: Any, index: int) -> None:
    if not isinstance(entry, dict) or entry.get("operation") not in (APPLY, UPDATE):
        raise ValueError("operation must be `Apply` or `Update`")
    if not entry.get("apiVersion"):
        raise ValueError("apiVersion must not be empty")
    if not (kind := entry.get("fieldsType")):
        raise ValueError(f"missing fieldsType in managed fields entry {index}")
    if kind != _FORMAT:
        raise ValueError(f'invalid fieldsType "{kind}" in managed fields entry {index}')


def encode(owners: Owners) -> list[dict[str, Any]]:
    """Return the entries of *owners* in upstream's order: appliers first, each by time and name."""
    return [
        _entry(manager, owned) for manager, owned in sorted(owners.items(), key=lambda item: _order(*item))
    ]


def _order(manager: Manager, owned: Owned) -> tuple[str, ...]:
    return manager.operation, owned.time, manager.name, owned.api_version, manager.subresource


def _entry(manager: Manager, owned: Owned) -> dict[str, Any]:
    entry: dict[str, Any] = {"manager": manager.name} if manager.name else {}
    entry |= {"operation": manager.operation, "apiVersion": owned.api_version}
    if owned.time:
        entry["time"] = owned.time
    entry |= {"fieldsType": _FORMAT, "fieldsV1": owned.fields}
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry
