"""The pod-template-hash: which ReplicaSet belongs to which version of a Deployment's template.

Source: kubernetes, pkg/controller/controller_utils.go (ComputeHash),
pkg/controller/deployment/util/deployment_util.go (EqualIgnoreHash) and
staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go (SafeEncodeString).
The lab hashes the template's canonical JSON, upstream a dump of its Go structures: other values.
"""

import json

from kubelab.cluster.objects import Object

LABEL = "pod-template-hash"
_SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object, collision_count: int | None) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    if collision_count is not None:
        text += str(collision_count)
    return "".join(_SAFE_LETTERS[ord(digit) % len(_SAFE_LETTERS)] for digit in str(fnv32a(text.encode())))


def fnv32a(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def with_hash(template: Object, hash_: str) -> Object:
    metadata = template.get("metadata") or {}
    return template | {"metadata": metadata | {"labels": (metadata.get("labels") or {}) | {LABEL: hash_}}}


def same_template(left: Object, right: Object) -> bool:
    return _without_hash(left) == _without_hash(right)


def _without_hash(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    labels = {name: value for name, value in (metadata.pop("labels", None) or {}).items() if name != LABEL}
    return template | {"metadata": metadata | ({"labels": labels} if labels else {})}
