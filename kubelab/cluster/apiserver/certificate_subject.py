"""CertificateSubjectRestriction: nobody gets a certificate of the group that may do everything.

Source: kubernetes, plugin/pkg/admission/certificates/subjectrestriction/admission.go.
"""

import base64

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.caller import MASTERS
from kubelab.cluster.objects import CERTIFICATESIGNINGREQUESTS

_SIGNER = "kubernetes.io/kube-apiserver-client"


class CertificateSubjectRestriction:
    async def admit(self, attributes: Attributes) -> None:
        """Nothing is changed."""

    async def validate(self, attributes: Attributes) -> None:
        if not attributes.is_of(CERTIFICATESIGNINGREQUESTS, "CREATE") or attributes.new is None:
            return
        spec = attributes.new["spec"]
        if spec.get("signerName") != _SIGNER:
            return
        try:
            groups = organizations(spec.get("request") or "")
        except ValueError as error:
            raise attributes.forbidden(f"failed to parse CSR: {error}") from None
        if MASTERS in groups:
            raise attributes.forbidden(f"use of {_SIGNER} signer with {MASTERS} group is not allowed")


def organizations(request: str) -> set[str]:
    """Return the groups that a *request* for a certificate (base64 of PEM, as the field has it) asks for."""
    parsed = x509.load_pem_x509_csr(base64.b64decode(request))
    return {str(each.value) for each in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}
