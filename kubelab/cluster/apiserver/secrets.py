"""Secrets: their defaults, what they must be for their type, and their printed columns.

Source: kubernetes, pkg/apis/core/v1/{defaults,conversion}.go, pkg/apis/core/validation/validation.go
(ValidateSecret, ValidateSecretUpdate), pkg/printers/internalversion/printers.go.
"""

import base64
from collections.abc import Iterator
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from kubelab.cluster.apiserver.columns import AGE, NAME, Column, age
from kubelab.cluster.apiserver.fields import (
    FieldError,
    config_key,
    forbidden_field,
    immutable,
    invalid_value,
    required,
    too_long,
    word,
)
from kubelab.cluster.objects import Object

OPAQUE = "Opaque"
SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105  (a type)
ACCOUNT_NAME = "kubernetes.io/service-account.name"
DATA_BYTES_MAX = 1024 * 1024
_DOCKER = MappingProxyType(
    {
        "kubernetes.io/dockercfg": ".dockercfg",
        "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    }
)
_NEEDED = MappingProxyType(
    {
        "kubernetes.io/ssh-auth": ("ssh-privatekey",),
        "kubernetes.io/tls": ("tls.crt", "tls.key"),
    }
)
_BASIC = "kubernetes.io/basic-auth"
_BASIC_KEYS = ("username", "password")  # One of them is enough.
_IMMUTABLE = "field is immutable when `immutable` is set"
_SECRET = "k8s.io/api/core/v1.Secret"  # noqa: S105  (a type)
COLUMNS = (
    NAME,
    Column("Type", documents=f"{_SECRET}.type"),
    Column("Data", documents=f"{_SECRET}.data"),
    AGE,
)


def set_defaults(secret: Object) -> None:
    """What is given as text (`stringData`) becomes data, over what is there."""
    secret["type"] = secret.get("type") or OPAQUE
    if texts := secret.pop("stringData", None):
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = (secret.get("data") or {}) | encoded


def validate(secret: Object) -> Iterator[FieldError]:
    data: dict[str, str] = secret.get("data") or {}
    for key in data:
        yield from word(key, f"data[{key}]", config_key)
    if sum(map(_size_bytes, data.values())) > DATA_BYTES_MAX:
        yield too_long("data", DATA_BYTES_MAX)
    yield from _of_type(secret, data)


def _size_bytes(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded.count("=", -2)


def _of_type(secret: Object, data: dict[str, str]) -> Iterator[FieldError]:
    type_ = secret.get("type", OPAQUE)
    annotations = secret["metadata"].get("annotations") or {}
    if type_ == SERVICE_ACCOUNT_TOKEN and not annotations.get(ACCOUNT_NAME):
        yield required(f"metadata.annotations[{ACCOUNT_NAME}]")
    if key := _DOCKER.get(type_):
        yield from _docker(data, key)
    if type_ == _BASIC and not data.keys() & set(_BASIC_KEYS):
        yield from (required(f"data[{key}]") for key in _BASIC_KEYS)
    for key in _NEEDED.get(type_, ()):
        if key not in data or (key == "ssh-privatekey" and not data[key]):
            yield required(f"data[{key}]")


def _docker(data: dict[str, str], key: str) -> Iterator[FieldError]:
    if key not in data:
        yield required(f"data[{key}]")
        return
    try:
        msgspec.json.decode(base64.b64decode(data[key]), type=dict)
    except ValueError as error:
        yield invalid_value(f"data[{key}]", "<secret contents redacted>", str(error))


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("type") != old.get("type"):
        yield immutable("type", new.get("type"))
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", _IMMUTABLE)
    if (new.get("data") or {}) != (old.get("data") or {}):
        yield forbidden_field("data", _IMMUTABLE)


def cells(secret: Object, now: datetime) -> list[Any]:
    return [
        secret["metadata"]["name"],
        secret.get("type", ""),
        len(secret.get("data") or ()),
        age(secret, now),
    ]
