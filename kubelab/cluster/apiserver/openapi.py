"""OpenAPI v3 documents of what is served: kubectl validates, explains and applies by them.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3. Documents are made in threads
and kept: those of the static kinds as long as the server lives, those of custom resources until they change.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from kubelab.cluster.apiserver import openapi_paths, openapi_schemas
from kubelab.cluster.apiserver.crd import published
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.openapi_schemas import Schemas
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.objects import Object

_PATCH: Object = {
    "description": (
        "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body."
    ),
    "type": "object",
}
INFO = {"title": "Kubernetes", "version": "unversioned"}


@lru_cache(4)
def index(kinds: tuple[Kind, ...]) -> Object:
    """Return where the document of each group and version is, with the hash that clients cache it by."""
    paths = {}
    for group_version in dict.fromkeys(map(_path_of, kinds)):
        body = document(kinds, group_version)
        assert body is not None
        url = f"/openapi/v3/{group_version}?hash={hash_of(body)}"
        paths[group_version] = {"serverRelativeURL": url}
    return {"paths": paths}


def hash_of(document: bytes) -> str:
    """Return the hash that clients cache a document by."""
    return hashlib.sha512(document).hexdigest().upper()


def document(kinds: tuple[Kind, ...], group_version: str) -> bytes | None:
    """Return the document of *group_version* (`api/v1`, `apis/apps/v1`); None if that is not served."""
    found = tuple(kind for kind in kinds if _path_of(kind) == group_version)
    return _encoded(found) if found else None


@lru_cache(256)
def _encoded(kinds: tuple[Kind, ...]) -> bytes:
    return encode(made(kinds))


def made(kinds: tuple[Kind, ...]) -> Object:
    """Return one document for *kinds*."""
    paths = {path: item for kind in kinds for path, item in openapi_paths.of_kind(kind)}
    return {"openapi": "3.0.0", "info": INFO, "paths": paths, "components": {"schemas": _schemas(kinds)}}


def _schemas(kinds: tuple[Kind, ...]) -> Schemas:
    schemas: Schemas = {openapi_schemas.name_of(openapi_paths.PATCH): _PATCH}
    for go_type in dict.fromkeys(each for kind in kinds for each in openapi_paths.go_types(kind)):
        schemas |= openapi_schemas.of_type(go_type)
    for kind in kinds:
        schemas |= _own(kind, schemas)
    return dict(sorted(schemas.items()))


def _own(kind: Kind, schemas: Schemas) -> Iterator[tuple[str, Object]]:
    """Yield the schemas of *kind* and its list, which say of which kind they are."""
    name, list_name = openapi_paths.schema_name(kind), openapi_paths.list_schema_name(kind)
    if kind.custom:
        yield name, published.of_kind(kind)
        yield list_name, published.list_of_kind(kind, name)
        return
    told = openapi_paths.gvk(kind)
    for each, shown in ((name, told), (list_name, told | {"kind": kind.list_kind})):
        if each in schemas:
            yield each, schemas[each] | {openapi_schemas.GVK: [shown]}


def _path_of(kind: Kind) -> str:
    return f"{'apis' if kind.resource.group else 'api'}/{kind.resource.api_version}"
