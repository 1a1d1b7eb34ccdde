"""An OCI image layout that a learner builds by hand: digests, and what the lab's own loader says of it."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator

import pytest
from observed import SCOPE, found
from scratch_lab import ScratchLab

from kubelab.cluster.machine.machine import Machine
from kubelab.language import Text
from kubelab.lessons.answering import ask
from kubelab.lessons.checks.image_layout import LayoutAt, LayoutSeen
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import Observation, Unseen
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK
WHOLE = LayoutSeen(blobs=4, layers=2, command="sleep infinity")
PARTS = LayoutSeen(blobs=1, refusal=Text("no hay índice", "there is no index"))
QUESTION = LayoutAt("lab", "/srv/image")
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def seen(answer: LayoutSeen | Unseen) -> Observation:
    return Observation(answers={LayoutAt(SCOPE.machine, "/srv/image"): answer})


@pytest.mark.parametrize(
    ("keys", "answer", "verdict", "observed"),
    [
        ("", WHOLE, PASSED, "it loads: layers: 2; command: “sleep infinity”"),
        ("layers: {eq: 2}", WHOLE, PASSED, "it loads"),
        ("layers: {ge: 3}", WHOLE, NOT_YET, "layers: 2"),
        ("command: sleep 5", WHOLE, NOT_YET, "command: “sleep infinity”"),
        ("", PARTS, NOT_YET, "there is no index"),
        ("layers: {eq: 0}", PARTS, NOT_YET, "there is no index"),
        ("blobs: {ge: 1}", PARTS, PASSED, "blobs: 1"),
        ("blobs: {ge: 2}", PARTS, NOT_YET, "blobs: 1"),
        ("blobs: {ge: 1}", LayoutSeen(1, ("layer.tar",)), NOT_YET, "the name of layer.tar is not its sha256"),
        ("", LayoutSeen(4, ("layer.tar",), layers=1), NOT_YET, "layer.tar"),
        ("", Unseen(Text("no", "it is too large")), CANNOT, "it is too large"),
    ],
)
def test_a_layout_is_judged_by_its_digests_and_by_the_loader(
    keys: str, answer: LayoutSeen | Unseen, verdict: Verdict, observed: str
) -> None:
    finding = found(f"{{image-layout: /srv/image, {keys}}}", seen(answer))
    assert finding.verdict is verdict
    assert observed in finding.observed.en


def test_where_no_directory_is_it_is_not_yet() -> None:
    finding = found("{image-layout: /srv/image}", seen(LayoutSeen(is_there=False)))
    assert (finding.verdict, finding.observed.en) == (NOT_YET, "there is no directory there")


def test_a_misspelt_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(LessonError, match="layers"):
        found("{image-layout: /srv/image, layer: {eq: 2}}", seen(WHOLE))


def layer(**files: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def descriptor(kind: str, content: bytes) -> dict[str, object]:
    media_type = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media_type, "digest": f"sha256:{digest(content)}", "size": len(content)}


def layout(*layers: bytes) -> dict[str, bytes]:
    """Return the files of a layout with one image of these layers."""
    diff_ids = [f"sha256:{digest(each)}" for each in layers]
    runs = {"Cmd": ["sleep", "infinity"]}
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps(
        {"architecture": ARCHITECTURE, "os": "linux", "config": runs, "rootfs": rootfs}
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": descriptor("config.v1+json", config),
            "layers": [descriptor("layer.v1.tar", each) for each in layers],
        }
    ).encode()
    index = {"schemaVersion": 2, "manifests": [descriptor("manifest.v1+json", manifest)]}
    blobs = {f"blobs/sha256/{digest(each)}": each for each in (*layers, config, manifest)}
    return {
        **blobs,
        "index.json": json.dumps(index).encode(),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }


@pytest.fixture
async def place(lab: ScratchLab) -> AsyncIterator[Machine]:
    async with lab.scratch("lab") as machine:
        yield machine


async def put(machine: Machine, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        await machine.write_file(f"/srv/image/{name}", content)


async def look(lab: ScratchLab) -> LayoutSeen:
    answer = await ask(QUESTION, lab)
    assert isinstance(answer, LayoutSeen)
    return answer


@pytest.mark.root
async def test_a_learners_layout_is_loaded_by_the_labs_own_loader(place: Machine, lab: ScratchLab) -> None:
    """From nothing to a whole image, to one of which a blob was changed afterwards."""
    assert await ask(QUESTION, lab) == LayoutSeen(is_there=False)
    files = layout(layer(motd="one"), layer(motd="two"))
    blob = f"blobs/sha256/{digest(layer(motd='one'))}"

    await put(place, {blob: files[blob]})
    parts = await look(lab)
    assert parts.refusal is not None
    assert (parts.blobs, parts.misnamed) == (1, ())
    assert "/srv/image" in parts.refusal.en  # And not the path by which it was looked at.

    await put(place, files)
    assert await look(lab) == WHOLE

    await put(place, {blob: b"other"})
    changed = await look(lab)
    assert changed.misnamed == (blob.rpartition("/")[2],)
    assert changed.refusal is not None


@pytest.mark.root
async def test_what_would_take_too_long_is_not_looked_at(place: Machine, lab: ScratchLab) -> None:
    script = "mkdir -p /srv/image/blobs/sha256 && truncate -s 100M /srv/image/blobs/sha256/huge"
    assert await (await place.spawn(["bash", "-c", script])).wait() == 0
    assert isinstance(await ask(QUESTION, lab), Unseen)
    assert isinstance(await ask(LayoutAt("elsewhere", "/srv/image"), lab), Unseen)


@pytest.mark.root
async def test_a_fifo_among_the_blobs_keeps_nobody_waiting(place: Machine, lab: ScratchLab) -> None:
    script = "mkdir -p /srv/image/blobs/sha256 && mkfifo /srv/image/blobs/sha256/pipe"
    assert await (await place.spawn(["bash", "-c", script])).wait() == 0
    assert (await look(lab)).misnamed == ("pipe",)
