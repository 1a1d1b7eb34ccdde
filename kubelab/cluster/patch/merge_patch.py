"""JSON Merge Patch: a document with the changed members, null for those that go. Source: RFC 7386."""

from typing import Any


def merge_patch(document: Any, patch: Any) -> Any:
    """Return *document* with the members of *patch* put in, and those that are null there taken out."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
