"""What becomes of an object that is created or changed, without a store: as the registry decides it."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from kubelab.cluster.apiserver import lifecycle
from kubelab.cluster.apiserver.caller import SYSTEM, Caller
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
UID = "c9948307-e56d-4b5d-8302-ae2d7b7da67c"


def created(resource: Resource, obj: Object, caller: Caller = SYSTEM) -> Object:
    """Return *obj* as it is stored; raises ApiError if it is refused."""
    kind = BY_RESOURCE[resource]
    namespace = "default" if resource.namespaced else ""
    wanted = copy.deepcopy(obj)
    new = lifecycle.begin_create(
        kind, wanted, namespace, uid=UID, suffix=lambda: "abcde", now=NOW, caller=caller
    )
    return lifecycle.finish_create(kind, new)


def updated(resource: Resource, new: Object, old: Object, subresource: str = "") -> Object:
    """Return what is stored when a client wants *old* to be as *new*; raises ApiError if it is refused."""
    kind = BY_RESOURCE[resource]
    begun = lifecycle.begin_update(
        kind, copy.deepcopy(new), copy.deepcopy(old), Write(SYSTEM, NOW, subresource)
    )
    return lifecycle.finish_update(kind, begun, old, subresource)


def causes(resource: Resource, obj: Object) -> list[dict[str, str]]:
    """Return the causes for which *obj* is refused, in their order."""
    with pytest.raises(ApiError) as refused:
        created(resource, obj)
    return _causes(refused.value)


def causes_of_update(
    resource: Resource, new: Object, old: Object, subresource: str = ""
) -> list[dict[str, str]]:
    with pytest.raises(ApiError) as refused:
        updated(resource, new, old, subresource)
    return _causes(refused.value)


def _causes(error: ApiError) -> list[dict[str, str]]:
    assert (error.code, error.reason) == (422, "Invalid"), error
    found: list[Any] = error.details["causes"]
    return found
