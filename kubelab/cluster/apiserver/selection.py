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
    matches_fields = _of_fields(kind, _fields(kind, field_selector))
    return lambda obj: labels.matches(obj["metadata"].get("labels") or {}) and matches_fields(obj)


def _of_fields(kind: Kind, selector: selectors.FieldSelector) -> Matches:
    """Return the question *selector* asks, with the fields in it that are computed."""
    computed = [term for term in selector.terms if term.field in kind.computed_fields]
    if not computed:
        return selector.matches
    plain = selectors.FieldSelector(tuple(term for term in selector.terms if term not in computed))

    def matches(obj: Object) -> bool:
        values = [(kind.computed_fields[term.field](obj), term) for term in computed]
        return plain.matches(obj) and all((value == term.value) != term.negated for value, term in values)

    return matches


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
    supported = {"metadata.name", *kind.fields, *kind.computed_fields} | (
        {"metadata.namespace"} if kind.resource.namespaced else set()
    )
    for term in selector.terms:
        if term.field not in supported:
            raise refusals.bad_request(f"field label not supported: {term.field}")
    return selector
