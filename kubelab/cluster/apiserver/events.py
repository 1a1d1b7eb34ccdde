"""Events (core v1): what they must be.

Source: kubernetes, pkg/apis/core/validation/events.go.
Left out: the hour after which upstream forgets an event (it needs leases in the store).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, invalid_value
from kubelab.cluster.objects import Object

NAMESPACE_OF_CLUSTER_SCOPED = "default"


def validate(event: Object) -> Iterator[FieldError]:
    namespace, about = event["metadata"]["namespace"], event.get("involvedObject") or {}
    expected = about.get("namespace") or NAMESPACE_OF_CLUSTER_SCOPED
    if namespace != expected:
        yield invalid_value(
            "involvedObject.namespace", about.get("namespace", ""), "does not match event.namespace"
        )
