"""The accounts and certificates that every namespace has, tokens in secrets, and roles that gather others."""

import base64
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import pytest

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.manager import Signing, run_controllers
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import (
    CLUSTERROLES,
    CONFIGMAPS,
    NAMESPACES,
    SECRETS,
    SERVICEACCOUNTS,
    Object,
    Resource,
    uid_of,
)

ACCOUNT = "kubernetes.io/service-account.name"
TYPE = "kubernetes.io/service-account-token"


def issued(account: Object, secret: Object) -> str:
    return f"token of {account['metadata']['name']} in {secret['metadata']['name']}"


def signed(request_pem: bytes, usages: Sequence[str], lasting: timedelta, now: datetime) -> bytes:
    raise AssertionError("nobody asks for a certificate here")


@pytest.fixture
async def controllers(api: LocalApi, clock: VirtualClock) -> AsyncIterator[None]:
    """All controllers, with an authority's certificate and a key to sign with."""
    async with background(run_controllers(api, clock, signing=Signing(b"CERTIFICATE", issued, signed))):
        await clock.advance(0)
        yield


pytestmark = pytest.mark.usefixtures("controllers")


async def is_there(api: LocalApi, resource: Resource, namespace: str, name: str) -> bool:
    try:
        await api.get(resource, namespace, name)
    except ApiError as refusal:
        assert refusal.is_not_found
        return False
    return True


async def secret_of(api: LocalApi, account: str, **annotations: str) -> Object:
    metadata = {"name": "kept", "namespace": "default", "annotations": {ACCOUNT: account} | annotations}
    return await api.create(SECRETS, {"metadata": metadata, "type": TYPE})


async def test_every_namespace_has_a_default_account_and_the_root_certificate(
    api: LocalApi, clock: VirtualClock
) -> None:
    await api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await clock.advance(0)
    for namespace in ("default", "kube-system", "shop"):
        assert await is_there(api, SERVICEACCOUNTS, namespace, "default")
        published = await api.get(CONFIGMAPS, namespace, "kube-root-ca.crt")
        assert published["data"] == {"ca.crt": "CERTIFICATE"}


async def test_what_is_deleted_or_changed_comes_back(api: LocalApi, clock: VirtualClock) -> None:
    await api.delete(SERVICEACCOUNTS, "default", "default")
    await api.delete(CONFIGMAPS, "default", "kube-root-ca.crt")
    await api.patch(CONFIGMAPS, "kube-system", "kube-root-ca.crt", {"data": {"ca.crt": "FORGED"}})
    await clock.advance(0)
    assert await is_there(api, SERVICEACCOUNTS, "default", "default")
    for namespace in ("default", "kube-system"):
        published = await api.get(CONFIGMAPS, namespace, "kube-root-ca.crt")
        assert published["data"] == {"ca.crt": "CERTIFICATE"}


async def test_a_namespace_that_ends_takes_all_along(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await clock.advance(0)
    await api.delete(NAMESPACES, "", "shop")
    await clock.advance(2)
    assert not await is_there(api, NAMESPACES, "", "shop")
    assert not await is_there(api, SERVICEACCOUNTS, "shop", "default")


async def test_a_secret_that_asks_for_a_token_is_filled(api: LocalApi, clock: VirtualClock) -> None:
    """https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets."""
    await secret_of(api, "default")
    await clock.advance(0)
    secret = await api.get(SECRETS, "default", "kept")
    account = await api.get(SERVICEACCOUNTS, "default", "default")
    texts = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert texts == {
        "ca.crt": "CERTIFICATE",
        "namespace": "default",
        "token": "token of default in kept",
    }
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == uid_of(account)


async def test_a_token_taken_out_is_made_anew(api: LocalApi, clock: VirtualClock) -> None:
    await secret_of(api, "default")
    await clock.advance(0)
    await api.patch(SECRETS, "default", "kept", {"data": {"token": None}})
    await clock.advance(0)
    assert "token" in (await api.get(SECRETS, "default", "kept"))["data"]


async def test_a_secret_goes_with_its_account(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(SERVICEACCOUNTS, {"metadata": {"name": "web", "namespace": "default"}})
    await secret_of(api, "web")
    await clock.advance(0)
    assert await is_there(api, SECRETS, "default", "kept")
    await api.delete(SERVICEACCOUNTS, "default", "web")
    await clock.advance(0)
    assert not await is_there(api, SECRETS, "default", "kept")


async def test_a_secret_of_another_account_of_that_name_goes(api: LocalApi, clock: VirtualClock) -> None:
    await secret_of(api, "default", **{"kubernetes.io/service-account.uid": "another"})
    await clock.advance(0)
    assert not await is_there(api, SECRETS, "default", "kept")


async def test_other_secrets_are_left_alone(api: LocalApi, clock: VirtualClock) -> None:
    metadata = {"name": "mine", "namespace": "default", "annotations": {ACCOUNT: "nobody"}}
    await api.create(SECRETS, {"metadata": metadata, "type": "Opaque"})
    await clock.advance(0)
    assert "token" not in ((await api.get(SECRETS, "default", "mine")).get("data") or {})


async def test_gathering_roles_follow_the_roles_that_they_gather(api: LocalApi, clock: VirtualClock) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles."""
    view, edit, admin = [
        (await api.get(CLUSTERROLES, "", name))["rules"] for name in ("view", "edit", "admin")
    ]
    assert all(rule in admin for rule in (*view, *edit))
    rule = {"apiGroups": ["stable.example.com"], "resources": ["crontabs"], "verbs": ["get"]}
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    metadata = {"name": "crontabs", "labels": labels}
    await api.create(CLUSTERROLES, {"metadata": metadata, "rules": [rule]})
    await clock.advance(0)
    for name in ("view", "edit", "admin"):
        assert rule in (await api.get(CLUSTERROLES, "", name))["rules"]
    await api.delete(CLUSTERROLES, "", "crontabs")
    await clock.advance(0)
    for name in ("view", "edit", "admin"):
        assert rule not in (await api.get(CLUSTERROLES, "", name))["rules"]
