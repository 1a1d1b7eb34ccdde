"""ConfigMaps: what they must be, and that an immutable one stays as it is.

Source: kubernetes, pkg/apis/core/validation/validation.go (ValidateConfigMap).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import (
    FieldError,
    config_key,
    forbidden_field,
    invalid_value,
    too_long,
    word,
)
from kubelab.cluster.objects import Object

DATA_BYTES_MAX = 1024 * 1024


def validate(configmap: Object) -> Iterator[FieldError]:
    data, binary_data = configmap.get("data") or {}, configmap.get("binaryData") or {}
    for key in data:
        yield from word(key, f"data[{key}]", config_key)
        if key in binary_data:
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary_data:
        yield from word(key, f"binaryData[{key}]", config_key)
    size_bytes = sum(len(value.encode()) for value in data.values())
    size_bytes += sum(len(value) * 3 // 4 for value in binary_data.values())  # It is base64.
    if size_bytes > DATA_BYTES_MAX:
        yield too_long("", DATA_BYTES_MAX)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", "field is immutable when `immutable` is set")
    for key in ("data", "binaryData"):
        if (new.get(key) or {}) != (old.get(key) or {}):
            yield forbidden_field(key, "field is immutable when `immutable` is set")
