"""Who a client's certificate says that it is: CN is the user, each O a group.

That the certificate is one of ours, and in force, TLS has seen to.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/authentication/request/x509/x509.go
(CommonNameUserConversion) and KEP-4193 (credential ids).
"""

import hashlib

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubelab.cluster.apiserver.authentication.claims import EXTRA
from kubelab.cluster.apiserver.caller import User


def user_of(certificate: bytes) -> User | None:
    """Return whom the DER *certificate* stands for; None without a CN."""
    subject = x509.load_der_x509_certificate(certificate).subject
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names or not names[-1]:
        return None
    groups = tuple(str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    fingerprint = hashlib.sha256(certificate).hexdigest()
    return User(names[-1], groups, extra={f"{EXTRA}credential-id": (f"X509SHA256={fingerprint}",)})
