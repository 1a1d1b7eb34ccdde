"""The store stays whole: whoever dies in the middle, whoever else uses it, whatever is removed."""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from image_files import directory, everything, made, tar, write_archive

from kubelab.cluster.images import index
from kubelab.cluster.images.content import Content
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.store import ImageStore

BASE = tar([directory("d"), *((f"d/{number}", os.urandom(500)) for number in range(300))])
ONE, TWO = made([BASE, tar([("one", b"1")])]), made([BASE, tar([("two", b"2")])])
LOADS = """
import asyncio, os, sys
from pathlib import Path
from kubelab.cluster.images.store import ImageStore

async def main():
    while True:
        store = ImageStore.open(Path(sys.argv[1]))
        for archive, name in ((sys.argv[2], "one:1"), (sys.argv[3], "two:1")):
            await store.load(Path(archive))
            await store.remove(name)

for _ in sys.stdin:
    if not (child := os.fork()):
        asyncio.run(main())
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
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
async def test_what_was_found_is_looked_for_again_when_others_have_changed_the_store(store, tmp_path):
    other = ImageStore.open(store.path)
    await other.load(write_archive(tmp_path / "one.tar", ONE, "image:1"))
    before = await store.find("image:1")
    await other.load(write_archive(tmp_path / "two.tar", TWO, "image:1"))
    after = await store.find("image:1")
    assert (before.id in ONE.blobs, after.id in TWO.blobs) == (True, True)
    await other.remove("image:1")
    with pytest.raises(ImageError):
        await store.find("image:1")


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
    path = tmp_path / "store"
    one = write_archive(tmp_path / "one.tar", ONE, "one:1")
    two = write_archive(tmp_path / "two.tar", TWO, "two:1")
    arguments = ["-I", "-c", LOADS, str(path), str(one), str(two)]
    async with started(sys.executable, *arguments) as (stdin, stdout):
        for _ in range(15):
            stdin.write(b"\n")
            child = int(await stdout.readline())
            await asyncio.sleep(chance.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
            assert await stdout.readline() == b"gone\n"
            check(path)
    store = ImageStore.open(path)
    await store.load(one)
    assert list((path / "tmp").iterdir()) == []


@asynccontextmanager
async def started(*argv: str) -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.stdin.close()
        await process.wait()


def check(path: Path) -> None:
    """Every layer that has a name has all its files, whether or not garbage was collected."""
    if not (path / "layers").exists():
        return
    sizes = {len(list(layer.rglob("*"))) for layer in (path / "layers").iterdir()}
    assert sizes <= {1, 301}
    store = ImageStore.open(path)
    assert list((path / "tmp").iterdir()) == []
    for name in index.read(path):
        assert all((path / "layers" / each.diff_id[7:]).is_dir() for each in store.resolve(name).layers)


async def test_who_looks_for_an_image_is_not_held_up_by_who_has_the_store_locked(store):
    """The lab's own is written when it is first looked for; the loop goes on until the store is free."""
    with Content(store.path).locked():
        looking = asyncio.create_task(store.find("kubelab/web:1"))
        done, _ = await asyncio.wait({looking}, timeout=0.05)
        assert not done
    assert await looking == store.resolve("kubelab/web:1") == await store.find("kubelab/web:1")
    with pytest.raises(ImageError):
        await store.find("nothing:1")
