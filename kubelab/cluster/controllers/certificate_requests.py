"""What a CertificateSigningRequest asks for, and whether its signer may give that. Pure.

Source: kubernetes, pkg/apis/certificates/helpers.go, pkg/controller/certificates/signer/signer.go and
pkg/controller/certificates/certificate_controller_utils.go.
"""

import base64
from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubelab.cluster.objects import Object

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
CLIENT = "kubernetes.io/kube-apiserver-client"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (KUBELET_CLIENT, KUBELET_SERVING, CLIENT, LEGACY)
NODE_PREFIX = "system:node:"
_NODES = ["system:nodes"]
_KINDS: dict[type, str] = {
    x509.DNSName: "DNS",
    x509.IPAddress: "IP",
    x509.RFC822Name: "Email",
    x509.UniformResourceIdentifier: "URI",
}
_OPTIONAL = frozenset({"digital signature", "key encipherment"})


def has_condition(request: Object, *types: str) -> bool:
    """Whether one of *types* is true of it; Approved and Denied cannot be anything else."""
    conditions = (request.get("status") or {}).get("conditions") or ()
    return any(each["type"] in types and each.get("status", "True") == "True" for each in conditions)


def parsed(request: Object) -> x509.CertificateSigningRequest:
    """Return the request within; the server has seen to it that it can be read."""
    return x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))


def common_name(csr: x509.CertificateSigningRequest) -> str:
    return next((str(each.value) for each in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def objection(signer: str, csr: x509.CertificateSigningRequest, usages: Iterable[str]) -> str:
    """Return why *signer* does not sign such a request; "" if it does."""
    wanted = frozenset(usages)
    if signer == CLIENT:
        return _client_objection(wanted)
    if signer == KUBELET_CLIENT:
        return _organization(csr) or _alternative_names(csr) or _node(csr) or _usages(wanted, "client auth")
    if signer == KUBELET_SERVING:
        return _organization(csr) or _server_names(csr) or _usages(wanted, "server auth") or _node(csr)
    return ""


def _client_objection(usages: frozenset[str]) -> str:
    for usage in sorted(usages - _OPTIONAL - {"client auth"}):
        return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def _organization(csr: x509.CertificateSigningRequest) -> str:
    organizations = [each.value for each in csr.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return "" if organizations == _NODES else "subject organization is not system:nodes"


def _node(csr: x509.CertificateSigningRequest) -> str:
    if common_name(csr).startswith(NODE_PREFIX):
        return ""
    return "subject common name does not begin with system:node:"


def _usages(usages: frozenset[str], purpose: str) -> str:
    needed = {"digital signature", purpose}
    if usages in (needed, needed | {"key encipherment"}):
        return ""
    return f"usages did not match [{' '.join(sorted(needed | {'key encipherment'}))}]"


def _kinds(csr: x509.CertificateSigningRequest) -> set[str]:
    """Return which kinds of alternative names are asked for."""
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {_KINDS.get(type(name), "other") for name in names}


def _forbidden(csr: x509.CertificateSigningRequest, *kinds: str) -> str:
    asked = _kinds(csr)
    return next((f"{kind} subjectAltNames are not allowed" for kind in kinds if kind in asked), "")


def _alternative_names(csr: x509.CertificateSigningRequest) -> str:
    return _forbidden(csr, "DNS", "Email", "IP", "URI")


def _server_names(csr: x509.CertificateSigningRequest) -> str:
    if not {"DNS", "IP"} & _kinds(csr):
        return "DNS or IP subjectAltName is required"
    return _forbidden(csr, "Email", "URI")
