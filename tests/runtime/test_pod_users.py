"""A pod with users of its own (`hostUsers: false`): its root is nobody outside, and its volumes are its own.

Source: KEP-127.
"""

import os
from pathlib import Path

import pytest

from kubelab.cluster.runtime.cri import EmptyDir, FilesVolume, Mount, VolumeFile, volume_path

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

MAPS_TMPFS = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 3)


@pytest.mark.skipif(not MAPS_TMPFS, reason="before Linux 6.3 tmpfs cannot be idmapped, and volumes lie there")
async def test_its_files_are_its_root_s_inside_and_the_machine_s_root_s_outside(node):
    pod = await node.pod(host_users=False)
    empty, secret = EmptyDir("empty"), FilesVolume("secret", "secret", {"key": VolumeFile(b"mine", 0o400)})
    memory = EmptyDir("memory", in_memory=True)
    await node.runtime.set_up_volumes(pod.uid, [empty, secret, memory])
    mounts = tuple(Mount(f"/{each.name}", volume_path(pod.uid, each)) for each in (empty, secret, memory))
    parts = (*mounts, Mount("/part", volume_path(pod.uid, empty), sub_path="part"))
    script = (
        "touch /empty/made /memory/made /part/made; chown 1000 /empty/made; cat /secret/key; echo; "
        "stat -L -c %u:%g /empty /empty/made /secret/key /memory/made /part/made"
    )
    told = await node.shell(pod, script, mounts=parts)
    assert told.split() == ["mine", "0:0", "1000:0", "0:0", "0:0", "0:0"]
    made = Path(f"/proc/{node.machine.pid}/root{volume_path(pod.uid, empty)}")
    assert [made.joinpath(name).stat().st_uid for name in ("made", "part/made")] == [1000, 0]


async def test_its_root_is_nobody_on_the_machine(node):
    pod = await node.pod(host_users=False)
    container = await node.named(pod, "echo up; sleep infinity")
    await node.logged(container, "up")
    status = Path(f"/proc/{container.pid}/status").read_text()
    uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    mapped = Path(f"/proc/{container.pid}/uid_map").read_text().split()
    assert set(uids) == {mapped[1]}
    assert int(mapped[1]) >= 65536
    own = Mount("/host", "/root")
    assert "Permission denied" in await node.shell(pod, "touch /host/x 2>&1", mounts=(own,))
