"""CertificateSigningRequests: who asks, what must be true of them, who may change what, how they are shown.

Source: kubernetes, pkg/apis/certificates/validation/validation.go, pkg/registry/certificates/certificates/
strategy.go, pkg/printers/internalversion/printers.go. A request is its creator's, and stays as it was; the
approval subresource has the conditions Approved and Denied, the status subresource the certificate.
Left out: Go's own words for what cannot be parsed; `updates may not modify` shows no difference.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Cells, Column, age
from kubelab.cluster.apiserver.durations import human_duration
from kubelab.cluster.apiserver.fields import (
    Check,
    FieldError,
    dns_label,
    dns_subdomain,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    required,
    unsupported_value,
)
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object

EXPIRATION_S_MIN = 600
USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
_REQUESTOR = ("username", "uid", "groups", "extra")
_DECISIONS = ("Approved", "Denied")
_ONLY_TRUE = (*_DECISIONS, "Failed")

_SPEC = "k8s.io/api/certificates/v1.CertificateSigningRequestSpec"
COLUMNS = (
    NAME,
    AGE,
    Column("SignerName", documents=f"{_SPEC}.signerName"),
    Column("Requestor", documents=f"{_SPEC}.request"),
    Column("RequestedDuration", documents=f"{_SPEC}.expirationSeconds"),
    Column("Condition", documents="k8s.io/api/certificates/v1.CertificateSigningRequestStatus.conditions"),
)


def cells(request: Object, now: datetime) -> Cells:
    spec = request.get("spec") or {}
    lasting_s = spec.get("expirationSeconds")
    return [
        request["metadata"]["name"],
        age(request, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        NONE if lasting_s is None else human_duration(lasting_s),
        condition_text(request),
    ]


def condition_text(request: Object) -> str:
    """Return what kubectl prints in the CONDITION column."""
    status = request.get("status") or {}
    types = {condition.get("type") for condition in status.get("conditions") or ()}
    words = ["Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"]
    words += ["Failed"] if "Failed" in types else []
    return ",".join([*words, "Issued"] if status.get("certificate") else words)


# What only the server sets


def prepare_create(request: Object, write: Write) -> None:
    """Note who asks, whatever the request says."""
    user = write.caller.user
    kept = {key: value for key, value in (request.get("spec") or {}).items() if key not in _REQUESTOR}
    who: dict[str, Any] = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    who["extra"] = {key: list(values) for key, values in user.extra.items()}
    request["spec"] = kept | {key: value for key, value in who.items() if value}


def initial_status(request: Object) -> Object:
    return {}


def prepare_update(new: Object, old: Object, write: Write) -> None:
    new["spec"] = old.get("spec") or {}
    if not write.subresource:
        return
    status = new.get("status") or {}
    if write.subresource == "approval":
        status.pop("certificate", None)
        before = (old.get("status") or {}).get("certificate")
        status |= {"certificate": before} if before else {}
    if conditions := status.get("conditions"):
        status["conditions"] = [_timed(condition, old, rfc3339(write.now)) for condition in conditions]
    new["status"] = status


def _timed(condition: Object, old: Object, now: str) -> Object:
    """Return *condition* with its times: it began when one of its type and status first did."""
    same = [
        before.get("lastTransitionTime")
        for before in _conditions(old)
        if (before.get("type"), before.get("status")) == (condition.get("type"), condition.get("status"))
    ]
    began = next(filter(None, same), now)
    given = {key: value for key, value in condition.items() if value is not None}
    return {"lastUpdateTime": now, "lastTransitionTime": began} | given


def _conditions(request: Object, *types: str) -> list[Object]:
    conditions = (request.get("status") or {}).get("conditions") or []
    return [each for each in conditions if not types or each.get("type") in types]


# Validation


def any_name(name: str) -> Iterator[str]:
    """Find nothing wrong with any name."""
    return iter(())


def validate(request: Object) -> Iterator[FieldError]:
    spec = request.get("spec") or {}
    if problem := _request_problem(spec.get("request", "")):
        yield invalid_value("spec.request", spec.get("request", ""), problem)
    yield from _usages(spec.get("usages") or [])
    yield from _signer(spec.get("signerName", ""), "spec.signerName")
    lasting_s = spec.get("expirationSeconds")
    if lasting_s is not None and lasting_s < EXPIRATION_S_MIN:
        detail = f"may not specify a duration less than {EXPIRATION_S_MIN} seconds (10 minutes)"
        yield invalid_value("spec.expirationSeconds", lasting_s, detail)


def _request_problem(encoded: str) -> str:
    try:
        pem = base64.b64decode(encoded)
    except binascii.Error:
        pem = b""
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in pem:
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        genuine = x509.load_pem_x509_csr(pem).is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        return "the certificate request could not be parsed"
    return "" if genuine else "the signature of the certificate request is not valid"


def _usages(usages: list[str]) -> Iterator[FieldError]:
    if not usages:
        yield required("spec.usages")
    for place, usage in indexed(usages, "spec.usages"):
        if usage not in USAGES:
            yield unsupported_value(place, usage, USAGES)
    for index, usage in enumerate(usages):
        if usage in usages[:index]:
            yield duplicate(f"spec.usages[{index}]", usage)


def _signer(name: str, field: str) -> Iterator[FieldError]:
    domain, slash, path = name.partition("/")
    if name == LEGACY_SIGNER:
        yield invalid_value(field, name, "the legacy signerName is not allowed via this API version")
    elif not name:
        yield required(field)
    elif not slash or "/" in path:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        yield invalid_value(field, name, detail)
    else:
        yield from _parts(domain, field, dns_label)
        if "." not in domain:
            detail = "should be a domain with at least two segments separated by dots"
            yield invalid_value(field, domain, detail)
        yield from _parts(path, field, dns_subdomain)


def _parts(text: str, field: str, check: Check) -> Iterator[FieldError]:
    """Yield what is wrong with the first bad one of the labels in *text*."""
    for label in text.split("."):
        if details := list(check(label)):
            for detail in details:
                yield invalid_value(field, text, f"validating label {quoted(label)}: {detail}")
            return


def validate_approval(new: Object, old: Object) -> Iterator[FieldError]:
    yield from _status(new, old)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    yield from _status(new, old)
    yield from _decisions_unchanged(new, old)
    certificate = (new.get("status") or {}).get("certificate")
    before = (old.get("status") or {}).get("certificate")
    if certificate == before:
        return
    if before:
        yield forbidden_field("status.certificate", "updates may not modify existing certificate content")
    if certificate and (problem := _certificate_problem(certificate)):
        yield invalid_value("status.certificate", "<certificate data>", problem)


def _certificate_problem(encoded: str) -> str:
    try:
        pem = base64.b64decode(encoded)
        blocks = x509.load_pem_x509_certificates(pem)
    except (ValueError, binascii.Error):
        return "must contain at least one CERTIFICATE PEM block"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def _status(new: Object, old: Object) -> Iterator[FieldError]:
    field = "status.conditions"
    yield from _all_conditions(_conditions(new), field)
    for type_ in _ONLY_TRUE:
        if len(_conditions(new, type_)) < len(_conditions(old, type_)):
            yield forbidden_field(field, f"updates may not remove a condition of type {quoted(type_)}")


def _all_conditions(conditions: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, condition in indexed(conditions, field):
        type_ = condition.get("type", "")
        if not type_:
            yield required(f"{place}.type")
        yield from _condition_status(condition, f"{place}.status")
        if type_ in _DECISIONS and seen & set(_DECISIONS) - {type_}:
            detail = "Approved and Denied conditions are mutually exclusive"
            yield invalid_value(f"{place}.type", type_, detail)
        if type_ in seen:
            yield duplicate(f"{place}.type", type_)
        seen.add(type_)


def _condition_status(condition: Mapping[str, Any], field: str) -> Iterator[FieldError]:
    status = condition.get("status", "")
    supported = ("True",) if condition.get("type") in _ONLY_TRUE else ("False", "True", "Unknown")
    if not status:
        yield required(field)
    elif status not in supported:
        yield unsupported_value(field, status, supported)


def _decisions_unchanged(new: Object, old: Object) -> Iterator[FieldError]:
    """Only who may approve, and says so by the approval subresource, changes what was decided."""
    for type_ in _DECISIONS:
        now, before = _conditions(new, type_), _conditions(old, type_)
        if now != before and len(now) >= len(before):
            verb = "add" if len(now) > len(before) else "modify"
            detail = f"updates may not {verb} a condition of type {quoted(type_)}"
            yield forbidden_field("status.conditions", detail)
