"""Events, as core v1 and as events.k8s.io/v1 show them: what they must be, and how each becomes the other.

Source: kubernetes, pkg/apis/core/validation/events.go, pkg/apis/events/v1/conversion.go,
pkg/registry/core/event/strategy.go. They are kept as core v1.
Left out: the hour after which upstream forgets an event (it needs leases in the store); the stricter rules
for events that are made through events.k8s.io, beyond those of events with a time of their own.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from kubelab.cluster.apiserver import columns
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, label_key, required, word
from kubelab.cluster.objects import EVENTS, EVENTS_V1, Object

NAMESPACE_OF_CLUSTER_SCOPED = "default"
_WORD_LENGTH_MAX = 128
_MESSAGE_LENGTH_MAX = 1024
_IN_V1 = MappingProxyType(  # What core v1 calls otherwise.
    {
        "involvedObject": "regarding",
        "message": "note",
        "source": "deprecatedSource",
        "firstTimestamp": "deprecatedFirstTimestamp",
        "lastTimestamp": "deprecatedLastTimestamp",
        "count": "deprecatedCount",
        "reportingComponent": "reportingController",
    }
)
_IN_CORE = MappingProxyType({newer: older for older, newer in _IN_V1.items()})


def to_core(event: Object) -> Object:
    renamed = {_IN_CORE.get(key, key): value for key, value in event.items()}
    return renamed | {"kind": EVENTS.kind, "apiVersion": EVENTS.api_version}


def from_core(event: Object) -> Object:
    renamed = {_IN_V1.get(key, key): value for key, value in event.items()}
    return renamed | {"kind": EVENTS_V1.kind, "apiVersion": EVENTS_V1.api_version}


_ZEROS: Mapping[str, Any] = MappingProxyType(  # What Go writes of an event in which it was not set.
    {
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    }
)


def set_defaults(event: Object) -> None:
    event.setdefault("source", {})
    for name, zero in _ZEROS.items():
        event.setdefault(name, zero)


def _source(event: Object) -> str:
    component = (event.get("source") or {}).get("component")
    return str(component or event.get("reportingComponent", ""))


COMPUTED_FIELDS = {"source": _source}
_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
FIELDS = (*(f"involvedObject.{key}" for key in _ABOUT), "reason", "reportingComponent", "type")
FIELDS_V1 = (*(f"regarding.{key}" for key in _ABOUT), "reason", "reportingController", "type")


def validate(event: Object) -> Iterator[FieldError]:
    if event.get("eventTime"):
        yield from _with_time(event)
        return
    namespace, about = event["metadata"]["namespace"], event.get("involvedObject") or {}
    expected = about.get("namespace") or NAMESPACE_OF_CLUSTER_SCOPED
    if namespace != expected:
        yield _elsewhere(about)


def _elsewhere(about: Object) -> FieldError:
    detail = "does not match event.namespace"
    return invalid_value("involvedObject.namespace", about.get("namespace", ""), detail)


def _with_time(event: Object) -> Iterator[FieldError]:
    """Yield what is wrong with an event of the newer sort, which says who reports what was done."""
    about = event.get("involvedObject") or {}
    if not about.get("namespace") and event["metadata"]["namespace"] not in {"default", "kube-system"}:
        yield _elsewhere(about)
    controller = event.get("reportingComponent", "")
    if not controller:
        yield required("reportingController")
    yield from word(controller, "reportingController", label_key)
    for key in ("reportingInstance", "action", "reason"):
        if not (value := event.get(key)):
            yield required(key)
        elif len(value.encode()) > _WORD_LENGTH_MAX:
            yield invalid_value(key, "", f"can have at most {_WORD_LENGTH_MAX} characters")
    if len(event.get("message", "").encode()) > _MESSAGE_LENGTH_MAX:
        yield invalid_value("message", "", f"can have at most {_MESSAGE_LENGTH_MAX} characters")


def cells_of_v1(event: Object, now: datetime) -> list[Any]:
    return columns.event(to_core(event), now)
