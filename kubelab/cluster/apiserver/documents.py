"""The documents by which a server tells clients what it serves: discovery and OpenAPI, with their ETags.

Each is made once for a catalogue of kinds, in the form that is asked for, and kept until that changes.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/discovery/aggregated/etag.go;
k8s.io/kube-openapi/pkg/handler3/handler.go.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from kubelab.cluster.apiserver import discovery, negotiation, openapi, openapi_v2, transcoding
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.negotiation import JSON
from kubelab.cluster.apiserver.versions import encode

_V3 = "/openapi/v3"


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `path` is where one is that can be asked for by its hash, "" for others."""

    body: bytes
    media_type: str
    etag: str
    cache_control: str = "public"
    path: str = ""


def at(kinds: tuple[Kind, ...], path: str, accept: str) -> Document | None:
    """Return the document at *path* in the form that *accept* asks for, None if there is none.

    Made for the first time it takes up to 1 s: call it in a thread.
    """
    if path == "/openapi/v2":
        return _openapi_v2(kinds, openapi_v2.PROTOBUF if openapi_v2.wants_protobuf(accept) else JSON)
    if path == _V3 or path.startswith(f"{_V3}/"):
        return _openapi_v3(kinds, path)
    aggregated = discovery.aggregated_version(accept)
    return _discovery(kinds, path, aggregated, JSON if aggregated else negotiation.of_document(accept))


@lru_cache(4)
def _openapi_v2(kinds: tuple[Kind, ...], media_type: str) -> Document:
    body = openapi_v2.document(kinds, protobuf=media_type == openapi_v2.PROTOBUF)
    return Document(body, media_type, _hash(body))


@lru_cache(128)
def _openapi_v3(kinds: tuple[Kind, ...], path: str) -> Document | None:
    if path == _V3:
        body = encode(openapi.index(kinds))
        return Document(body, JSON, _hash(body), "no-cache, private")
    found = openapi.document(kinds, path.removeprefix(f"{_V3}/"))
    if found is None:
        return None
    return Document(found, JSON, openapi.hash_of(found), "no-cache, private", path)


@lru_cache(256)
def _discovery(kinds: tuple[Kind, ...], path: str, aggregated: str, media_type: str) -> Document | None:
    found = discovery.answer(kinds, path, aggregated)
    if found is None:
        return None
    body = transcoding.transcoded(encode(found) + b"\n", media_type)
    if found["kind"] == "APIGroupDiscoveryList":
        return Document(body, discovery.media_type(aggregated), _hash(body))
    return Document(body, media_type, _hash(body), "no-cache, private")


def _hash(body: bytes) -> str:
    return hashlib.sha512(body).hexdigest().upper()
