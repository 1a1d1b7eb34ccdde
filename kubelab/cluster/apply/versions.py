"""The versions of one kind, in each of which somebody may own fields of the same object.

An entry of managedFields is a set of one version's fields. What a write changes is compared with it in that
very version: the object before and after are converted to it, so that a field that has another name or place
there is still the same. An entry of a version that there is no more is nobody's, and is dropped.

Source: structured-merge-diff, merge/update.go (Converter, update); kubernetes, apimachinery/pkg/util/
managedfields/internal/versionconverter.go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.apply import fields
from kubelab.cluster.apply.comparison import Comparison, compare
from kubelab.cluster.apply.fields import Fields
from kubelab.cluster.apply.types import Type

Object = dict[str, Any]


def _same(obj: Object) -> Object:
    return obj


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """What the objects of one version are, and what a write to this (sub)resource cannot change (`ignored`).

    `told` returns an object of the version in which a request came as this one tells it, `back` the other way
    round; both leave what they are handed as it is.
    """

    api_version: str
    type: Type
    ignored: Fields
    told: Callable[[Object], Object] = _same
    back: Callable[[Object], Object] = _same


def no_other(_: str) -> Version | None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Versions:
    """The version in which a request came, and how `other` ones are found by name (None: it is gone)."""

    own: Version
    other: Callable[[str], Version | None] = no_other

    def of(self, api_version: str) -> Version | None:
        return self.own if api_version == self.own.api_version else self.other(api_version)


class Changes:
    """What became of *live* in *new*, in each version that is asked for; both are of the request's own."""

    def __init__(self, versions: Versions, live: Object, new: Object) -> None:
        self._versions, self._live, self._new = versions, live, new
        self.own = _compared(versions.own, live, new)
        self._compared: dict[str, Comparison | None] = {versions.own.api_version: self.own}

    def within(self, api_version: str) -> Comparison | None:
        """Return what changed as that version tells it; None if there is no such version any more."""
        if api_version not in self._compared:
            version = self._versions.other(api_version)
            self._compared[api_version] = _compared(version, self._live, self._new) if version else None
        return self._compared[api_version]


def _compared(version: Version, live: Object, new: Object) -> Comparison:
    comparison = compare(version.type, version.told(live), version.told(new))
    if not version.ignored or not comparison:
        return comparison
    return Comparison(
        fields.recursive_difference(comparison.written, version.ignored),
        fields.recursive_difference(comparison.removed, version.ignored),
    )
