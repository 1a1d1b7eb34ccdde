"""OpenAPI v2 for clients that fall back to it: a valid document that defines nothing.

kubectl asks for it when a manifest names a kind that v3 does not know; finding no schema there either, it
goes on and says so clearly ("no matches for kind ..."). Without the document it complains about the download.
Source: https://github.com/google/gnostic, openapiv2/OpenAPIv2.proto (Document: swagger 1, info 2, paths 8).
Left out: definitions, which kubectl before 1.27 validates by; they come with the support of such clients.
"""

from kubelab.cluster.apiserver.versions import encode

PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_TITLE, _VERSION = "Kubernetes", "unversioned"
JSON_DOCUMENT = encode({"swagger": "2.0", "info": {"title": _TITLE, "version": _VERSION}, "paths": {}})


def _message(number: int, content: bytes) -> bytes:
    assert len(content) < 128, "one byte holds the length"
    return bytes((number << 3 | 2, len(content))) + content


_INFO = _message(1, _TITLE.encode()) + _message(2, _VERSION.encode())
PROTOBUF_DOCUMENT = _message(1, b"2.0") + _message(2, _INFO) + _message(8, b"")


def document(accept: str) -> tuple[str, bytes]:
    """Return media type and body of the document in the form that *accept* asks for."""
    if "proto-openapi.spec.v2" in accept:
        return PROTOBUF, PROTOBUF_DOCUMENT
    return "application/json", JSON_DOCUMENT
