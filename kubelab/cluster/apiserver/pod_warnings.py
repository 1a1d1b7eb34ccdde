"""What upstream warns of in a pod that it takes: what is out of date, or hardly what was meant.

Source: kubernetes, pkg/api/pod/warnings.go and pkg/registry/core/pod/strategy.go (WarningsOnCreate). What
this lab does not do is in `warnings`.
Left out: warnings about annotations, volume plugins that are gone, and paths of volumes that overlap.
"""

from collections.abc import Iterator
from types import MappingProxyType

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import warnings
from kubelab.cluster.apiserver.fields import dns_label, indexed
from kubelab.cluster.apiserver.pod_twins import judging_twins_once
from kubelab.cluster.objects import Object
from kubelab.cluster.quantity import NANOS

_DEPRECATED_LABELS = MappingProxyType(
    {
        "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
        "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
        "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
        "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
        "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
    }
)
_WHOLE_BYTES = ("memory", "ephemeral-storage")


def of_pod(pod: Object) -> Iterator[str]:
    if wrong := list(dns_label(pod["metadata"].get("name", ""))):
        surprise = "this is used in the Pod's hostname, which can result in surprising behavior"
        yield f"metadata.name: {surprise}; a DNS label is recommended: [{' '.join(wrong)}]"
    yield from _of_contents(pod)


@judging_twins_once
def _of_contents(pod: Object) -> Iterator[str]:
    yield from of_spec(pod.get("spec") or {}, "spec")
    yield from warnings.of_pod(pod)


def of_spec(spec: Object, field: str) -> Iterator[str]:
    for label, (version, instead) in _DEPRECATED_LABELS.items():
        if label in (spec.get("nodeSelector") or {}):
            yield f'{field}.nodeSelector[{label}]: deprecated since {version}; use "{instead}" instead'
    for place, secret in indexed(spec.get("imagePullSecrets"), f"{field}.imagePullSecrets"):
        if not secret.get("name"):
            yield f'{place}: invalid empty name ""'
    for place, constraint in indexed(
        spec.get("topologySpreadConstraints"), f"{field}.topologySpreadConstraints"
    ):
        if constraint.get("labelSelector") is None:
            yield f"{place}.labelSelector: a null labelSelector results in matching no pod"
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        invalid = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{field}.terminationGracePeriodSeconds: {invalid}"
    for kind in ("initContainers", "containers"):
        for place, container in indexed(spec.get(kind), f"{field}.{kind}"):
            yield from _of_container(container, place)


def _of_container(container: Object, field: str) -> Iterator[str]:
    yield from _fractions(container.get("resources") or {}, f"{field}.resources")
    names: set[str] = set()
    for place, variable in indexed(container.get("env"), f"{field}.env"):
        if (name := variable.get("name", "")) in names:
            yield f'{place}: hides previous definition of "{name}", which may be dropped when using apply'
        names.add(name)
    ports: dict[tuple[object, ...], str] = {}
    for place, port in indexed(container.get("ports"), f"{field}.ports"):
        about = tuple(port.get(key) for key in ("containerPort", "protocol", "hostPort", "hostIP"))
        if about in ports:
            yield f"{place}: duplicate port definition with {ports[about]}"
        ports.setdefault(about, place)


def _fractions(resources: Object, field: str) -> Iterator[str]:
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            parsed = quantity.parse(value)
            if name in _WHOLE_BYTES and parsed.nanos % NANOS:
                invalid = f'fractional byte value "{parsed}" is invalid, must be an integer'
                yield f"{field}.{part}[{name}]: {invalid}"
