"""PodSecurity: a namespace's labels say how much its pods may be allowed, and what is only warned of.

`pod_security_standards` judges pods; here it is enforced. What the label `audit` asks for is judged by
upstream for the audit log alone.
Source: kubernetes, staging/src/k8s.io/pod-security-admission/admission/admission.go and api/helpers.go,
plugin/pkg/admission/security/podsecurity/admission.go;
https://kubernetes.io/docs/concepts/security/pod-security-admission/.
Left out: exemptions and other defaults than privileged, which upstream has in a configuration file; audit.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.fields import FieldError, invalid_value
from kubelab.cluster.apiserver.listers import Lister, Reader
from kubelab.cluster.apiserver.pod_security_standards import LATEST, Violation, violations
from kubelab.cluster.apiserver.request_warnings import warn
from kubelab.cluster.objects import NAMESPACES, PODS, Object, labels_of

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
_TEMPLATED = frozenset(
    {
        "podtemplates",
        "replicationcontrollers",
        "replicasets.apps",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "jobs.batch",
        "cronjobs.batch",
    }
)
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")
_PODS_CHECKED_MAX = 3000


@dataclass(frozen=True, slots=True)
class Policy:
    """`minor` is the version of the standards: of Kubernetes 1."""

    level: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    def judge(self, metadata: Object, spec: Object) -> list[Violation]:
        return list(violations(self.level, self.minor, metadata, spec))


class PodSecurity:
    def __init__(self, namespaces: Reader, pods: Lister) -> None:
        self._namespaces = namespaces
        self._pods = pods

    async def admit(self, attributes: Attributes) -> None:
        """Nothing is changed."""

    async def validate(self, attributes: Attributes) -> None:
        if attributes.new is None:
            return
        if attributes.is_of(NAMESPACES, "CREATE", "UPDATE"):
            await self._namespace(attributes, attributes.new)
        elif attributes.kind.resource == PODS:
            await self._pod(attributes, attributes.new)
        elif attributes.kind.resource.group_resource in _TEMPLATED and not attributes.subresource:
            labels = await self._labels(attributes.namespace)
            for metadata, spec in _templates(attributes.new):
                warn_of(labels, metadata, spec)

    async def _labels(self, namespace: str) -> Mapping[str, str]:
        found = await self._namespaces.get("", namespace)
        return labels_of(found) if found else {}

    async def _pod(self, attributes: Attributes, pod: Object) -> None:
        if attributes.subresource not in {"", "ephemeralcontainers"}:
            return
        if attributes.old is not None and not _matters(pod, attributes.old):
            return
        labels = await self._labels(attributes.namespace)
        enforced = policy(labels, "enforce")
        if found := enforced.judge(pod["metadata"], pod["spec"]):
            raise attributes.forbidden(f'violates PodSecurity "{enforced}": {_details(found)}')
        warn_of(labels, pod["metadata"], pod["spec"])

    async def _namespace(self, attributes: Attributes, namespace: Object) -> None:
        faults = list(label_faults(labels_of(namespace)))
        before = labels_of(attributes.old) if attributes.old else {}
        if faults and (attributes.old is None or faults != list(label_faults(before))):
            raise refusals.invalid(NAMESPACES, attributes.name, faults)
        new, old = policy(labels_of(namespace), "enforce"), policy(before, "enforce")
        relaxed = new.minor == old.minor and LEVELS.index(new.level) <= LEVELS.index(old.level)
        if attributes.old is None or relaxed or new.level == "privileged":
            return
        for warning in namespace_warnings(attributes.name, new, await self._pods.list(attributes.name)):
            warn(warning)


def policy(labels: Mapping[str, str], mode: str) -> Policy:
    """Return what *labels* ask for; what cannot be read is the strictest for `enforce`, else the laxest."""
    level = labels.get(PREFIX + mode, "privileged")
    if level not in LEVELS:
        level = "restricted" if mode == "enforce" else "privileged"
    version = _VERSION.fullmatch(labels.get(f"{PREFIX}{mode}-version", "latest"))
    return Policy(level, int(version[1]) if version else LATEST)


def label_faults(labels: Mapping[str, str]) -> Iterator[FieldError]:
    for mode in ("enforce", "audit", "warn"):
        for key, is_valid, detail in (
            (PREFIX + mode, LEVELS.__contains__, f"must be one of {', '.join(LEVELS)}"),
            (f"{PREFIX}{mode}-version", _is_version, 'must be "latest" or "v1.x"'),
        ):
            if key in labels and not is_valid(labels[key]):
                yield invalid_value(f"metadata.labels[{key}]", labels[key], detail)


def _is_version(text: str) -> bool:
    return text == "latest" or _VERSION.fullmatch(text) is not None


def warn_of(labels: Mapping[str, str], metadata: Object, spec: Object) -> None:
    warned = policy(labels, "warn")
    if found := warned.judge(metadata, spec):
        warn(f'would violate PodSecurity "{warned}": {_details(found)}')


def _details(found: Iterable[Violation]) -> str:
    return ", ".join(f"{each.reason} ({each.detail})" for each in found)


def _templates(obj: Object) -> Iterator[tuple[Object, Object]]:
    spec = obj.get("spec") or {}
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"].get("spec") or {}
    template = obj.get("template") or spec.get("template") or {}
    if template.get("spec"):
        yield template.get("metadata") or {}, template["spec"]


def _matters(new: Object, old: Object) -> bool:
    """Tell whether the update changes what is judged: the images, or the ephemeral containers."""
    return _images(new) != _images(old)


def _images(pod: Object) -> dict[tuple[str, str], str]:
    parts = ("containers", "initContainers", "ephemeralContainers")
    listed = [(part, container) for part in parts for container in pod["spec"].get(part) or ()]
    return {(part, container["name"]): container.get("image", "") for part, container in listed}


def namespace_warnings(namespace: str, enforced: Policy, pods: Iterable[Object]) -> Iterator[str]:
    """Yield what a new policy says of the pods that are there already: they stay, as they are."""
    listed = list(pods)
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for pod in listed[:_PODS_CHECKED_MAX]:
        if found := enforced.judge(pod["metadata"], pod["spec"]):
            reasons, name = ", ".join(each.reason for each in found), pod["metadata"]["name"]
            counts[reasons] += 1
            first[reasons] = min(first.get(reasons, name), name)
    if len(listed) > _PODS_CHECKED_MAX:
        checked = f"the first {_PODS_CHECKED_MAX} of {len(listed)} existing pods"
        yield f"new PodSecurity enforce level only checked against {checked}"
    if counts:
        yield (
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforced}"'
        )
    yield from sorted(f"{first[each]}{_and_others(counts[each] - 1)}: {each}" for each in counts)


def _and_others(count: int) -> str:
    return f" (and {count} other pod{'s' if count > 1 else ''})" if count else ""
