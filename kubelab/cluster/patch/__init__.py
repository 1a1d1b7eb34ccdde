"""The three patches of the API: JSON Patch, JSON Merge Patch, strategic merge patch.

All are pure: they return a new document that shares unchanged parts with the old one, and change neither the
document nor the patch. Left out: server-side apply; making patches (kubectl makes them).
"""

from kubelab.cluster.patch.document import InapplicablePatchError, MalformedPatchError, PatchError
from kubelab.cluster.patch.json_patch import json_patch
from kubelab.cluster.patch.merge_patch import merge_patch
from kubelab.cluster.patch.strategic_merge_patch import MergeKeys, strategic_merge_patch

__all__ = [
    "InapplicablePatchError",
    "MalformedPatchError",
    "MergeKeys",
    "PatchError",
    "json_patch",
    "merge_patch",
    "strategic_merge_patch",
]
