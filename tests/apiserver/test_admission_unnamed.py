"""Admission comes before validation: what it looks at may lack what it must have."""

from typing import Any

import pytest
from api_manifests import pod
from bootstrapped import bootstrapped
from kind_manifests import named

from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import LIMITRANGES, PODS, SERVICEACCOUNTS
from kubelab.cluster.store.memory import MemoryStore


@pytest.fixture
async def guarded() -> LocalApi:
    """A server with all plug-ins, limits for containers, and an account whose secret has no name."""
    registry = Registry(MemoryStore(), VirtualClock())
    plugins.install(registry)
    api = LocalApi(await bootstrapped(registry))
    limit = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}
    await api.create(LIMITRANGES, named(spec={"limits": [limit]}))
    await api.create(SERVICEACCOUNTS, named("default", imagePullSecrets=[{}]))
    return api


@pytest.mark.parametrize(
    ("part", "value", "field"),
    [
        ("containers", [{"image": "a"}], "spec.containers[0].name"),
        ("initContainers", [{"image": "a"}], "spec.initContainers[0].name"),
        ("volumes", [{"emptyDir": {}}], "spec.volumes[0].name"),
    ],
)
async def test_what_has_no_name_is_refused(guarded: LocalApi, part: str, value: Any, field: str) -> None:
    with pytest.raises(ApiError) as refused:
        await guarded.create(PODS, pod(**{part: value}))
    assert refused.value.code == 422
    assert field in {cause["field"] for cause in refused.value.details["causes"]}
