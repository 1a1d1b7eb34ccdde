"""What all patches share: how they fail, and when two JSON documents are equal."""

from typing import Any


class PatchError(Exception):
    """A patch that was not carried out. `code` is the HTTP status that upstream answers with."""

    code = 400


class MalformedPatchError(PatchError):
    """It is no valid patch, whatever it is applied to."""

    code = 400


class InapplicablePatchError(PatchError):
    """It is a valid patch, but not of this document: a path is missing, a test failed."""

    code = 422


def same_json(left: Any, right: Any) -> bool:
    """Whether two documents are equal as JSON has it: true is not 1, but 1 is 1.0."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
