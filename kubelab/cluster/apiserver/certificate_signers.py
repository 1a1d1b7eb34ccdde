"""CertificateApproval and CertificateSigning: who approves or signs must be allowed to, for that signer.

Source: kubernetes, plugin/pkg/admission/certificates/{approval,signing}/admission.go and ../util.go;
https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization.
"""

from collections.abc import Callable

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.policy import Decision
from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.objects import CERTIFICATESIGNINGREQUESTS, Object

Authorize = Callable[[RequestAttributes], Decision]


class _SignerPermission:
    """*verb* on `signers`, by the signer's name or as `domain/*`, when *subresource* is written."""

    def __init__(self, authorize: Authorize, verb: str, subresource: str) -> None:
        self._authorize = authorize
        self._verb = verb
        self._subresource = subresource

    async def admit(self, attributes: Attributes) -> None:
        return

    async def validate(self, attributes: Attributes) -> None:
        """Raise 403 unless the caller may do so for the request's signer."""
        if not attributes.is_of(CERTIFICATESIGNINGREQUESTS, "UPDATE", subresource=self._subresource):
            return
        assert attributes.old is not None and attributes.new is not None
        if self._subresource == "status" and _answer(attributes.old) == _answer(attributes.new):
            return
        signer = attributes.old["spec"]["signerName"]
        if not self._may(attributes.caller.user, signer):
            why = f"user not permitted to {self._verb} requests with signerName {quoted(signer)}"
            raise attributes.forbidden(why)

    def _may(self, user: User, signer: str) -> bool:
        names = (signer, f"{signer.partition('/')[0]}/*")
        group = CERTIFICATESIGNINGREQUESTS.group
        asked = (RequestAttributes(user, self._verb, group, "signers", name=name) for name in names)
        return any(self._authorize(each).allowed for each in asked)


def certificate_approval(authorize: Authorize) -> _SignerPermission:
    return _SignerPermission(authorize, "approve", "approval")


def certificate_signing(authorize: Authorize) -> _SignerPermission:
    return _SignerPermission(authorize, "sign", "status")


def _answer(request: Object) -> tuple[object, object]:
    status = request.get("status") or {}
    return status.get("certificate"), status.get("conditions")
