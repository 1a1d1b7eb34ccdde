"""Names that may be anything that fits into a path, as those of roles: `system:node` is one.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/api/validation/path/name.go.
"""

from collections.abc import Iterator

_NOT_NAMES = frozenset({".", ".."})


def path_segment(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being such a name."""
    if value in _NOT_NAMES:
        yield f"may not be '{value}'"
    yield from (f"may not contain '{mark}'" for mark in "/%" if mark in value)
