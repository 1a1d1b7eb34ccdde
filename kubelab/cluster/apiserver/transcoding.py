"""Answers in other forms than JSON: what is to be sent is made as JSON, and told anew for who takes no JSON.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/runtime/serializer/{protobuf,json} and
runtime/serializer/codec_factory.go.
"""

import msgspec

from kubelab.cluster.apiserver import protobuf_encoding, refusals, schema
from kubelab.cluster.apiserver.bodies import SCALE
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

_OF_ALL_KINDS = {
    ("v1", "Status"): f"{schema.META}.Status",
    ("meta.k8s.io/v1", "PartialObjectMetadata"): f"{schema.META}.PartialObjectMetadata",
    ("meta.k8s.io/v1", "PartialObjectMetadataList"): f"{schema.META}.PartialObjectMetadataList",
    (SCALE.api_version, SCALE.kind): SCALE.go_type,
}
_DISCOVERY = {
    ("v1", kind): f"{schema.META}.{kind}"
    for kind in ("APIVersions", "APIGroupList", "APIGroup", "APIResourceList")
}


def has_protobuf(kind: Kind) -> bool:
    """Tell whether there are messages for the objects of *kind*."""
    return not kind.custom and schema.bundled().has_protobuf(kind.go_type)


def transcoded(body: bytes, media_type: str, kind: Kind | None = None) -> bytes:
    """Return *body*, which is JSON of *kind* or about it, in *media_type*; may take long for a long one.

    Raises:
        ApiError: 406, it is of a kind that has no messages.
    """
    if media_type == JSON:
        return body
    obj = msgspec.json.decode(body)
    if media_type == PROTOBUF:
        return as_protobuf(obj, kind)
    from kubelab.cluster.apiserver.yaml_encoding import as_yaml  # 1 MiB, and hardly anybody asks for it.

    return as_yaml(obj)


def as_protobuf(obj: Object, kind: Kind | None = None) -> bytes:
    """Return *obj* as a message that says of which type it is."""
    api_version, name = obj.get("apiVersion", ""), obj.get("kind", "")
    go_type = go_type_of(api_version, name, kind)
    if go_type is None:
        raise refusals.not_marshalable(name)
    return protobuf_encoding.enveloped(api_version, name, protobuf_encoding.bundled().message(go_type, obj))


def go_type_of(api_version: str, name: str, kind: Kind | None) -> str | None:
    """Return the Go type of what an answer about *kind* says it is, None if that has no messages."""
    known = _OF_ALL_KINDS | _DISCOVERY
    if kind:
        known = known | {(each.api_version, each.kind): each.go_type for each in kind.actions.values()}
    if kind and not kind.custom and api_version == kind.resource.api_version:
        known = known | {
            (api_version, kind.resource.kind): kind.go_type,
            (api_version, kind.list_kind): f"{kind.go_type}List",
        }
    go_type = known.get((api_version, name), "")
    bundled = schema.bundled()
    return go_type if bundled.types.has(go_type) and bundled.has_protobuf(go_type) else None
