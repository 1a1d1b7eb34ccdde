"""The approving controller: kubelets' client certificates need nobody's consent, if RBAC says so.

A node's own next certificate needs the right to create `certificatesigningrequests/selfnodeclient`, its first
one `.../nodeclient`; people bind the roles of these names to system:nodes and system:bootstrappers.
Source: kubernetes, pkg/controller/certificates/approver/sarapprove.go.
"""

from collections.abc import Iterator

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.certificate_requests import (
    KUBELET_CLIENT,
    common_name,
    has_condition,
    objection,
    parsed,
)
from kubelab.cluster.objects import CERTIFICATESIGNINGREQUESTS, Key, Object, Resource

_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
_MESSAGES = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}


def needed(request: Object) -> Iterator[str]:
    """Yield the subresources of which one must be allowed; none for a request that is for people."""
    spec = request["spec"]
    csr = parsed(request)
    if spec["signerName"] != KUBELET_CLIENT or objection(KUBELET_CLIENT, csr, spec.get("usages") or ()):
        return
    if spec.get("username") == common_name(csr):
        yield "selfnodeclient"
    yield "nodeclient"


class CertificateApprovingController:
    def __init__(self, api: Api, clock: Clock, requests: Informer) -> None:
        self._api = api
        self._clock = clock
        self._requests = requests

    async def run(self) -> None:
        sources = [Source(self._requests)]
        await Controller("csrapproving", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> None:
        """Raises ApiError: the server refused; it is tried again."""
        request = self._requests.get(key)
        if request is None or has_condition(request, "Approved", "Denied"):
            return
        for subresource in needed(request):
            if await self._is_allowed(request["spec"], subresource):
                await self._approve(request, _MESSAGES[subresource])
                return

    async def _is_allowed(self, spec: Object, subresource: str) -> bool:
        attributes = {
            "group": CERTIFICATESIGNINGREQUESTS.group,
            "resource": CERTIFICATESIGNINGREQUESTS.plural,
            "subresource": subresource,
            "verb": "create",
        }
        who = {"user": spec.get("username", ""), "groups": spec.get("groups") or []}
        review = {"kind": _REVIEWS.kind, "apiVersion": _REVIEWS.api_version, "metadata": {}}
        answer = await self._api.create(_REVIEWS, review | {"spec": who | {"resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])

    async def _approve(self, request: Object, message: str) -> None:
        status = request.get("status") or {}
        approved = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message}
        status = status | {"conditions": [*(status.get("conditions") or ()), approved]}
        await self._api.update(
            CERTIFICATESIGNINGREQUESTS, request | {"status": status}, subresource="approval"
        )
