"""The store stays whole: whoever dies in the middle, whoever else uses it, whatever is removed."""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from conftest import everything
from image_files import directory, made, tar, write_archive

from kubelab.cluster.images import index
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.store import ImageStore

BASE = tar([directory("d"), *((f"d/{number}", os.urandom(500)) for number in range(300))])
ONE, TWO = made([BASE, tar([("one", b"1")])]), made([BASE, tar([("two", b"2")])])
LOADS = """
import asyncio, sys
from pathlib import Path
from kubelab.cluster.images.store import ImageStore

async def main():
    while True:
        store = ImageStore.open(Path(sys.argv[1]))
        print("begin", flush=True)
        for archive, name in ((sys.argv[2], "one:1"), (sys.argv[3], "two:1")):
            await store.load(Path(archive))
            await store.remove(name)

asyncio.run(main())
"""


def layers(store: ImageStore) -> int:
    return len(list((store.path / "layers").iterdir()))


async def test_removing_an_image_removes_only_the_layers_that_no_other_uses(store, tmp_path):
    await store.load(write_archive(tmp_path / "one.tar", ONE, "one:1"))
    await store.load(write_archive(tmp_path / "two.tar", TWO, "two:1"))
    assert layers(store) == 3
    await store.remove("one:1")
    assert layers(store) == 2
    assert store.resolve("two:1").id in TWO.blobs
    with pytest.raises(ImageError):
        store.resolve("one:1")
    await store.remove("two:1")
    assert everything(store.path) == {"index.json", "oci-layout"}


async def test_an_image_of_two_names_goes_with_the_last_or_by_its_id(store, tmp_path):
    path = write_archive(tmp_path / "one.tar", ONE, "one:1")
    await store.load(path)
    await store.load(path, name="also:1")
    await store.remove("one:1")
    image = store.resolve("also:1")
    assert store.resolve(image.id) == image
    await store.load(path)
    await store.remove(image.id)
    assert layers(store) == 0


async def test_the_store_itself_is_an_oci_layout(store, tmp_path):
    await store.load(write_archive(tmp_path / "one.tar", ONE, "one:1"))
    other = ImageStore.open(tmp_path / "other")
    (copied,) = await other.load(store.path)
    assert copied == store.resolve("one:1")


async def test_what_another_process_brings_is_seen_at_once(store, tmp_path):
    other = ImageStore.open(store.path)
    await other.load(write_archive(tmp_path / "one.tar", ONE, "one:1"))
    assert store.resolve("one:1") == other.resolve("one:1")


@pytest.mark.root
async def test_an_image_in_use_is_not_removed_nor_is_it_garbage(store, tmp_path):
    await store.load(write_archive(tmp_path / "one.tar", ONE, "one:1"))
    other = ImageStore.open(store.path)
    with await store.lend(store.resolve("one:1")) as loan:
        assert len(loan.lowers) == 2
        with pytest.raises(ImageError, match=r"in use|en uso"):
            await other.remove("one:1")
        (store.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
        other.collect()
        assert layers(store) == 2
    other.collect()
    assert layers(store) == 0


async def test_nothing_that_is_on_its_way_is_garbage(store, tmp_path):
    with store._content.busy(), store._content.temporary() as unfinished:
        ImageStore.open(store.path)
        assert unfinished.exists()


@pytest.mark.parametrize("part", ["document", "layer"])
async def test_what_is_damaged_loses_its_name_and_can_be_brought_anew(store, tmp_path, part):
    path = write_archive(tmp_path / "one.tar", ONE, "one:1")
    (image,) = await store.load(path)
    if part == "document":
        (store.path / "blobs/sha256" / image.id[7:]).write_bytes(b"{}")
    else:
        shutil.rmtree(store.path / "layers" / image.layers[0].diff_id[7:])
    reopened = ImageStore.open(store.path)
    with pytest.raises(ImageError, match=r"image pull"):
        reopened.resolve("one:1")
    assert await reopened.load(path) == (image,)
    assert layers(reopened) == 2


async def test_killed_at_any_point_it_leaves_a_valid_store(tmp_path):
    """Another process loads and removes without end; after each SIGKILL all that has a name is whole."""
    chance = random.Random(4)
    one = write_archive(tmp_path / "one.tar", ONE, "one:1")
    two = write_archive(tmp_path / "two.tar", TWO, "two:1")
    for _ in range(4):
        path = tmp_path / "store"
        arguments = ["-I", "-c", LOADS, str(path), str(one), str(two)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        check(path)
    store = ImageStore.open(tmp_path / "store")
    await store.load(one)
    assert list((store.path / "tmp").iterdir()) == []


def check(path: Path) -> None:
    """Every layer that has a name has all its files, whether or not garbage was collected."""
    sizes = {len(list(layer.rglob("*"))) for layer in (path / "layers").iterdir()}
    assert sizes <= {1, 301}
    store = ImageStore.open(path)
    assert list((path / "tmp").iterdir()) == []
    for name in index.read(path):
        assert all((path / "layers" / each.diff_id[7:]).is_dir() for each in store.resolve(name).layers)
