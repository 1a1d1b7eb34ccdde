"""The bodies of answers: objects, lists, tables, metadata alone, and watch events of each.

An object is encoded once per version and a watch event once per form, however many watchers see it.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/response.go and watch.go.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import protobuf_encoding, transcoding
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.negotiation import JSON, META_V1, PROTOBUF, Form
from kubelab.cluster.apiserver.registry import Page, WatchedEvent
from kubelab.cluster.apiserver.versions import Version, encode, total_bytes
from kubelab.cluster.objects import Object

_PIECE_BYTES = 64 * 1024
_LIST_END = b"]}"
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class View:
    """How one client sees a kind: `include` (of a table's rows) is None, Metadata or Object; `meta_version`
    is the apiVersion of tables and of metadata alone.

    Events are made in the *media_type*, all else as JSON.
    """

    kind: Kind
    form: Form
    now: datetime
    include: str = "Metadata"
    media_type: str = JSON
    meta_version: str = META_V1

    def one(self, version: Version) -> bytes:
        if self.form is Form.TABLE:
            return encode(self._table([version], {"resourceVersion": str(version.revision)}))
        if self.form is Form.PARTIAL:
            return encode(self.partial(version.object))
        return version.json

    def many(self, page: Page) -> bytes:
        if self.form is Form.OBJECT:
            return b"".join(self.listed(page))
        metadata = _list_metadata(page)
        if self.form is Form.TABLE:
            return encode(self._table(page.versions, metadata))
        return encode(self.partial_list([version.object for version in page.versions], metadata))

    def listed(self, page: Page) -> "Listed":
        """Return the list of whole objects as it is written piece by piece."""
        head = {"kind": self.kind.list_kind, "apiVersion": self.kind.resource.api_version}
        begin = b'%b,"metadata":%b,"items":[' % (encode(head)[:-1], encode(_list_metadata(page)))
        return Listed(begin, page.versions)

    def _table(self, versions: Sequence[Version], metadata: Object, *, definitions: bool = True) -> Object:
        return self.table([version.object for version in versions], metadata, definitions=definitions)

    def table(self, objects: Sequence[Object], metadata: Object, *, definitions: bool = True) -> Object:
        columns = [column.definition() for column in self.kind.columns] if definitions else None
        return {
            "kind": "Table",
            "apiVersion": self.meta_version,
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": [self._row(obj) for obj in objects],
        }

    def partial_list(self, objects: Sequence[Object], metadata: Object) -> Object:
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": self.meta_version}
        return kind | {"metadata": metadata, "items": [self.partial(obj) for obj in objects]}

    def partial(self, obj: Object) -> Object:
        kind = {"kind": "PartialObjectMetadata", "apiVersion": self.meta_version}
        return kind | {"metadata": obj["metadata"]}

    def _row(self, obj: Object) -> Object:
        row: Object = {"cells": self.kind.cells(obj, self.now)}
        if self.include != "None":
            row["object"] = obj if self.include == "Object" else self.partial(obj)
        return row

    def event(self, event: WatchedEvent, *, first: bool) -> bytes:
        """Return *event* as a line or a frame; only the first of a table's carries its columns."""
        if self.form is Form.TABLE and first:
            return self._line(event.type, encode(self._table([event.version], {})))
        key = f"{self.form}/{self.meta_version}/{self.include}/{self.media_type}"
        if key not in event.forms:
            event.forms[key] = self._line(event.type, self._event_object(event.version))
        return event.forms[key]

    def _event_object(self, version: Version) -> bytes:
        if self.form is Form.TABLE:
            return encode(self._table([version], {}, definitions=False))
        return version.json if self.form is Form.OBJECT else encode(self.partial(version.object))

    def bookmark(self, revision: int, *, initial_events_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial_events_end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        resource = self.kind.resource
        obj: Object = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self.form is Form.TABLE:
            row = {"cells": [], "object": self.partial(obj)}
            obj = self._table([], {"resourceVersion": str(revision)}, definitions=False) | {"rows": [row]}
        elif self.form is not Form.OBJECT:
            obj = self.partial(obj)
        return self._line("BOOKMARK", encode(obj))

    def error(self, status: Object) -> bytes:
        return self._line("ERROR", encode(status))

    def _line(self, type_: str, encoded: bytes) -> bytes:
        if self.media_type == PROTOBUF:
            document = transcoding.transcoded(encoded, PROTOBUF, self.kind)
            return protobuf_encoding.watch_frame(type_, document)
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), encoded)


class Listed:
    """A list that may be long: it is not put together as a whole, which would be in memory several times."""

    __slots__ = ("_begin", "_versions", "size_bytes")

    def __init__(self, begin: bytes, versions: Sequence[Version]) -> None:
        self._begin = begin
        self._versions = versions
        commas = max(0, len(versions) - 1)
        self.size_bytes = len(begin) + total_bytes(versions) + commas + len(_LIST_END)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the list in pieces of some `_PIECE_BYTES`."""
        before, waiting, size = self._begin, [], 0
        for version in self._versions:
            waiting.append(version.json)
            size += len(version.value)
            if size >= _PIECE_BYTES:
                yield before + b",".join(waiting)
                before, waiting, size = b",", [], 0
        yield (before if waiting else before.rstrip(b",")) + b",".join(waiting) + _LIST_END


def _list_metadata(page: Page) -> Object:
    metadata: Object = {"resourceVersion": str(page.revision)}
    if page.continue_:
        metadata["continue"] = page.continue_
        metadata |= {} if page.remaining is None else {"remainingItemCount": page.remaining}
    return metadata


def deleted_status(kind: Kind, obj: Object) -> Object:
    """Return what the deletion of most kinds answers with."""
    details: dict[str, Any] = {"name": obj["metadata"]["name"], "group": kind.resource.group}
    details |= {"kind": kind.resource.plural, "uid": obj["metadata"]["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
