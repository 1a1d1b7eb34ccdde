"""Tokens of the pods' service accounts: asked for when a volume projects one, and anew before they end.

Source: kubernetes, pkg/kubelet/token/token_manager.go, pkg/volume/projected/projected.go (collectData).
Left out: jitter, since one kubelet's few pods do not need it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kubelab.cluster.client.api import Api
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.node.environment import TokenKey, token_keys
from kubelab.cluster.objects import SERVICEACCOUNTS, Object, key_of, uid_of
from kubelab.cluster.pods import parse_time

_AGE_MAX = timedelta(hours=24)
_FRESH_PART = 0.8


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    issued: datetime
    expires: datetime

    def wants_renewal(self, now: datetime) -> bool:
        """A fifth of its time is left, or it is a day old."""
        return now > min(self.issued + _AGE_MAX, self.issued + (self.expires - self.issued) * _FRESH_PART)


class AccountTokens:
    """The tokens of one pod."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[TokenKey, Token] = {}

    async def of(self, pod: Object) -> dict[TokenKey, str | ApiError]:
        """Return a good token for each that *pod* projects, or why there is none.

        Raises:
            ConnectionError: the server cannot be reached, and what is known is no good any more.
        """
        return {key: await self._token(pod, key) for key in dict.fromkeys(token_keys(pod))}

    async def _token(self, pod: Object, key: TokenKey) -> str | ApiError:
        known = self._known.get(key)
        if known and not known.wants_renewal(self._clock.now()):
            return known.text
        try:
            self._known[key] = await self._request(pod, key)
        except (ApiError, ConnectionError) as failure:
            if known and self._clock.now() < known.expires:
                return known.text
            if isinstance(failure, ConnectionError):
                raise
            return failure
        return self._known[key].text

    async def _request(self, pod: Object, key: TokenKey) -> Token:
        (namespace, pod_name), (audience, expiration_s) = key_of(pod), key
        spec: Object = {
            "audiences": [audience] if audience else [],
            "expirationSeconds": expiration_s,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod_name, "uid": uid_of(pod)},
        }
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": pod["spec"].get("serviceAccountName", ""), "namespace": namespace},
            "spec": spec,
        }
        status = (await self._api.create(SERVICEACCOUNTS, request, subresource="token"))["status"]
        expires = parse_time(status["expirationTimestamp"])
        return Token(status["token"], expires - timedelta(seconds=expiration_s), expires)
