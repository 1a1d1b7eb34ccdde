"""Label and field selectors as keys of checks.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors.
"""

import shlex
from dataclasses import dataclass

from kubelab.cluster.objects import Object, labels_of
from kubelab.cluster.selectors import (
    FieldSelector,
    LabelSelector,
    SelectorError,
    label_selector,
    parse_fields,
    parse_labels,
)
from kubelab.lessons.located import LessonError, Node


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels that an object has: a map, or a selector as after `kubectl -l`: `app=web,tier in (a,b),!old`."""

    selector: LabelSelector

    @classmethod
    def read(cls, node: Node) -> "Labels":
        try:
            if isinstance(node.value, dict):
                return cls(label_selector({"matchLabels": _texts(node)}))
            return cls(parse_labels(node.text()))
        except SelectorError as error:
            raise _no_selector(node, error) from error

    def __str__(self) -> str:
        return str(self.selector)

    @property
    def option(self) -> str:
        """kubectl's option that selects the same, after a space."""
        return f" -l {shlex.quote(str(self))}"

    def match(self, obj: Object) -> bool:
        return self.selector.matches(labels_of(obj))


def _texts(node: Node) -> dict[str, str]:
    return {name: value.text() for name, value in node.mapping().items()}


@dataclass(frozen=True, slots=True)
class Fields:
    """A field selector as after `kubectl --field-selector`: `status.phase=Running`; any field will do."""

    selector: FieldSelector

    @classmethod
    def read(cls, node: Node) -> "Fields":
        try:
            return cls(parse_fields(node.text()))
        except SelectorError as error:
            raise _no_selector(node, error) from error

    def __str__(self) -> str:
        return str(self.selector)

    @property
    def option(self) -> str:
        """kubectl's option that selects the same, after a space."""
        return f" --field-selector {shlex.quote(str(self))}"


def _no_selector(node: Node, error: SelectorError) -> LessonError:
    return node.error(f"no es un selector ({error}).", f"this is no selector ({error}).")
