"""Who asks: by client certificate, or by a bearer token of a service account or of a node to be.

Source: kubernetes, pkg/kubeapiserver/authenticator/config.go and
staging/src/k8s.io/apiserver/pkg/authentication/{request/bearertoken,group}. A good certificate decides; a
token beside it is not looked at. Without credentials nobody comes in (`--anonymous-auth=false`).
Left out: OpenID Connect users, webhooks, token files, the front proxy's headers.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from kubelab.cluster.apiserver.authentication import bootstrap_tokens, certificates, service_account_tokens
from kubelab.cluster.apiserver.authentication.jwt import InvalidTokenError, SigningKey
from kubelab.cluster.apiserver.authentication.service_account_tokens import API_AUDIENCES, Authenticated
from kubelab.cluster.apiserver.caller import AUTHENTICATED, UNAUTHENTICATED, User
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import SECRETS

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.registry import Registry

_INVALID = "invalid bearer token"
_CERTIFICATES_REMEMBERED = 1024


class Authenticator:
    def __init__(self, key: SigningKey) -> None:
        self.key = key

    async def user_of(
        self, registry: "Registry", certificate: bytes | None, authorization: str
    ) -> User | None:
        """Return who shows *certificate* or says *authorization* (the header); None for nobody known."""
        if certificate and (user := certified(certificate)):
            return user
        if not (token := bearer_token(authorization)):
            return None
        try:
            return (await self.token_of(registry, token, API_AUDIENCES)).user
        except InvalidTokenError:
            return None

    async def token_of(self, registry: "Registry", token: str, audiences: Sequence[str]) -> Authenticated:
        """Return whom *token* stands for.

        Raises:
            InvalidTokenError: nobody, and why.
        """
        try:
            found = await service_account_tokens.authenticate(registry, self.key, token, audiences)
        except InvalidTokenError as error:
            raise InvalidTokenError(f"[{_INVALID}, {error}]") from None
        found = found or await _bootstrapper(registry, token)
        if found is None:
            raise InvalidTokenError(_INVALID)
        return replace(found, user=_with_group(found.user))


@lru_cache(_CERTIFICATES_REMEMBERED)
def certified(certificate: bytes) -> User | None:
    """Return whom *certificate* stands for, which TLS has found to be good; None without a name."""
    user = certificates.user_of(certificate)
    return _with_group(user) if user else None


def bearer_token(authorization: str) -> str:
    """Return the token in the header's value; "" if it is none."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _with_group(user: User) -> User:
    if {AUTHENTICATED, UNAUTHENTICATED} & set(user.groups):
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))


async def _bootstrapper(registry: "Registry", token: str) -> Authenticated | None:
    token_id, kind = bootstrap_tokens.token_id(token), registry.kinds.get(SECRETS)
    if not token_id or kind is None:
        return None
    name = f"{bootstrap_tokens.NAME_PREFIX}{token_id}"
    try:
        secret = (await registry.get(kind, bootstrap_tokens.NAMESPACE, name)).object
    except ApiError as refusal:
        if refusal.is_not_found:
            return None
        raise
    user = bootstrap_tokens.user_of(token, secret, registry.clock.now())
    return Authenticated(user) if user else None
