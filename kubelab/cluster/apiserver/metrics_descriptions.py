"""What `kubectl explain` says of `metrics.k8s.io`, of which the package of descriptions knows nothing.

Source: kubernetes, staging/src/k8s.io/metrics/pkg/apis/metrics/v1beta1/types.go (what the fields mean, and
which of them are always there).
"""

from collections.abc import Mapping
from types import MappingProxyType

from kubelab.cluster.apiserver.descriptions import Description

_PACKAGE = "k8s.io/metrics/pkg/apis/metrics/v1beta1"
_METADATA = (
    "Standard object's metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_LIST_METADATA = (
    "Standard list metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)
_USAGE = "What is used of each resource: CPU on average over the window, memory as the working set."
_TIME = {
    "metadata": _METADATA,
    "timestamp": "When the window ends in which the usage was measured: it is from timestamp - window on.",
    "window": "How long the usage was measured, up to the timestamp.",
}


def _list_of(what: str, element: str) -> Description:
    fields = {"metadata": _LIST_METADATA, "items": f"The {what} metrics."}
    return Description(f"{element}List is a list of {element}.", fields, frozenset({"items"}))


OF_TYPES: Mapping[str, Description] = MappingProxyType(
    {
        f"{_PACKAGE}.NodeMetrics": Description(
            "NodeMetrics tells what a node uses.",
            _TIME | {"usage": _USAGE},
            frozenset({"timestamp", "window", "usage"}),
        ),
        f"{_PACKAGE}.NodeMetricsList": _list_of("nodes'", "NodeMetrics"),
        f"{_PACKAGE}.PodMetrics": Description(
            "PodMetrics tells what a pod uses.",
            _TIME | {"containers": "What each container uses, all measured in the same window."},
            frozenset({"timestamp", "window", "containers"}),
        ),
        f"{_PACKAGE}.PodMetricsList": _list_of("pods'", "PodMetrics"),
        f"{_PACKAGE}.ContainerMetrics": Description(
            "ContainerMetrics tells what a container uses.",
            {"name": "The container's name, as in pod.spec.containers.", "usage": _USAGE},
            frozenset({"name", "usage"}),
        ),
    }
)
