"""Tokens: what they claim, how long they are believed, and who asks for them."""

import base64
from datetime import timedelta

import pytest

from kubelab.cluster.apiserver.authentication import impersonation
from kubelab.cluster.apiserver.authentication.claims import LEGACY_ISSUER, legacy_claims
from kubelab.cluster.apiserver.authentication.jwt import InvalidTokenError, SigningKey, unverified
from kubelab.cluster.apiserver.authentication.service_account_tokens import API_AUDIENCES
from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes, forbidden
from kubelab.cluster.apiserver.caller import ANONYMOUS, User
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock, rfc3339
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, SECRETS, SERVICEACCOUNTS, Object, Resource, uid_of

INVALID = 'TokenRequest.authentication.k8s.io "web" is invalid: spec.expirationSeconds: Invalid value:'
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)


@pytest.fixture
async def account(api: LocalApi) -> Object:
    return await api.create(SERVICEACCOUNTS, {"metadata": {"name": "web", "namespace": "default"}})


@pytest.fixture
async def pod(api: LocalApi, account: Object) -> Object:
    containers = [{"name": "c", "image": "kubelab/shell"}]
    spec = {"serviceAccountName": "web", "containers": containers, "nodeName": "one"}
    await api.create(NODES, {"metadata": {"name": "one"}})
    return await api.create(PODS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})


async def request(api: LocalApi, account: str = "web", **spec: object) -> Object:
    wanted = {"metadata": {"name": account, "namespace": "default"}, "spec": spec}
    return await api.create(SERVICEACCOUNTS, wanted, subresource="token")


def to(obj: Object, kind: str = "Pod", **more: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "name": obj["metadata"]["name"], "uid": uid_of(obj)} | more


async def review(api: LocalApi, token: str, *audiences: str) -> Object:
    spec = {"token": token, "audiences": list(audiences)}
    status: Object = (await api.create(TOKEN_REVIEWS, {"spec": spec}))["status"]
    return status


# The signature


def test_a_token_says_what_was_signed() -> None:
    key = SigningKey.generate()
    assert key.verify(key.sign({"sub": "jane"})) == {"sub": "jane"}


def test_another_keys_token_proves_nothing() -> None:
    token = SigningKey.generate().sign({"sub": "jane"})
    with pytest.raises(InvalidTokenError, match="no keys found"):
        SigningKey.generate().verify(token)


def test_what_is_changed_or_unsigned_proves_nothing() -> None:
    key = SigningKey.generate()
    header, _, signature = key.sign({"sub": "jane"}).split(".")
    claims = base64.urlsafe_b64encode(b'{"sub":"root"}').decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (f"{header}.{claims}.{signature}", f"{unsigned}.{claims}.", "a.b", "", "a.b.c", "é.é.é"):
        with pytest.raises(InvalidTokenError):
            key.verify(token)


# TokenRequest


async def test_a_token_claims_what_upstreams_do(registry: Registry, api: LocalApi, pod: Object) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens."""
    answer = await request(api, expirationSeconds=3600, boundObjectRef=to(pod))
    claims, now_s = unverified(answer["status"]["token"]), int(registry.clock.now().timestamp())
    node = await api.get(NODES, "", "one")
    assert claims.pop("jti")
    assert claims == {
        "aud": list(API_AUDIENCES),
        "exp": now_s + 3600,
        "iat": now_s,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "kubernetes.io": {
            "namespace": "default",
            "node": {"name": "one", "uid": uid_of(node)},
            "pod": {"name": "web", "uid": uid_of(pod)},
            "serviceaccount": {
                "name": "web",
                "uid": uid_of(await api.get(SERVICEACCOUNTS, "default", "web")),
            },
        },
        "nbf": now_s,
        "sub": "system:serviceaccount:default:web",
    }
    expires = registry.clock.now() + timedelta(seconds=3600)
    assert answer["status"]["expirationTimestamp"] == rfc3339(expires)
    assert answer["spec"]["audiences"] == list(API_AUDIENCES)


async def test_an_hours_token_of_a_kubelet_lives_for_a_year_and_is_told_apart(
    api: LocalApi, pod: Object
) -> None:
    """KEP-1205: clients that do not read the file anew should not fail all at once."""
    answer = await request(api, expirationSeconds=3607, boundObjectRef=to(pod))
    claims = unverified(answer["status"]["token"])
    assert claims["exp"] - claims["iat"] == 365 * 24 * 3600
    assert claims["kubernetes.io"]["warnafter"] - claims["iat"] == 3607
    others = await request(api, expirationSeconds=3607, boundObjectRef=to(pod), audiences=["vault"])
    claims = unverified(others["status"]["token"])
    assert claims["exp"] - claims["iat"] == 3607


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (
            {"expirationSeconds": 599},
            422,
            f"{INVALID} 599: may not specify a duration less than 10 minutes",
        ),
        (
            {"expirationSeconds": 1 << 33},
            422,
            f"{INVALID} 8589934592: may not specify a duration larger than 2^32 seconds",
        ),
        (
            {"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "gone"}},
            404,
            'pods "gone" not found',
        ),
    ],
)
async def test_what_is_asked_wrongly_is_refused(
    api: LocalApi, account: Object, spec: Object, code: int, message: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        await request(api, **spec)
    assert (refusal.value.code, refusal.value.message) == (code, message)


async def test_a_token_is_bound_to_the_object_that_was_meant(api: LocalApi, pod: Object) -> None:
    with pytest.raises(ApiError, match="the UID in the bound object reference"):
        await request(api, boundObjectRef=to(pod, uid="another"))
    await api.create(SERVICEACCOUNTS, {"metadata": {"name": "other", "namespace": "default"}})
    with pytest.raises(ApiError, match='cannot bind token for serviceaccount "other" to pod'):
        await request(api, "other", boundObjectRef=to(pod))


# How long one is believed


async def test_a_good_token_is_its_account(api: LocalApi, pod: Object) -> None:
    token = (await request(api, boundObjectRef=to(pod)))["status"]["token"]
    status = await review(api, token)
    user = status["user"]
    assert status["authenticated"] and status["audiences"] == list(API_AUDIENCES)
    assert (user["username"], user["groups"]) == (
        "system:serviceaccount:default:web",
        ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
    )
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["web"]
    assert user["extra"]["authentication.kubernetes.io/node-name"] == ["one"]


async def test_a_token_ends_in_its_time(clock: VirtualClock, api: LocalApi, account: Object) -> None:
    token = (await request(api, expirationSeconds=600))["status"]["token"]
    await clock.advance(659)  # A minute for clocks that differ.
    assert (await review(api, token))["authenticated"]
    await clock.advance(2)
    assert await review(api, token) == {
        "user": {},
        "error": "[invalid bearer token, service account token has expired]",
    }


async def test_a_token_ends_with_its_pod(api: LocalApi, pod: Object) -> None:
    token = (await request(api, boundObjectRef=to(pod)))["status"]["token"]
    await api.delete(PODS, "default", "web", grace_period_s=0)
    why = "[invalid bearer token, service account token has been invalidated]"
    assert (await review(api, token))["error"] == why


async def test_a_token_ends_with_its_account_even_if_one_of_that_name_comes(
    api: LocalApi, account: Object
) -> None:
    token = (await request(api))["status"]["token"]
    await api.delete(SERVICEACCOUNTS, "default", "web")
    gone = "[invalid bearer token, service account default/web has been deleted]"
    assert (await review(api, token))["error"] == gone
    new = await api.create(SERVICEACCOUNTS, {"metadata": {"name": "web", "namespace": "default"}})
    assert f"service account UID ({uid_of(new)}) does not match claim" in (await review(api, token))["error"]


async def test_a_token_is_good_for_those_it_is_meant_for(api: LocalApi, account: Object) -> None:
    token = (await request(api, audiences=["vault", "bank"]))["status"]["token"]
    assert (await review(api, token, "vault", "other"))["audiences"] == ["vault"]
    refused = await review(api, token)
    assert 'token audiences ["vault" "bank"] is invalid for the target audiences' in refused["error"]


async def test_a_kept_token_ends_with_its_secret(registry: Registry, api: LocalApi, account: Object) -> None:
    metadata = {
        "name": "kept",
        "namespace": "default",
        "annotations": {"kubernetes.io/service-account.name": "web"},
    }
    secret = await api.create(SECRETS, {"metadata": metadata, "type": "kubernetes.io/service-account-token"})
    token = registry.access.key.sign(legacy_claims(account, secret))
    assert unverified(token)["iss"] == LEGACY_ISSUER
    mismatch = "service account token does not match server's copy"
    assert mismatch in (await review(api, token))["error"]
    data = {"token": base64.b64encode(token.encode()).decode()}
    await api.patch(SECRETS, "default", "kept", {"data": data})
    assert (await review(api, token))["user"]["username"] == "system:serviceaccount:default:web"
    await api.delete(SECRETS, "default", "kept")
    assert "has been invalidated" in (await review(api, token))["error"]


async def test_a_review_needs_a_token(api: LocalApi) -> None:
    with pytest.raises(ApiError, match="token is required for TokenReview in authentication"):
        await review(api, "")
    assert (await review(api, "nonsense"))["error"] == "invalid bearer token"


# Bootstrap tokens

ID, SECRET = "abcdef", "0123456789abcdef"


async def bootstrap_secret(api: LocalApi, **data: str) -> None:
    known = {"token-id": ID, "token-secret": SECRET, "usage-bootstrap-authentication": "true"} | data
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in known.items()}
    metadata = {"name": f"bootstrap-token-{ID}", "namespace": "kube-system"}
    await api.create(
        SECRETS, {"metadata": metadata, "type": "bootstrap.kubernetes.io/token", "data": encoded}
    )


@pytest.mark.parametrize(
    ("data", "groups"),
    [
        ({}, ["system:bootstrappers", "system:authenticated"]),
        (
            {"auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"},
            [
                "system:bootstrappers",
                "system:bootstrappers:kubeadm:default-node-token",
                "system:authenticated",
            ],
        ),
        ({"expiration": "2099-01-01T00:00:00Z"}, ["system:bootstrappers", "system:authenticated"]),
        ({"expiration": "2020-01-01T00:00:00Z"}, None),
        ({"expiration": "soon"}, None),
        ({"usage-bootstrap-authentication": "false"}, None),
        ({"auth-extra-groups": "system:masters"}, None),
        ({"token-secret": "another-secret-1"}, None),
    ],
)
async def test_a_bootstrap_token_is_a_node_to_be(
    api: LocalApi, data: dict[str, str], groups: list[str] | None
) -> None:
    await bootstrap_secret(api, **data)
    status = await review(api, f"{ID}.{SECRET}")
    if groups is None:
        assert status["error"] == "invalid bearer token"
    else:
        assert status["user"] == {"username": f"system:bootstrap:{ID}", "groups": groups}


# Acting as somebody else


def acting(headers: dict[str, tuple[str, ...]], *allowed: str) -> User:
    """Return the user that jane becomes who may impersonate *allowed* (`resource name`)."""

    def check(attributes: RequestAttributes) -> None:
        assert attributes.verb == "impersonate"
        if f"{attributes.combined_resource} {attributes.name}" not in allowed:
            raise forbidden(attributes)

    wanted = impersonation.wanted(headers)
    assert wanted is not None
    return impersonation.impersonated(User("jane"), wanted, check)


def test_each_part_of_another_user_must_be_allowed() -> None:
    headers = {
        "impersonate-user": ("bob",),
        "impersonate-group": ("dev", "ops"),
        "impersonate-uid": ("7",),
        "impersonate-extra-acme.com%2froles": ("a",),
    }
    allowed = ("users bob", "groups dev", "groups ops", "uids 7", "userextras/acme.com/roles a")
    user = acting(headers, *allowed)
    assert (user.name, user.uid, dict(user.extra)) == ("bob", "7", {"acme.com/roles": ("a",)})
    assert user.groups == ("dev", "ops", "system:authenticated")
    for missing in allowed:
        with pytest.raises(ApiError) as refusal:
            acting(headers, *(each for each in allowed if each != missing))
        assert refusal.value.code == 403


def test_a_service_account_brings_its_groups() -> None:
    user = acting({"impersonate-user": ("system:serviceaccount:ns:web",)}, "serviceaccounts web")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")


def test_anonymous_is_not_authenticated() -> None:
    assert acting({"impersonate-user": (ANONYMOUS,)}, f"users {ANONYMOUS}").groups == (
        "system:unauthenticated",
    )


def test_groups_alone_are_nobody() -> None:
    assert impersonation.wanted({}) is None
    with pytest.raises(ApiError):
        impersonation.wanted({"impersonate-group": ("dev",)})
