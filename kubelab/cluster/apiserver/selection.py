"""Which objects a list or a watch is about: its label and field selectors as one question.

Source: kubernetes, pkg/apis/core/v1/conversion.go (which fields a kind can be selected by).
"""

from collections.abc import Callable

from kubelab.cluster import selectors
from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Object

Matches = Callable[[Object], bool]


def selection(kind: Kind, label_selector: str, field_selector: str) -> Matches | None:
    """Return the question that both selectors ask of an object; None when they let everything through."""
    if not label_selector and not field_selector:
        return None
    labels = _labels(label_selector)
    fields = _fields(kind, field_selector)
    return lambda obj: labels.matches(obj["metadata"].get("labels") or {}) and fields.matches(obj)


def _labels(text: str) -> selectors.LabelSelector:
    try:
        return selectors.parse_labels(text)
    except selectors.SelectorError as error:
        raise refusals.bad_request(f"unable to parse requirement: {error}") from error


def _fields(kind: Kind, text: str) -> selectors.FieldSelector:
    try:
        selector = selectors.parse_fields(text)
    except selectors.SelectorError as error:
        raise refusals.bad_request(str(error)) from error
    supported = {"metadata.name", *kind.fields} | (
        {"metadata.namespace"} if kind.resource.namespaced else set()
    )
    for term in selector.terms:
        if term.field not in supported:
            raise refusals.bad_request(f"field label not supported: {term.field}")
    return selector
