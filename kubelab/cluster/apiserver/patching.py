"""A client's patch on an object: which algorithm it is, and upstream's refusal when it does not fit.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go. Which lists a strategic
merge patch merges, and by which key, is in the struct tags of the Go types (`go_types`).
Left out: server-side apply.
"""

from collections.abc import Sequence
from typing import Any

from kubelab.cluster.apiserver import refusals, schema
from kubelab.cluster.apiserver.go_types import GoKind, GoType, GoTypes
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.client.api import PatchType
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object
from kubelab.cluster.patch import MergeKeys, PatchError, json_patch, merge_patch, strategic_merge_patch

OPERATIONS_MAX = 10_000  # Of a JSON patch.

NOT_STRATEGIC = (PatchType.JSON.value, PatchType.MERGE.value)  # Nobody knows how a custom list is merged.


def apply_patch(kind: Kind, old: Object, patch: Object | Sequence[Any], patch_type: PatchType) -> Object:
    """Return *old* with *patch* applied; *old* stays as it was."""
    if isinstance(patch, list) and len(patch) > OPERATIONS_MAX:
        raise refusals.too_many_operations(OPERATIONS_MAX, len(patch))
    try:
        patched: Object = _patched(kind, old, patch, patch_type)
    except PatchError as error:
        raise _refusal(error) from error
    if not isinstance(patched, dict):
        raise refusals.bad_request("the patched document is not an object")
    return patched


def _patched(kind: Kind, old: Object, patch: Any, patch_type: PatchType) -> Any:
    match patch_type:
        case PatchType.JSON:
            return json_patch(old, patch)
        case PatchType.MERGE:
            return merge_patch(old, patch)
        case PatchType.STRATEGIC if kind.custom:
            raise refusals.unsupported_media_type(NOT_STRATEGIC)
        case PatchType.STRATEGIC:
            types = schema.bundled().types
            return strategic_merge_patch(old, patch, merge_keys(types, types.of_name(kind.go_type)))


def _refusal(error: PatchError) -> ApiError:
    return refusals.bad_request(str(error)) if error.code == 400 else refusals.inapplicable_patch()


def merge_keys(types: GoTypes, root: GoType) -> MergeKeys:
    """Return how the lists below *root* are merged."""

    def key_of(path: tuple[str, ...]) -> str | None:
        type_, key = root, None
        for name in path:
            field = types.json_fields(type_).get(name) if type_.kind is GoKind.STRUCT else None
            if field is None:
                return None
            key = field.patch_merge_key if "merge" in field.patch_strategy else None
            type_ = _element(types, field.type)
        return key

    return key_of


def _element(types: GoTypes, type_: GoType) -> GoType:
    """Return what a field holds in the end: the elements of a list, what a pointer points to."""
    while type_.kind in {GoKind.POINTER, GoKind.SLICE}:
        type_ = types.element(type_)
    return type_
