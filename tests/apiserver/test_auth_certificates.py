"""Certificates on request: who approves, who signs, and what comes of it."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from identities import as_user, controlled
from served_cluster import Cluster, serving

from kubelab.cluster.apiserver.caller import Caller, User
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.controllers.certificate_approving import needed
from kubelab.cluster.controllers.certificate_requests import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    LEGACY,
    objection,
)
from kubelab.cluster.controllers.certificate_signing import LASTING, LASTING_MIN, lasting
from kubelab.cluster.objects import CERTIFICATESIGNINGREQUESTS, CLUSTERROLEBINDINGS, CLUSTERROLES, Object

KEY = ec.generate_private_key(ec.SECP256R1())
KUBELET_USAGES = ("digital signature", "client auth")
SERVING_USAGES = ("digital signature", "server auth")


def csr(name: str, *groups: str, names: Sequence[x509.GeneralName] = ()) -> x509.CertificateSigningRequest:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def request(name: str, signer: str, asked: x509.CertificateSigningRequest, *usages: str) -> Object:
    pem = base64.b64encode(asked.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {"request": pem, "signerName": signer, "usages": list(usages)}
    return {"metadata": {"name": name}, "spec": spec}


NODE = csr("system:node:one", "system:nodes")
DNS = (x509.DNSName("one"),)


@pytest.mark.parametrize(
    ("signer", "asked", "usages", "why"),
    [
        # pkg/apis/certificates/helpers_test.go, pkg/controller/certificates/signer/signer_test.go.
        (CLIENT, csr("jane"), ("client auth",), ""),
        (CLIENT, csr("jane"), ("client auth", "digital signature", "key encipherment"), ""),
        (
            CLIENT,
            csr("jane"),
            ("digital signature",),
            "missing required usage for client certificate: client auth",
        ),
        (
            CLIENT,
            csr("jane"),
            ("client auth", "server auth"),
            "invalid usage for client certificate: server auth",
        ),
        (KUBELET_CLIENT, NODE, KUBELET_USAGES, ""),
        (KUBELET_CLIENT, NODE, (*KUBELET_USAGES, "key encipherment"), ""),
        (
            KUBELET_CLIENT,
            NODE,
            ("client auth",),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (
            KUBELET_CLIENT,
            csr("system:node:one"),
            KUBELET_USAGES,
            "subject organization is not system:nodes",
        ),
        (
            KUBELET_CLIENT,
            csr("jane", "system:nodes"),
            KUBELET_USAGES,
            "subject common name does not begin with system:node:",
        ),
        (
            KUBELET_CLIENT,
            csr("system:node:one", "system:nodes", names=DNS),
            KUBELET_USAGES,
            "DNS subjectAltNames are not allowed",
        ),
        (KUBELET_SERVING, csr("system:node:one", "system:nodes", names=DNS), SERVING_USAGES, ""),
        (KUBELET_SERVING, NODE, SERVING_USAGES, "DNS or IP subjectAltName is required"),
        (
            KUBELET_SERVING,
            csr("system:node:one", "system:nodes", names=(*DNS, x509.RFC822Name("a@b.c"))),
            SERVING_USAGES,
            "Email subjectAltNames are not allowed",
        ),
        (LEGACY, csr("anybody"), ("any",), ""),
    ],
)
def test_each_signer_gives_what_is_its_to_give(
    signer: str, asked: x509.CertificateSigningRequest, usages: Sequence[str], why: str
) -> None:
    assert objection(signer, asked, usages) == why


def test_a_kubelets_own_next_certificate_needs_less_than_its_first() -> None:
    asked = request("r", KUBELET_CLIENT, NODE, *KUBELET_USAGES)
    asked["spec"]["username"] = "system:bootstrap:abcdef"
    assert list(needed(asked)) == ["nodeclient"]
    asked["spec"]["username"] = "system:node:one"
    assert list(needed(asked)) == ["selfnodeclient", "nodeclient"]
    asked["spec"]["usages"] = ["server auth"]
    assert list(needed(asked)) == []


@given(st.none() | st.integers(min_value=1, max_value=2**31))
def test_how_long_one_lasts_is_within_bounds(wanted_s: int | None) -> None:
    found = lasting({"spec": {"expirationSeconds": wanted_s}})
    assert LASTING_MIN <= found <= LASTING
    if wanted_s is not None and LASTING_MIN.total_seconds() <= wanted_s <= LASTING.total_seconds():
        assert found.total_seconds() == wanted_s


# With a server, its controllers and kubectl


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(tmp_path) as cluster, controlled(cluster):
        yield cluster


async def condition(cluster: Cluster, name: str, wanted: str) -> Object:
    """Wait until the request has *wanted*: a condition, or "certificate"; return its status."""
    selector = f"metadata.name={name}"
    watch = cluster.api.watch(
        CERTIFICATESIGNINGREQUESTS, resource_version="", field_selector=selector, initial_events=True
    )
    async with watch as events:
        async for event in events:
            status: Object = event.object.get("status") or {}
            found = {each["type"] for each in status.get("conditions") or ()}
            if wanted in found or status.get(wanted):
                return status
    raise AssertionError("the watch ended")


async def test_an_approved_request_becomes_a_user(cluster: Cluster) -> None:
    asked = request("jane", CLIENT, csr("jane", "dev"), "client auth")
    asked["spec"]["expirationSeconds"] = 3600
    await cluster.api.create(CERTIFICATESIGNINGREQUESTS, asked)
    refusal = await cluster.refused("certificate", "approve", "jane", *as_user(cluster, "mallory"))
    assert "Forbidden" in refusal
    assert "jane approved" in await cluster.ok("certificate", "approve", "jane")
    status = await condition(cluster, "jane", "certificate")
    pem = base64.b64decode(status["certificate"])
    certificate = x509.load_pem_x509_certificate(pem)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    (cluster.home / "jane.crt").write_bytes(pem)
    plain = serialization.NoEncryption()
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (cluster.home / "jane.key").write_bytes(key)
    files = (f"--client-certificate={cluster.home}/jane.crt", f"--client-key={cluster.home}/jane.key")
    info = json.loads(await cluster.ok("auth", "whoami", "-o", "json", *files))["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("jane", ["dev", "system:authenticated"])


async def test_who_may_approve_needs_the_signer_too(cluster: Cluster) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization."""
    group = "certificates.k8s.io"
    requests, approvals = "certificatesigningrequests", "certificatesigningrequests/approval"
    rules = [
        {"apiGroups": [group], "resources": [requests], "verbs": ["get", "list"]},
        {"apiGroups": [group], "resources": [approvals], "verbs": ["update"]},
    ]
    await cluster.api.create(CLUSTERROLES, {"metadata": {"name": "approver"}, "rules": rules})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"}
    binding = {"metadata": {"name": "approver"}, "roleRef": reference, "subjects": [subject]}
    await cluster.api.create(CLUSTERROLEBINDINGS, binding)
    await cluster.api.create(CERTIFICATESIGNINGREQUESTS, request("r", CLIENT, csr("jane"), "client auth"))
    approve = ("certificate", "approve", "r", *as_user(cluster, "ann"))
    assert f'user not permitted to approve requests with signerName "{CLIENT}"' in await cluster.refused(
        *approve
    )
    signer = {"apiGroups": [group], "resources": ["signers"], "verbs": ["approve"]}
    rules.append(signer | {"resourceNames": ["kubernetes.io/*"]})
    await cluster.api.patch(CLUSTERROLES, "", "approver", {"rules": rules})
    await cluster.ok(*approve)


async def test_a_request_that_is_not_for_its_signer_fails(cluster: Cluster) -> None:
    await cluster.api.create(CERTIFICATESIGNINGREQUESTS, request("r", CLIENT, csr("jane"), "server auth"))
    await cluster.ok("certificate", "approve", "r")
    status = await condition(cluster, "r", "Failed")
    failed = next(each for each in status["conditions"] if each["type"] == "Failed")
    assert (failed["reason"], failed["message"]) == (
        "SignerValidationFailure",
        "invalid usage for client certificate: server auth",
    )
    assert "Approved,Failed" in await cluster.ok("get", "csr", "r")


async def test_nodes_to_be_get_theirs_at_once_when_they_may(cluster: Cluster) -> None:
    role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:bootstrappers"}
    binding = {"metadata": {"name": "bootstrap"}, "roleRef": reference, "subjects": [subject]}
    await cluster.api.create(CLUSTERROLEBINDINGS, binding)
    bootstrapper = User("system:bootstrap:abcdef", ("system:bootstrappers",))
    api = LocalApi(cluster.registry, Caller(bootstrapper, "kubelet"))
    await api.create(CERTIFICATESIGNINGREQUESTS, request("n", KUBELET_CLIENT, NODE, *KUBELET_USAGES))
    status = await condition(cluster, "n", "certificate")
    (approved,) = status["conditions"]
    assert approved["reason"] == "AutoApproved"
