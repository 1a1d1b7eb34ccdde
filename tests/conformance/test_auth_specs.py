"""Service accounts, their tokens, who may do what, and who somebody is.

Source: kubernetes, test/e2e/auth/{service_accounts,subjectreviews,selfsubjectreviews}.go.
Left out: what is mounted into pods.
"""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from served_cluster import Cluster
from served_cluster import client as somebody
from spec_client import Client
from spec_objects import SUBJECTS

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

ACCOUNTS = next(each for each in SUBJECTS if each.plural == "serviceaccounts")
PATH = ACCOUNTS.path(name="e2e")
USER = "system:serviceaccount:default:e2e"
GROUPS = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"]
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"


@pytest.fixture
async def account(client: Client) -> Object:
    return await client.create(ACCOUNTS.path(), ACCOUNTS.made("e2e", {}))


def impersonating(user: str, uid: str, groups: list[str], **extra: list[str]) -> list[tuple[str, str]]:
    """Return the headers of client-go's rest.ImpersonationConfig."""
    headers = [("Impersonate-User", user), ("Impersonate-Uid", uid)]
    headers += [("Impersonate-Group", group) for group in groups]
    return headers + [(f"Impersonate-Extra-{key}", each) for key, values in extra.items() for each in values]


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_an_account_is_updated(client: Client, account: Object, form: str) -> None:
    """ServiceAccounts should update a ServiceAccount."""
    typed = client.speaking(form)
    updated = await typed.update(PATH, await typed.get(PATH) | {"automountServiceAccountToken": True})
    assert updated["automountServiceAccountToken"] is True


async def token_of(client: Client, **spec: Any) -> str:
    request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    metadata, wanted = {"creationTimestamp": None}, {"audiences": None, "expirationSeconds": None} | spec
    made = request | {
        "metadata": metadata,
        "spec": wanted,
        "status": {"token": "", "expirationTimestamp": None},
    }
    return str((await client.create(f"{PATH}/token", made))["status"]["token"])


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.usefixtures("account")
async def test_a_token_is_made_and_reviewed(client: Client, form: str) -> None:
    """ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview."""
    typed = client.speaking(form)
    token = await token_of(typed)
    review = {
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": None},
        "spec": {"token": token},
        "status": {"user": {}},
    }
    status = (await typed.create(f"{AUTHENTICATION}/tokenreviews", review))["status"]
    assert (status["authenticated"], status.get("error", "")) == (True, "")
    assert status["user"]["username"] == USER


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def check_signature(token: str, jwk: Object) -> None:
    """Raise InvalidSignature if *token* is not signed with the key that *jwk* tells (ES256, RFC 7518)."""
    signed, _, signature = token.rpartition(".")
    x, y = (int.from_bytes(decoded(jwk[each])) for each in "xy")
    r, s = (int.from_bytes(each) for each in (decoded(signature)[:32], decoded(signature)[32:]))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))


@pytest.mark.usefixtures("account")
async def test_an_account_can_have_its_tokens_checked_by_others(cluster: Cluster, client: Client) -> None:
    """ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account
    issuer."""
    token = await token_of(client, audiences=["oidc-discovery-test"])
    async with somebody(cluster) as session:
        bearer = Client(session, headers=[("Authorization", f"Bearer {await token_of(client)}")])
        configuration = await bearer.get("/.well-known/openid-configuration")
        keys = (await bearer.get("/openid/v1/jwks"))["keys"]
    header, claims = (json.loads(decoded(each)) for each in token.split(".")[:2])
    assert claims["iss"] == configuration["issuer"]
    assert (claims["aud"], claims["sub"]) == (["oidc-discovery-test"], USER)
    assert configuration["jwks_uri"].endswith("/openid/v1/jwks")
    assert header["alg"] in configuration["id_token_signing_alg_values_supported"]
    check_signature(token, next(each for each in keys if each["kid"] == header["kid"]))


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_review_says_what_the_server_does(client: Client, account: Object, form: str) -> None:
    """SubjectReview should support SubjectReview API operations."""
    uid = account["metadata"]["uid"]
    wanted = {"verb": "list", "resource": "configmaps", "namespace": "default", "version": "v1"}
    mine = client.impersonating(impersonating(USER, uid, GROUPS))
    listed = await mine.ask("GET", "/api/v1/namespaces/default/configmaps")
    for kind, path, metadata, user in (
        ("SubjectAccessReview", "subjectaccessreviews", {}, USER),
        (
            "LocalSubjectAccessReview",
            "namespaces/default/localsubjectaccessreviews",
            {"namespace": "default"},
            "e2e",
        ),
    ):
        review = {
            "kind": kind,
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": metadata | {"creationTimestamp": None},
            "spec": {"resourceAttributes": wanted, "user": user, "groups": GROUPS, "uid": uid},
            "status": {"allowed": False},
        }
        answer = await client.speaking(form).create(f"{AUTHORIZATION}/{path}", review)
        assert answer["status"].get("allowed", False) == (listed.status == 200)


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_somebody_is_told_who_he_is(client: Client, form: str) -> None:
    """SelfSubjectReview should support SelfSubjectReview API operations; testing SSR in different API
    groups."""
    assert "selfsubjectreviews" in {each["name"] for each in (await client.get(AUTHENTICATION))["resources"]}
    groups, languages = ["system:authenticated", "developers"], ["python", "javascript"]
    headers = impersonating("jane-doe", "uniq-id", groups, **{"known-languages": languages})
    review = {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": None},
        "status": {"userInfo": {}},
    }
    jane = client.speaking(form).impersonating(headers)
    told = await jane.create(f"{AUTHENTICATION}/selfsubjectreviews", review)
    assert told["status"]["userInfo"] == {
        "username": "jane-doe",
        "uid": "uniq-id",
        "groups": groups,
        "extra": {"known-languages": languages},
    }
