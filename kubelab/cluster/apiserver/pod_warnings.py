"""What upstream warns of in a pod that it takes: what is out of date, or hardly what was meant.

Source: kubernetes, pkg/api/pod/warnings.go and pkg/registry/core/pod/strategy.go (WarningsOnCreate). What
this lab does not do is in `warnings`.
Left out: warnings about annotations, volume plugins that are gone, and paths of volumes that overlap.
"""

from collections.abc import Iterator, Sequence
from types import MappingProxyType

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import warnings
from kubelab.cluster.apiserver.fields import dns_label, indexed, is_word
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
    name = pod["metadata"].get("name", "")
    if not is_word(dns_label, name) and (wrong := list(dns_label(name))):
        surprise = "this is used in the Pod's hostname, which can result in surprising behavior"
        yield f"metadata.name: {surprise}; a DNS label is recommended: [{' '.join(wrong)}]"
    yield from of_spec(pod.get("spec") or {}, "spec")
    yield from warnings.of_pod(pod)


def of_spec(spec: Object, field: str) -> Iterator[str]:
    if selector := spec.get("nodeSelector"):
        yield from _deprecated(selector, f"{field}.nodeSelector")
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


def _deprecated(selector: Object, field: str) -> Iterator[str]:
    for label, (version, instead) in _DEPRECATED_LABELS.items():
        if label in selector:
            yield f'{field}[{label}]: deprecated since {version}; use "{instead}" instead'


def _of_container(container: Object, field: str) -> Iterator[str]:
    if resources := container.get("resources"):
        yield from _fractions(resources, f"{field}.resources")
    variables, ports = container.get("env") or (), container.get("ports") or ()
    if len({variable.get("name", "") for variable in variables}) < len(variables):
        yield from _hidden(variables, f"{field}.env")
    if len(ports) > 1:
        yield from _ports_twice(ports, f"{field}.ports")


def _hidden(variables: Sequence[Object], field: str) -> Iterator[str]:
    names: set[str] = set()
    for place, variable in indexed(variables, field):
        if (name := variable.get("name", "")) in names:
            yield f'{place}: hides previous definition of "{name}", which may be dropped when using apply'
        names.add(name)


def _ports_twice(ports: Sequence[Object], field: str) -> Iterator[str]:
    seen: dict[tuple[object, ...], str] = {}
    for place, port in indexed(ports, field):
        about = tuple(port.get(key) for key in ("containerPort", "protocol", "hostPort", "hostIP"))
        if about in seen:
            yield f"{place}: duplicate port definition with {seen[about]}"
        seen.setdefault(about, place)


def _fractions(resources: Object, field: str) -> Iterator[str]:
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            if name in _WHOLE_BYTES and (parsed := quantity.parse(value)).nanos % NANOS:
                invalid = f'fractional byte value "{parsed}" is invalid, must be an integer'
                yield f"{field}.{part}[{name}]: {invalid}"
