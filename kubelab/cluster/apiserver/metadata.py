"""What every object's metadata must be, when it is created and when it changes.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go.
managedFields that make no sense are replaced before (`ownership`), as upstream does.
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import (
    Check,
    FieldError,
    dns_label,
    forbidden_field,
    immutable,
    invalid_value,
    label_key,
    labels,
    not_negative,
    required,
    too_long,
    word,
)
from kubelab.cluster.objects import Object, Resource

ANNOTATIONS_BYTES_MAX = 256 * 1024
FINALIZER_ORPHAN = "orphan"
FINALIZER_FOREGROUND = "foregroundDeletion"
_FIXED = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def validate(metadata: Object, resource: Resource, name_check: Check) -> Iterator[FieldError]:
    """Yield what is wrong with the *metadata* of a new object."""
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from word(name, "metadata.name", name_check)
    if resource.namespaced:
        yield from word(metadata.get("namespace", ""), "metadata.namespace", dns_label)
    yield from validate_common(metadata)


def validate_common(metadata: Object) -> Iterator[FieldError]:
    yield from not_negative(metadata.get("generation"), "metadata.generation")
    yield from labels(metadata.get("labels"), "metadata.labels")
    yield from annotations(metadata.get("annotations") or {}, "metadata.annotations")
    for index, reference in enumerate(metadata.get("ownerReferences") or ()):
        yield from _owner_reference(reference, f"metadata.ownerReferences[{index}]")
    yield from _one_controller(metadata.get("ownerReferences") or [])
    yield from _finalizers(metadata.get("finalizers") or [])


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not change from the *old* metadata to the *new*."""
    for field in _FIXED:
        if new.get(field) != old.get(field):
            yield immutable(f"metadata.{field}", new.get(field))
    if "deletionTimestamp" in old:
        yield from _no_new_finalizers(new.get("finalizers") or [], old.get("finalizers") or [])
    yield from validate_common(new)


def annotations(values: dict[str, str], field: str) -> Iterator[FieldError]:
    for key in values:
        yield from word(key.lower(), field, label_key)
    if sum(len(key.encode()) + len(value.encode()) for key, value in values.items()) > ANNOTATIONS_BYTES_MAX:
        yield too_long(field, ANNOTATIONS_BYTES_MAX)


def _owner_reference(reference: Object, field: str) -> Iterator[FieldError]:
    for key in ("apiVersion", "kind", "name", "uid"):
        if not reference.get(key):
            yield required(f"{field}.{key}", "must not be empty")


def _one_controller(references: list[Object]) -> Iterator[FieldError]:
    controllers = [f"{owner['kind']}/{owner['name']}" for owner in references if owner.get("controller")]
    if len(controllers) > 1:
        first, second = controllers[:2]
        detail = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{first} and {second}"
        )
        yield invalid_value("metadata.ownerReferences", references, detail)


def _finalizers(finalizers: list[str]) -> Iterator[FieldError]:
    for finalizer in finalizers:
        yield from word(finalizer, "metadata.finalizers", label_key)
    if {FINALIZER_ORPHAN, FINALIZER_FOREGROUND} <= set(finalizers):
        detail = f"finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set"
        yield invalid_value("metadata.finalizers", finalizers, detail)


def _no_new_finalizers(new: list[str], old: list[str]) -> Iterator[FieldError]:
    if extra := sorted(set(new) - set(old)):
        shown = ", ".join(f'"{finalizer}"' for finalizer in extra)
        detail = (
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{shown}}}"
        )
        yield forbidden_field("metadata.finalizers", detail)
