"""A machine's container gets at its image's layers, wherever the store lies, and nobody else on it does."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from ground import ground_at
from image_files import directory, entry, hard_link, made, symlink, tar, write_archive

import kubelab
from kubelab.cluster.images import overlay
from kubelab.cluster.images.layer import Whiteouts
from kubelab.cluster.images.store import ImageStore, Loan
from kubelab.cluster.linux.syscalls import mount, umount
from kubelab.cluster.machine.namespaced import NamespacedMachine

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

LAYERS = [
    tar(
        [
            *(directory(name) for name in ("a", "b", "c")),
            *((name, name.encode()) for name in ("a/kept", "a/gone", "b/hidden", "c/old", "again")),
            (entry("owned", uid=7, gid=8, mode=0o4755), b"x"),
            hard_link("linked", "owned"),
        ]
    ),
    tar([("a/.wh.gone", b""), directory("b"), ("b/.wh..wh..opq", b""), ("b/new", b"n"), (".wh.again", b"")]),
    tar([(".wh.c", b""), directory("c"), ("c/new", b"n"), symlink("link", "a/kept"), ("again", b"anew")]),
]
FILES = {
    "a/kept": "a/kept",
    "b/new": "n",
    "c/new": "n",
    "again": "anew",
    "owned": "x",
    "linked": "x",
    "link": "a/kept",
}
# A checkout below /tmp is out of a machine's sight.
SHOWN = "/opt/shown/kubelab"
CONTAINER = f"""
import json, os, sys
sys.path[:0] = ["/opt/shown", {str(Path(kubelab.__file__).parents[1])!r}]
from kubelab.cluster.images import overlay
from kubelab.cluster.linux import syscalls

place = "/run/kubelab/container"
syscalls.unshare(syscalls.CLONE_NEWNS)
overlay.attach(3)
os.makedirs(place, exist_ok=True)
syscalls.mount("container", place, "tmpfs")
for name in ("root", "upper", "work"):
    os.mkdir(f"{{place}}/{{name}}")
root = f"{{place}}/root"
overlay.mount_root(root, json.loads(sys.argv[1]), f"{{place}}/upper", f"{{place}}/work")
found = {{
    os.path.relpath(f"{{directory}}/{{name}}", root): open(f"{{directory}}/{{name}}").read()
    for directory, _, names in os.walk(root)
    for name in names
}}
status = os.stat(f"{{root}}/owned")
os.unlink(f"{{root}}/again")
open(f"{{root}}/a/kept", "w").write("changed")
kind = [line.split(" - ")[1].split()[0] for line in open("/proc/self/mountinfo") if f" {{root}} " in line]
facts = [status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_nlink, sorted(os.listdir(root))]
print(json.dumps([found, facts, kind]))
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def machine(tmp_path_factory) -> AsyncIterator[NamespacedMachine]:
    async with ground_at(tmp_path_factory.mktemp("lab") / "journal") as ground:
        yield await ground.machine("scratch", binds={SHOWN: Path(kubelab.__file__).parent})


@contextmanager
def overlaid(path: Path, depth: int) -> Iterator[Path]:
    """Yield a directory on an overlay, as a container's root is one, or on none, or on one on another."""
    if depth == 0:
        yield path
        return
    with overlaid(path, depth - 1) as lower:
        names = [path / f"{name}{depth}" for name in ("merged", "upper", "work")]
        for name in names:
            name.mkdir()
        merged, upper, work = names
        nested = lower if depth > 1 else path / "lower"
        nested.mkdir(exist_ok=True)
        mount("overlay", str(merged), "overlay", 0, f"lowerdir={nested},upperdir={upper},workdir={work}")
        try:
            yield merged
        finally:
            umount(str(merged))


async def run(machine: NamespacedMachine, script: str, loan: Loan) -> str:
    """Run the script on the machine with the lent mount as descriptor 3."""
    reading, writing = os.pipe()
    command = 'exec python3 -I -c "$0" "$1" 3<&0 </dev/null'
    process = await machine.spawn(
        ["sh", "-c", command, script, json.dumps(loan.lowers)], stdin=loan.fd, stdout=writing, stderr=writing
    )
    os.close(writing)
    with os.fdopen(reading) as output:
        text = await asyncio.to_thread(output.read)
    assert await process.wait() == 0, text
    return text


@pytest.mark.parametrize(
    ("depth", "kind"), [(0, "overlay"), (1, "overlay"), (2, "tmpfs")], ids=["disk", "overlay", "two overlays"]
)
async def test_a_container_has_the_image_as_its_root(machine, tmp_path, depth, kind):
    """Two overlays below are all that the kernel allows: then the root is a copy, on its tmpfs."""
    with overlaid(tmp_path, depth) as place:
        store = ImageStore.open(place / "store")
        (image,) = await store.load(write_archive(tmp_path / "image.tar", made(LAYERS), "three:1"))
        with await store.lend(image) as loan:
            found, facts, mounted = json.loads(await run(machine, CONTAINER, loan))
        assert found == FILES
        assert facts == [7, 8, 0o4755, 2, ["a", "b", "c", "link", "linked", "owned"]]
        assert mounted == [kind]
        files = store.path / ("layers" if depth == 0 else "flat")
        assert [path.read_bytes() for path in files.glob("*/a/kept")] == [b"a/kept"]


async def test_nothing_of_the_layers_is_seen_on_the_machine(machine, tmp_path):
    store = ImageStore.open(tmp_path / "store")
    (image,) = await store.load(write_archive(tmp_path / "image.tar", made(LAYERS), "three:1"))
    with await store.lend(image) as loan:
        await run(machine, CONTAINER, loan)
        seen = await run(machine, "print(open('/proc/self/mountinfo').read())", loan)
        listed = await run(machine, f"import os; print(os.listdir({overlay.PLACE!r}))", loan)
    assert overlay.PLACE not in seen
    assert listed == "[]\n"


async def test_many_layers_fit_into_one_mount(machine, tmp_path):
    """As many as there may be: their names are longer than a page, and are made shorter."""
    layers = [tar([(f"file{number}", b"x"), ("top", b"%d" % number)]) for number in range(200)]
    layers[0] = tar([(name, b"x") for name in ("owned", "again", "a/kept")])
    store = ImageStore.open(tmp_path / "store")
    (image,) = await store.load(write_archive(tmp_path / "image.tar", made(layers, ""), "many:1"))
    with await store.lend(image) as loan:
        found, _, mounted = json.loads(await run(machine, CONTAINER, loan))
    assert (found["top"], mounted) == ("199", ["overlay"])


@pytest.mark.parametrize("whiteouts", Whiteouts)
async def test_a_copy_shows_what_an_overlay_would(tmp_path, whiteouts):
    store = ImageStore.open(tmp_path / "store")
    store._content.whiteouts = whiteouts
    (image,) = await store.load(write_archive(tmp_path / "image.tar", made(LAYERS), "three:1"))
    merged = tmp_path / "merged"
    merged.mkdir()
    overlay.copy(
        [str(store.path / "layers" / each.diff_id[7:]) for each in reversed(image.layers)], str(merged)
    )
    assert {str(f.relative_to(merged)): f.read_text() for f in merged.rglob("*") if f.is_file()} == FILES
    assert (merged / "owned").samefile(merged / "linked")


IN_A_USER_NAMESPACE = f"""
import asyncio, json, os, sys
from pathlib import Path
sys.path.insert(0, {str(Path(kubelab.__file__).parents[1])!r})
from kubelab.cluster.images.store import ImageStore

async def lend():
    store = ImageStore.open(Path(sys.argv[2]))
    (image,) = await store.load(Path(sys.argv[3]))
    return await store.lend(image)

loan = asyncio.run(lend())
os.dup2(loan.fd, 3)
sys.argv[1] = json.dumps(loan.lowers)
"""


async def test_in_a_user_namespace_a_container_has_the_same_root(tmp_path):
    """Here root may set no trusted attribute; nobody's owners stay his own."""
    archive = write_archive(tmp_path / "image.tar", made(LAYERS), "three:1")
    # What `attach` mounts on is made in a /run of its own.
    fresh_run = "from kubelab.cluster.linux import syscalls\nsyscalls.mount('run', '/run', 'tmpfs')\n"
    script = IN_A_USER_NAMESPACE + fresh_run + CONTAINER
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", script),
        *("", str(tmp_path / "store"), str(archive)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    found, facts, mounted = json.loads(output)
    assert found == FILES
    assert facts[2:] == [0o4755, 2, ["a", "b", "c", "link", "linked", "owned"]]
    assert mounted == ["overlay"]
