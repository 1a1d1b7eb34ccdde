"""What makes pods from a template: its selector and the template must fit each other.

Source: kubernetes, pkg/apis/apps/validation/validation.go (ValidatePodTemplateSpecForReplicaSet).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver import label_selectors, pods
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_label,
    forbidden_field,
    immutable,
    invalid_value,
    required,
    unsupported_value,
)
from kubelab.cluster.objects import Object
from kubelab.cluster.selectors import LabelSelector, SelectorError, label_selector


def labels_of(spec: Object) -> dict[str, str] | None:
    """Return the labels that pods made from the template in *spec* get; None if it names none."""
    template = spec.get("template") or {}
    return (template.get("metadata") or {}).get("labels")


def validate_selector(spec: Object, empty_detail: str) -> Iterator[FieldError]:
    """Yield what is wrong with `spec.selector`, which must be there and select something."""
    if (selector := spec.get("selector")) is None:
        yield required("spec.selector")
        return
    yield from label_selectors.validate(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, empty_detail)


def parsed(selector: Object | None) -> LabelSelector | None:
    """Return *selector* as a question; None if it cannot be understood."""
    try:
        return label_selector(selector)
    except SelectorError:
        return None


def mismatch(spec: Object, field: str = "spec") -> Iterator[FieldError]:
    """Yield an error if `selector` does not select the pods that the template makes."""
    selector, labels = parsed(spec.get("selector")), labels_of(spec)
    if selector is not None and selector and not selector.matches(labels or {}):
        detail = "`selector` does not match template `labels`"
        yield invalid_value(f"{field}.template.metadata.labels", labels, detail)


def validate(spec: Object, kind: str) -> Iterator[FieldError]:
    """Yield what is wrong with the template of a Deployment, ReplicaSet or the like; *kind* words it."""
    yield from pods.validate_template(spec.get("template") or {}, "spec.template")
    yield from always_restarted(spec)
    yield from no_deadline(spec, kind)


def always_restarted(spec: Object) -> Iterator[FieldError]:
    policy = pod_spec(spec).get("restartPolicy", "Always")
    if policy != "Always":
        yield unsupported_value("spec.template.spec.restartPolicy", policy, ("Always",))


def no_deadline(spec: Object, kind: str) -> Iterator[FieldError]:
    if pod_spec(spec).get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        yield forbidden_field("spec.template.spec.activeDeadlineSeconds", detail)


def pod_spec(spec: Object) -> Object:
    return (spec.get("template") or {}).get("spec") or {}


def selector_unchanged(new: Object, old: Object) -> Iterator[FieldError]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        yield immutable("spec.selector", new["spec"].get("selector"))


def warn_of_name(obj: Object) -> Iterator[str]:
    """Yield upstream's warning about names from which no host name can be made."""
    if details := list(dns_label(obj["metadata"].get("name", ""))):
        yield (
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising "
            f"behavior; a DNS label is recommended: [{' '.join(details)}]"
        )
