"""One version of an object: its bytes are the store's own, and it is decoded once, however many ask for it.

The store keeps an object without its resource version, which is the revision of its own write. Whatever is
served carries it: spliced into the encoded form just behind `"metadata":{`, put into the decoded one.
"""

from collections.abc import Iterable, Sequence

import msgspec

from kubelab.cluster.objects import Object
from kubelab.cluster.store.requests import KeyValue

_METADATA = b'"metadata":{'
_VERSION = b'"resourceVersion":"%d",'
_VERSIONED = _METADATA + _VERSION
_OWNED_KEPT = 1024
_owned: dict[bytes, Object] = {}  # Sets of fields by their encoded form.
_decode = msgspec.json.Decoder(type=dict).decode
encode = msgspec.json.Encoder().encode


def stored_form(obj: Object) -> bytes:
    """Return *obj* as the store keeps it. Its keys must be in the order of `lifecycle.ordered`."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return encode(obj | {"metadata": metadata})


def copied(obj: Object) -> Object:
    """Return *obj* anew through its encoded form: 12 us for a pod, where `copy.deepcopy` takes 78."""
    copy: Object = _decode(encode(obj))
    return copy


def _share_owners(entries: Iterable[Object]) -> None:
    """Let like objects share what their managers own: pods of one template do, and it is half of a pod."""
    for entry in entries:
        fields = entry.get("fieldsV1")
        if fields:
            if len(_owned) >= _OWNED_KEPT:
                _owned.clear()
            entry["fieldsV1"] = _owned.setdefault(encode(fields), fields)


class Version:
    """An object at one revision; treat `object` as frozen."""

    __slots__ = ("_object", "revision", "value")

    def __init__(self, value: bytes, revision: int) -> None:
        self.value = value
        self.revision = revision
        self._object: Object | None = None

    @property
    def json(self) -> bytes:
        """Made anew each time: 0.5 us, where to keep it would double the memory of each object."""
        return self.value.replace(_METADATA, _VERSIONED % self.revision, 1)

    @property
    def object(self) -> Object:
        if self._object is None:
            decoded: Object = _decode(self.value)
            decoded["metadata"]["resourceVersion"] = str(self.revision)
            _share_owners(decoded["metadata"].get("managedFields") or ())
            self._object = decoded
        return self._object


def total_bytes(versions: Sequence[Version]) -> int:
    """Return how long the `json` of all *versions* is together."""
    values = sum(map(len, [each.value for each in versions]))
    revisions = sum(map(len, map(str, [each.revision for each in versions])))
    return values + revisions + len(versions) * (len(_VERSION) - len(b"%d"))


class VersionCache:
    """The newest version of each key, so that readers share one decoded form."""

    def __init__(self) -> None:
        self._newest: dict[bytes, Version] = {}

    def peek(self, kv: KeyValue) -> Version:
        """Return the shared version for *kv* if there is one, else a fresh one that is not kept."""
        cached = self._newest.get(kv.key)
        if cached is not None and cached.revision == kv.mod_revision:
            return cached
        return Version(kv.value, kv.mod_revision)

    def of(self, kv: KeyValue) -> Version:
        """Return the shared version for *kv*, which was read as the newest."""
        return self.put(kv.key, self.peek(kv))

    def all_of(self, kvs: Iterable[KeyValue]) -> list[Version]:
        """Return what `of` does for each of *kvs*, a thousand perhaps."""
        newest, versions = self._newest, []
        for kv in kvs:
            version = newest.get(kv.key)
            if version is None or version.revision != kv.mod_revision:
                version = self.of(kv)
            versions.append(version)
        return versions

    def put(self, key: bytes, version: Version) -> Version:
        """Keep *version* unless a newer one is known."""
        cached = self._newest.get(key)
        if cached is None or cached.revision < version.revision:
            self._newest[key] = version
        return version

    def forget(self, key: bytes) -> None:
        self._newest.pop(key, None)

    def forget_before(self, key: bytes, revision: int) -> None:
        """Forget what *key* was before *revision*, at which it was deleted."""
        cached = self._newest.get(key)
        if cached is not None and cached.revision < revision:
            del self._newest[key]
