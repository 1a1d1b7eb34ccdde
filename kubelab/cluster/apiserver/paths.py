"""Paths of files as fields of objects.

Source: kubernetes, pkg/apis/core/validation/validation.go (validateLocalDescendingPath,
validatePathNoBacksteps, ValidateLocalNonReservedPath).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, between, invalid_value

MODE_MAX = 0o777


def no_backsteps(path: str, field: str) -> Iterator[FieldError]:
    if ".." in path.split("/"):
        yield invalid_value(field, path, "must not contain '..'")


def relative(path: str, field: str) -> Iterator[FieldError]:
    """Yield what makes *path* lead out of the directory that it is meant in."""
    if path.startswith("/"):
        yield invalid_value(field, path, "must be a relative path")
    yield from no_backsteps(path, field)


def relative_unreserved(path: str, field: str) -> Iterator[FieldError]:
    """As `relative`; names that begin with `..` are also the kubelet's own (`..data`)."""
    yield from relative(path, field)
    if path.startswith("..") and not path.startswith("../"):
        yield invalid_value(field, path, "must not start with '..'")


def mode(value: int | None, field: str) -> Iterator[FieldError]:
    if any(between(0, MODE_MAX, value, field)):
        detail = "must be a number between 0 and 0777 (octal), both inclusive"
        yield invalid_value(field, value, detail)
