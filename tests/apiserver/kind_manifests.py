"""One small object of each kind beside pods, as a person writes it; and ways to change one."""

import base64
import copy
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kubelab.cluster.objects import Object

LABELS = {"app": "shop"}
SELECTOR: Object = {"matchLabels": LABELS}


def named(name: str = "shop", **parts: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}} | parts


def cluster_wide(name: str = "shop", **parts: Any) -> Object:
    return {"metadata": {"name": name}} | parts


def template(**spec: Any) -> Object:
    containers = [{"name": "front", "image": "kubelab/shell"}, {"name": "back", "image": "kubelab/data"}]
    return {"metadata": {"labels": dict(LABELS)}, "spec": {"containers": containers} | spec}


def workload(**spec: Any) -> Object:
    """Return a Deployment, ReplicaSet, StatefulSet or DaemonSet: they are written alike."""
    return named(spec={"selector": copy.deepcopy(SELECTOR), "template": template()} | spec)


def job(**spec: Any) -> Object:
    return named(spec={"template": template(restartPolicy="Never")} | spec)


def cronjob(**spec: Any) -> Object:
    return named(spec={"schedule": "*/5 * * * *", "jobTemplate": {"spec": job()["spec"]}} | spec)


def autoscaler(**spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    return named(spec={"scaleTargetRef": target, "maxReplicas": 5} | spec)


def budget(**spec: Any) -> Object:
    return named(spec={"selector": copy.deepcopy(SELECTOR), "minAvailable": 1} | spec)


def network_policy(**spec: Any) -> Object:
    return named(spec={"podSelector": copy.deepcopy(SELECTOR)} | spec)


def ingress(**spec: Any) -> Object:
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return named(spec={"rules": [{"host": "shop.example.com", "http": {"paths": paths}}]} | spec)


def role_binding(**parts: Any) -> Object:
    return (
        named(roleRef={"kind": "Role", "name": "reader"}, subjects=[{"kind": "User", "name": "ana"}]) | parts
    )


def cluster_role_binding(**parts: Any) -> Object:
    return cluster_wide(roleRef={"kind": "ClusterRole", "name": "reader"}) | parts


@cache
def pem_request(name: str = "ana") -> str:
    """Return a genuine request for a certificate, in base64 of PEM as the field has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return base64.b64encode(request.public_bytes(Encoding.PEM)).decode()


def signing_request(**spec: Any) -> Object:
    signer = "kubernetes.io/kube-apiserver-client"
    wanted = {"request": pem_request(), "signerName": signer, "usages": ["client auth"]}
    return cluster_wide(spec=wanted | spec)


def changed(obj: Object, path: str, value: Any) -> Object:
    """Return *obj* with *value* at *path* (`spec.rules.0.host`); None takes it away."""
    new = copy.deepcopy(obj)
    place: Any = new
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new
