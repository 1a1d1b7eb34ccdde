"""Images come out of files as they went in, or are refused with nothing left in the store."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import (
    ARCHITECTURE,
    OCI,
    Made,
    described,
    directory,
    docker_save,
    entry,
    everything,
    hard_link,
    layout_files,
    made,
    sha256,
    symlink,
    tar,
    with_manifest,
    write_archive,
    write_layout,
)

from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.store import ImageStore

BASE = tar([directory("etc"), ("etc/a", b"1"), ("etc/b", b"2" * 5000)])
TOP = tar([("etc/.wh.a", b""), ("etc/c", b"3")])
NAME = "docker.io/library/hello:1"


def hello(packing: str = "+gzip") -> Made:
    return made([BASE, TOP], packing, Env=["A=1"], WorkingDir="/etc", Entrypoint=["sh"], User="7:8")


def contents(store: ImageStore, name: str = NAME) -> list[dict[str, bytes]]:
    """Return the files of each layer, the lowest first."""
    roots = [store.path / "layers" / layer.diff_id[7:] for layer in store.resolve(name).layers]
    return [{str(f.relative_to(r)): f.read_bytes() for f in r.rglob("*") if f.is_file()} for r in roots]


EXPECTED = [{"etc/a": b"1", "etc/b": b"2" * 5000}, {"etc/c": b"3"}]


@pytest.mark.parametrize("packing", ["", "+gzip", "+zstd"])
async def test_an_oci_layout_is_loaded_however_its_layers_are_packed(store, tmp_path, packing):
    (image,) = await store.load(write_layout(tmp_path / "layout", hello(packing), "hello:1"))
    assert image.reference == NAME
    assert contents(store) == EXPECTED
    assert image.config.argv == ("sh", "sh")
    assert (image.config.env, image.config.working_dir, image.config.user) == (("A=1",), "/etc", "7:8")
    assert [step.created_by for step in store.history(NAME)] == ["layer 0", "layer 1", "CMD sh"]
    assert [step.layer for step in store.history(NAME)] == [*image.layers, None]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
async def test_an_oci_archive_is_loaded_packed_or_not(store, tmp_path, pack):
    path = write_archive(tmp_path / "hello.tar", hello(), "hello:1")
    path.write_bytes(pack(path.read_bytes()))
    await store.load(path)
    assert contents(store) == EXPECTED


async def test_what_old_docker_saves_is_loaded_layers_that_are_links_included(store, tmp_path):
    (tmp_path / "d.tar").write_bytes(docker_save(made([BASE, TOP, BASE], ""), "hello:1"))
    (image,) = await store.load(tmp_path / "d.tar")
    assert contents(store) == [*EXPECTED, EXPECTED[0]]
    assert image.layers[0] == image.layers[2]


async def test_what_new_docker_saves_is_loaded_by_its_index(store, tmp_path):
    image = hello()
    files = layout_files(image, "")
    names = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1"}
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json"}
    files["index.json"] = json.dumps(
        index | {"manifests": [{**image.manifest, "annotations": names}]}
    ).encode()
    files["manifest.json"] = b'[{"Config": "blobs/sha256/nothing", "RepoTags": null, "Layers": []}]'
    (tmp_path / "d.tar").write_bytes(tar(files.items()))
    (found,) = await store.load(tmp_path / "d.tar")
    assert found.reference == NAME


async def test_the_same_image_has_the_same_id_from_every_kind_of_file(store, tmp_path):
    image = made([BASE, TOP], "")
    (tmp_path / "docker.tar").write_bytes(docker_save(image, "a:1"))
    (a,) = await store.load(tmp_path / "docker.tar")
    (b,) = await store.load(write_archive(tmp_path / "oci.tar", image, "b:1"))
    assert a.id == b.id
    assert a.layers[0].diff_id == b.layers[0].diff_id


async def test_of_several_platforms_this_machines_is_taken(store, tmp_path):
    mine, other = hello(), made([tar([("other", b"")])])
    manifests = [
        {**other.manifest, "platform": {"os": "linux", "architecture": "mips"}},
        {**mine.manifest, "platform": {"os": "linux", "architecture": ARCHITECTURE}},
    ]
    nested = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": manifests}
    image = with_manifest(nested, [*mine.blobs.values()], {}, [])
    await store.load(write_archive(tmp_path / "a.tar", image, "hello:1"))
    assert contents(store) == EXPECTED
    reopened = ImageStore.open(store.path)  # What the index leads to is no garbage.
    assert contents(reopened) == EXPECTED


async def test_an_image_without_a_name_is_called_as_told_or_as_its_file(store, tmp_path):
    path = write_archive(tmp_path / "greeting.tar", hello(), "")
    assert (await store.load(path))[0].reference == "docker.io/library/greeting:latest"
    assert (await store.load(path, name="x/y:z"))[0].reference == "docker.io/x/y:z"


def replaced(image: Made, old: bytes, new: bytes) -> dict[str, bytes]:
    """Return the files of a layout in which a blob has other content than its name says."""
    files = layout_files(image, "hello:1")
    name = f"blobs/sha256/{sha256(old)[7:]}"
    assert name in files
    return files | {name: new}


def with_config(**changes: object) -> dict[str, bytes]:
    """Return the files of an image whose config says something else."""
    image = hello()
    config = json.dumps({**image.config, **changes}).encode()
    manifest = json.loads(image.blobs[str(image.manifest["digest"])])
    manifest["config"] = described(config, f"{OCI}.config.v1+json")
    return layout_files(with_manifest(manifest, [*image.blobs.values(), config], {}, []), "hello:1")


def with_index(**changes: object) -> dict[str, bytes]:
    files = layout_files(hello(), "hello:1")
    return files | {"index.json": json.dumps(json.loads(files["index.json"]) | changes).encode()}


def changed_manifest(**changes: object) -> dict[str, bytes]:
    image = hello()
    manifest = json.loads(image.blobs[str(image.manifest["digest"])]) | changes
    return layout_files(with_manifest(manifest, [*image.blobs.values()], {}, []), "hello:1")


def wrong_length() -> dict[str, bytes]:
    image = hello()
    manifest = json.loads(image.blobs[str(image.manifest["digest"])])
    manifest["layers"][0]["size"] += 1
    return layout_files(with_manifest(manifest, [*image.blobs.values()], {}, []), "hello:1")


def without_blob(old: bytes) -> dict[str, bytes]:
    files = layout_files(hello(), "hello:1")
    del files[f"blobs/sha256/{sha256(old)[7:]}"]
    return files


LAYER = gzip.compress(BASE, mtime=0)
BAD = {
    "a layer with other content": lambda: replaced(hello(), LAYER, gzip.compress(TOP)),
    "a layer that is cut off": lambda: replaced(hello(), LAYER, LAYER[:-10]),
    "a layer that is missing": lambda: without_blob(LAYER),
    "a layer that is cut off and says so": lambda: layout_files(made([BASE[:-4000]], ""), "hello:1"),
    "another diff id": lambda: with_config(
        rootfs={"type": "layers", "diff_ids": [sha256(b"1"), sha256(b"2")]}
    ),
    "more diff ids than layers": lambda: with_config(
        rootfs={"type": "layers", "diff_ids": [sha256(b"1")] * 3}
    ),
    "a diff id that is a path": lambda: with_config(
        rootfs={"type": "layers", "diff_ids": ["sha256:../../../../../../tmp/x", sha256(b"2")]}
    ),
    "a layer that is longer than it says": wrong_length,
    "no config": lambda: changed_manifest(config=None),
    "a config of another kind": lambda: changed_manifest(
        config=described(b"{}", "application/vnd.cncf.helm.config.v1+json")
    ),
    "a thousand layers": lambda: changed_manifest(layers=[described(b"", f"{OCI}.layer.v1.tar")] * 1000),
    "a negative size": lambda: changed_manifest(layers=[described(b"", f"{OCI}.layer.v1.tar", size=-1)]),
    "another schema": lambda: changed_manifest(schemaVersion=1),
    "a manifest that is an index too": lambda: changed_manifest(manifests=[]),
    "an index of nothing": lambda: with_index(manifests=[]),
    "an index of ten thousand": lambda: with_index(manifests=[described(b"", "")] * 10_000),
    "an index that is no object": lambda: layout_files(hello(), "a") | {"index.json": b"[]"},
    "an index that is no JSON": lambda: layout_files(hello(), "a") | {"index.json": b"{"},
    "an index nested beyond measure": lambda: layout_files(hello(), "a") | {"index.json": b"[" * 100_000},
    "an index with a name twice": lambda: (
        layout_files(hello(), "a") | {"index.json": b'{"schemaVersion": 2, "manifests": [], "manifests": []}'}
    ),
    "no index": lambda: {"hello": b"world"},
}


@pytest.mark.parametrize("files", BAD.values(), ids=BAD)
@pytest.mark.parametrize("kind", ["archive", "directory"])
async def test_a_forged_or_damaged_image_is_refused_and_leaves_nothing(store, tmp_path, files, kind):
    before = everything(store.path)
    path = tmp_path / "bad"
    if kind == "archive":
        path.write_bytes(tar(files().items()))
    else:
        for name, content in files().items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    with pytest.raises(ImageError) as refusal:
        await store.load(path)
    assert everything(store.path) == before
    for sentence in (refusal.value.sentence.es, refusal.value.sentence.en):
        assert sentence.isprintable()
        assert len(sentence) < 500


async def test_a_layer_that_tries_to_get_out_leaves_nothing(store, tmp_path):
    before = everything(store.path)
    for bad in ([hard_link("l", "/etc/passwd")], [("../x", b"")], [entry("d", tarfile.BLKTYPE)]):
        path = write_archive(tmp_path / "bad.tar", made([BASE, tar(bad)]), "hello:1")
        with pytest.raises(ImageError):
            await store.load(path)
        assert everything(store.path) == before


async def test_an_archive_with_the_same_name_twice_or_with_a_device_is_refused(store, tmp_path):
    files = list(layout_files(hello(), "hello:1").items())
    odd = [
        [*files, files[0]],
        [*files, entry("blobs/null", tarfile.CHRTYPE)],
        [*files, ("../../evil", b"x")],
        [symlink("index.json", "/etc/passwd"), ("oci-layout", b"{}")],
    ]
    before = everything(store.path)
    for items in odd:
        (tmp_path / "bad.tar").write_bytes(tar(items))
        with pytest.raises(ImageError):
            await store.load(tmp_path / "bad.tar")
        assert everything(store.path) == before


@pytest.mark.parametrize("packing", ["+gzip", "+zstd"])
async def test_a_bomb_is_stopped_before_it_fills_the_disk(store, tmp_path, monkeypatch, packing):
    monkeypatch.setattr("kubelab.cluster.images.content.UNPACKED_BYTES_MAX", 1 << 20)
    path = write_archive(tmp_path / "bomb.tar", made([tar([("zeros", bytes(20 << 20))])], packing), "a:1")
    before = everything(store.path)
    with pytest.raises(ImageError) as refusal:
        await store.load(path)
    assert "1 MiB" in refusal.value.sentence.en
    assert everything(store.path) == before


async def test_a_disk_that_is_nearly_full_is_not_filled(store, tmp_path, monkeypatch):
    monkeypatch.setattr("kubelab.cluster.images.content.FREE_BYTES_MIN", 1 << 60)
    monkeypatch.setattr("kubelab.cluster.images.content._CHECK_EVERY_BYTES", 1 << 10)
    path = write_archive(tmp_path / "a.tar", hello(), "a:1")
    before = everything(store.path)
    with pytest.raises(ImageError, match="kubelab image rm"):
        await store.load(path)
    assert everything(store.path) == before


EXAMPLES = int(os.environ.get("KUBELAB_EXAMPLES", "40"))
RICH = tar(
    [
        directory("etc", mode=0o1777, uid=5),
        (entry("etc/f", pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.5"}), b"content" * 100),
        symlink("link", "etc"),
        ("link/through", b"x"),
        hard_link("hard", "etc/f"),
        ("d" * 90 + "/" + "n" * 120, b"long"),
        (".wh.gone", b""),
        ("etc/.wh..wh..opq", b""),
        entry("fifo", tarfile.FIFOTYPE),
    ]
)
GOOD = tar(layout_files(made([BASE, TOP]), "hello:1").items())


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_any_change_to_a_good_archive_is_loaded_or_refused_with_nothing_left(store, tmp_path, data):
    changed = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "zero", "copy"])):
            case "flip":
                changed[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del changed[at : at + data.draw(st.integers(1, 2000))]
            case "insert":
                changed[at:at] = data.draw(st.binary(min_size=1, max_size=600))
            case "zero":
                changed[at : at + 512] = bytes(len(changed[at : at + 512]))
            case "copy":
                changed[at:at] = changed[: data.draw(st.integers(1, 3000))]
        if not changed:
            return
    await loads_or_leaves_nothing(store, tmp_path, bytes(changed))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_any_change_to_a_layer_itself_is_loaded_or_refused_with_nothing_left(store, tmp_path, data):
    """The digests are right here: only what the layer holds is wild."""
    wild = bytearray(RICH)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(wild) // 512 - 1)) * 512 + data.draw(st.integers(0, 511))
        wild[at] = data.draw(st.integers(0, 255))
        block = at // 512 * 512
        if wild[block + 257 : block + 262] == b"ustar" and data.draw(st.booleans()):
            bare = wild[block : block + 148] + b" " * 8 + wild[block + 156 : block + 512]
            wild[block + 148 : block + 156] = b"%06o\0 " % sum(bare)
    archive = tar(layout_files(made([BASE, bytes(wild)]), "hello:1").items())
    await loads_or_leaves_nothing(store, tmp_path, archive)


async def loads_or_leaves_nothing(store: ImageStore, tmp_path: Path, archive: bytes) -> None:
    (tmp_path / "changed.tar").write_bytes(archive)
    try:
        loaded = await store.load(tmp_path / "changed.tar")
    except ImageError:
        assert everything(store.path) - {"index.json", "oci-layout"} == set()
    else:
        for image in loaded:
            await store.remove(image.reference)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["changed.tar", "store"]
