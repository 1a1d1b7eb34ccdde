"""A long list is written piece by piece, and is as long as its head says."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver.forms import Listed
from kubelab.cluster.apiserver.versions import Version, VersionCache, encode
from kubelab.cluster.store.requests import KeyValue

PIECE_BYTES = 64 * 1024
SIZES = st.lists(st.sampled_from([0, 1, PIECE_BYTES // 2, PIECE_BYTES, 2 * PIECE_BYTES]), max_size=9)
REVISIONS = st.sampled_from([1, 9, 10, 99_999])


def value(size: int) -> bytes:
    return encode({"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"text": "x" * size}})


@given(SIZES, st.data())
def test_its_pieces_are_the_list(sizes: list[int], data: st.DataObject) -> None:
    versions = [Version(value(size), data.draw(REVISIONS)) for size in sizes]
    listed = Listed(b'{"items":[', versions)
    written = b"".join(listed)
    assert len(written) == listed.size_bytes
    items = json.loads(written)["items"]
    assert [len(each["data"]["text"]) for each in items] == sizes
    assert [each["metadata"]["resourceVersion"] for each in items] == [
        str(each.revision) for each in versions
    ]
    assert [json.loads(each.json) for each in versions] == items


def test_readers_of_the_newest_share_one_version() -> None:
    cache, kvs = VersionCache(), [KeyValue(b"a", value(1), 1, 1, 1), KeyValue(b"b", value(2), 2, 2, 1)]
    first, again = cache.all_of(kvs), cache.all_of(kvs)
    assert [*map(id, first)] == [*map(id, again)] == [id(cache.of(each)) for each in kvs]
    older = KeyValue(b"b", value(0), 2, 1, 1)
    assert cache.all_of([older])[0].revision == 1
    assert cache.of(kvs[1]) is first[1]
