"""Tokens of service accounts: made for them, and believed while what they hang on lives.

Source: kubernetes, pkg/serviceaccount/{jwt,claims,legacy}.go. Tokens are for the API server when they do not
say for whom; its one audience is the issuer, as where `--api-audiences` is not given.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kubelab.cluster.apiserver.authentication.claims import ISSUER, LEGACY_ISSUER, Reference, subject_of
from kubelab.cluster.apiserver.authentication.jwt import InvalidTokenError, SigningKey, unverified
from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, SECRETS, SERVICEACCOUNTS, Object

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.registry import Registry

API_AUDIENCES = (ISSUER,)
_LEEWAY = timedelta(seconds=60)
_RESOURCES = {"ServiceAccount": SERVICEACCOUNTS, "Pod": PODS, "Secret": SECRETS, "Node": NODES}
_INVALIDATED = "service account token has been invalidated"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who it is, and for whom (of those that were asked for) the proof is good."""

    user: User
    audiences: tuple[str, ...] = API_AUDIENCES


async def authenticate(
    registry: "Registry", key: SigningKey, token: str, audiences: Sequence[str]
) -> Authenticated | None:
    """Return whom *token* stands for; None if it is not one of ours at all.

    Raises:
        InvalidTokenError: it is one, but not for *audiences*, or not any more.
    """
    if not _is_ours(token):
        return None
    claims = key.verify(token)
    subject = subject_of(claims, registry.clock.now())
    good_for = tuple(each for each in subject.audiences or API_AUDIENCES if each in audiences)
    if not good_for:
        theirs, ours = (" ".join(map(quoted, each)) for each in (subject.audiences, audiences))
        raise InvalidTokenError(f"token audiences [{theirs}] is invalid for the target audiences [{ours}]")
    for reference in subject.references:
        await _check_alive(registry, reference)
    if claims["iss"] == LEGACY_ISSUER:
        await _check_legacy_secret(registry, subject.references[1], token)
    return Authenticated(subject.user(), good_for)


def _is_ours(token: str) -> bool:
    try:
        return unverified(token).get("iss") in {ISSUER, LEGACY_ISSUER}
    except InvalidTokenError:
        return False


async def _check_alive(registry: "Registry", reference: Reference) -> None:
    obj = await _get(registry, reference)
    kind = reference.kind
    if obj is None or _deleted_before(obj, registry.clock.now() - _LEEWAY):
        raise InvalidTokenError(_gone(reference))
    uid = obj["metadata"]["uid"]
    if reference.uid and uid != reference.uid:
        if kind == "ServiceAccount":
            raise InvalidTokenError(f"service account UID ({uid}) does not match claim ({reference.uid})")
        claim = f"service account {kind.lower()} ref claim ({reference.uid})"
        raise InvalidTokenError(f"{kind.lower()} UID ({uid}) does not match {claim}")


def _gone(reference: Reference) -> str:
    if reference.kind == "ServiceAccount":
        return f"service account {reference.key} has been deleted"
    return _INVALIDATED


async def _check_legacy_secret(registry: "Registry", reference: Reference, token: str) -> None:
    """The secret must still hold this very token: to empty it takes the token back."""
    secret = await _get(registry, reference)
    kept = ((secret or {}).get("data") or {}).get("token", "")
    if kept != _base64(token):
        raise InvalidTokenError("service account token does not match server's copy")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def _get(registry: "Registry", reference: Reference) -> Object | None:
    kind = registry.kinds.get(_RESOURCES[reference.kind])
    if kind is None:
        return None
    try:
        return (await registry.get(kind, *reference.key)).object
    except ApiError as refusal:
        if refusal.is_not_found:
            return None
        raise


def _deleted_before(obj: Object, moment: datetime) -> bool:
    since = obj["metadata"].get("deletionTimestamp")
    return bool(since) and datetime.fromisoformat(since) < moment
