"""What a service account's token claims, and which living objects it hangs on. Pure.

Source: kubernetes, pkg/serviceaccount/{claims,legacy}.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kubelab.cluster.apiserver.authentication.jwt import Claims, InvalidTokenError
from kubelab.cluster.apiserver.caller import User, service_account_groups, service_account_name
from kubelab.cluster.objects import Key, Object, key_of, uid_of

ISSUER = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER = "kubernetes/serviceaccount"
PRIVATE = "kubernetes.io"
EXTRA = "authentication.kubernetes.io/"
_LEGACY = "kubernetes.io/serviceaccount/"
_LEEWAY_S = 60.0  # go-jose's, for clocks that differ.


@dataclass(frozen=True, slots=True)
class Bound:
    """The objects whose end is the token's."""

    pod: Object | None = None
    node: Object | None = None
    secret: Object | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    kind: str
    key: Key
    uid: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token stands for; `references` must live on, the service account first."""

    account: Key
    uid: str
    references: tuple[Reference, ...]
    token_id: str = ""
    audiences: tuple[str, ...] = ()

    def user(self) -> User:
        return User(
            service_account_name(*self.account),
            service_account_groups(self.account.namespace),
            self.uid,
            self._extra(),
        )

    def _extra(self) -> Mapping[str, tuple[str, ...]]:
        extra = {f"{EXTRA}credential-id": (f"JTI={self.token_id}",)} if self.token_id else {}
        for reference in self.references:
            if reference.kind in {"Pod", "Node"}:
                word = f"{EXTRA}{reference.kind.lower()}"
                extra |= {f"{word}-name": (reference.key.name,), f"{word}-uid": (reference.uid,)}
        return extra


def claims_of(
    account: Object,
    audiences: Sequence[str],
    bound: Bound,
    now: datetime,
    *,
    token_id: str,
    expiration_s: int,
    warn_after_s: int = 0,
) -> Claims:
    """Return the claims of a new token for *account*."""
    namespace, name = key_of(account)
    issued_s = int(now.timestamp())
    private: Claims = {"namespace": namespace}
    for kind, obj in (("node", bound.node), ("pod", bound.pod), ("secret", bound.secret)):
        if obj:
            private[kind] = _reference(obj)
    private["serviceaccount"] = _reference(account)
    if warn_after_s:
        private["warnafter"] = issued_s + warn_after_s
    return {
        "aud": list(audiences),
        "exp": issued_s + expiration_s,
        "iat": issued_s,
        "iss": ISSUER,
        "jti": token_id,
        PRIVATE: private,
        "nbf": issued_s,
        "sub": service_account_name(namespace, name),
    }


def legacy_claims(account: Object, secret: Object) -> Claims:
    """Return the claims of the token that is kept in *secret*: it has no end of its own."""
    namespace, name = key_of(account)
    return {
        "iss": LEGACY_ISSUER,
        f"{_LEGACY}namespace": namespace,
        f"{_LEGACY}secret.name": secret["metadata"]["name"],
        f"{_LEGACY}service-account.name": name,
        f"{_LEGACY}service-account.uid": uid_of(account),
        "sub": service_account_name(namespace, name),
    }


def subject_of(claims: Claims, now: datetime) -> Subject:
    """Return whom *claims*, which were signed by us, stand for.

    Raises:
        InvalidTokenError: not now, or not anybody.
    """
    if claims.get("iss") == LEGACY_ISSUER:
        return _legacy_subject(claims)
    _check_time(claims, now.timestamp())
    private = claims.get(PRIVATE) or {}
    namespace, account = private.get("namespace", ""), private.get("serviceaccount") or {}
    references = [Reference("ServiceAccount", Key(namespace, account["name"]), account["uid"])]
    for word, kind in (("pod", "Pod"), ("secret", "Secret"), ("node", "Node")):
        if of := private.get(word):
            within = "" if kind == "Node" else namespace
            references.append(Reference(kind, Key(within, of["name"]), of.get("uid", "")))
    return Subject(
        references[0].key,
        account["uid"],
        tuple(references),
        claims.get("jti", ""),
        tuple(claims.get("aud") or ()),
    )


def _legacy_subject(claims: Claims) -> Subject:
    namespace = claims.get(f"{_LEGACY}namespace", "")
    account = Key(namespace, claims.get(f"{_LEGACY}service-account.name", ""))
    uid, secret = claims.get(f"{_LEGACY}service-account.uid", ""), claims.get(f"{_LEGACY}secret.name", "")
    if claims.get("sub") != service_account_name(*account) or not secret:
        raise InvalidTokenError("sub claim is invalid")
    references = (Reference("ServiceAccount", account, uid), Reference("Secret", Key(namespace, secret), ""))
    return Subject(account, uid, references)


def _check_time(claims: Claims, now_s: float) -> None:
    if now_s > claims.get("exp", 0) + _LEEWAY_S:
        raise InvalidTokenError("service account token has expired")
    if now_s < claims.get("nbf", 0) - _LEEWAY_S:
        raise InvalidTokenError("service account token is not valid yet")


def _reference(obj: Object) -> Claims:
    return {"name": obj["metadata"]["name"], "uid": uid_of(obj)}
