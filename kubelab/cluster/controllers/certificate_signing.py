"""The signing controllers: approved requests of Kubernetes' own signers get their certificate.

Source: kubernetes, pkg/controller/certificates/signer/signer.go. One controller stands for upstream's four.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock, rfc3339
from kubelab.cluster.controllers.certificate_requests import (
    SIGNERS,
    has_condition,
    objection,
    parsed,
)
from kubelab.cluster.objects import CERTIFICATESIGNINGREQUESTS, Key, Object

LASTING = timedelta(days=365)  # As upstream's --cluster-signing-duration.
LASTING_MIN = timedelta(minutes=10)

SignRequest = Callable[[bytes, Sequence[str], timedelta, datetime], bytes]
"""From a request (PEM), its usages, how long and from when to the certificate (PEM)."""


def lasting(request: Object) -> timedelta:
    """Return how long the certificate is good: as asked for, within bounds."""
    wanted_s = request["spec"].get("expirationSeconds")
    if wanted_s is None:
        return LASTING
    return min(max(timedelta(seconds=wanted_s), LASTING_MIN), LASTING)


class CertificateSigningController:
    def __init__(self, api: Api, clock: Clock, requests: Informer, sign: SignRequest) -> None:
        self._api = api
        self._clock = clock
        self._requests = requests
        self._sign = sign

    async def run(self) -> None:
        sources = [Source(self._requests)]
        await Controller("csrsigning", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> None:
        """Raises ApiError: the server refused; it is tried again."""
        request = self._requests.get(key)
        if request is None or not _waits(request):
            return
        spec, status = request["spec"], request.get("status") or {}
        now, usages = self._clock.now(), spec.get("usages") or ()
        if why := objection(spec["signerName"], parsed(request), usages):
            failed = _failed(why, now)
            status = status | {"conditions": [*(status.get("conditions") or ()), failed]}
        else:
            pem = self._sign(base64.b64decode(spec["request"]), usages, lasting(request), now)
            status = status | {"certificate": base64.b64encode(pem).decode()}
        await self._api.update(CERTIFICATESIGNINGREQUESTS, request | {"status": status}, subresource="status")


def _waits(request: Object) -> bool:
    """Whether it is approved, and not yet answered, by one of ours."""
    return (
        request["spec"]["signerName"] in SIGNERS
        and has_condition(request, "Approved")
        and not has_condition(request, "Failed", "Denied")
        and not (request.get("status") or {}).get("certificate")
    )


def _failed(why: str, now: datetime) -> Object:
    return {
        "type": "Failed",
        "status": "True",
        "reason": "SignerValidationFailure",
        "message": why,
        "lastUpdateTime": rfc3339(now),
    }
