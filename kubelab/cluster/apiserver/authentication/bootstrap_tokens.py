"""Bootstrap tokens: a new node's first credentials, kept in secrets of kube-system. Pure.

Source: kubernetes, plugin/pkg/auth/authenticator/token/bootstrap/bootstrap.go and
staging/src/k8s.io/cluster-bootstrap/util/secrets/secrets.go.
"""

import base64
import binascii
import hmac
import re
from datetime import datetime

from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.objects import Object, is_deleting

NAMESPACE = "kube-system"
NAME_PREFIX = "bootstrap-token-"
TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def token_id(token: str) -> str:
    """Return the part of *token* that names its secret; "" if it is no bootstrap token."""
    match = _TOKEN.fullmatch(token)
    return match.group(1) if match else ""


def user_of(token: str, secret: Object, now: datetime) -> User | None:
    """Return who shows *token*, which *secret* is to know; None if that is nobody."""
    if is_deleting(secret) or secret.get("type") != TYPE:
        return None
    data = {name: _text(value) for name, value in (secret.get("data") or {}).items()}
    known = f"{data.get('token-id', '')}.{data.get('token-secret', '')}"
    if not hmac.compare_digest(known.encode(), token.encode()) or _has_expired(data.get("expiration"), now):
        return None
    groups = sorted({GROUP, *filter(None, data.get("auth-extra-groups", "").split(","))})
    if data.get("usage-bootstrap-authentication") != "true" or not _may_be(groups):
        return None
    return User(f"system:bootstrap:{data['token-id']}", tuple(groups))


def _may_be(groups: list[str]) -> bool:
    return all(group == GROUP or _EXTRA_GROUP.fullmatch(group) for group in groups)


def _text(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _has_expired(expiration: str | None, now: datetime) -> bool:
    if not expiration:
        return False
    try:
        return datetime.fromisoformat(expiration) <= now
    except (ValueError, TypeError):  # Not a time, or one without its zone: upstream does not trust it either.
        return True
