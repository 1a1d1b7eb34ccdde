"""A client's patch on an object: which algorithm it is, and upstream's refusal when it does not fit."""

from collections.abc import Sequence
from typing import Any

from kubelab.cluster.apiserver.kinds import Kind
from kubelab.cluster.client.api import PatchType
from kubelab.cluster.objects import Object


def apply_patch(kind: Kind, old: Object, patch: Object | Sequence[Any], patch_type: PatchType) -> Object:
    """Return *old* with *patch* applied; *old* stays as it was."""
    from kubelab.cluster import patch as patches

    return patches.merge_patch(old, patch)
