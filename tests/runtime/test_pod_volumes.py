"""Volumes are what a kubelet makes of them: in containers, on the machine, as they change, as they go."""

from pathlib import Path

import pytest
from pod_node import Node

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.mounts import mount_table
from kubelab.cluster.runtime.cri import (
    EmptyDir,
    FilesVolume,
    HostPath,
    Mount,
    Sandbox,
    Security,
    Volume,
    VolumeError,
    VolumeFile,
    volume_path,
)

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]


def at(pod: Sandbox, volume: Volume, destination: str = "/v", **fields: object) -> tuple[Mount, ...]:
    return (Mount(destination, volume_path(pod.uid, volume), **fields),)


def on_machine(node: Node, path: str) -> Path:
    return Path(f"/proc/{node.machine.pid}/root{path}")


def mounts_of(node: Node) -> set[str]:
    return {entry.target for entry in mount_table(node.machine.pid)}


async def test_files_change_all_at_once_for_who_reads_them(node):
    pod = await node.sandbox()
    files = {"a": VolumeFile(b"one"), "b/c": VolumeFile(b"one"), "gone": VolumeFile(b"")}
    await node.runtime.set_up_volumes(pod.uid, (FilesVolume("cm", "configmap", files),))
    volume = FilesVolume("cm", "configmap", {"a": VolumeFile(b"two"), "b/c": VolumeFile(b"two", 0o400)})
    container = await node.named(
        pod,
        "echo up; read go; cat /v/a /v/b/c; ls -A /v; stat -Lc %a /v/a /v/b/c",
        mounts=at(pod, volume),
        stdin=True,
    )
    await node.logged(container, "up")
    directory = on_machine(node, volume_path(pod.uid, volume))
    before = (directory / "..data").readlink()
    await node.runtime.set_up_volumes(pod.uid, (FilesVolume("cm", "configmap", files),))
    assert (directory / "..data").readlink() == before
    await node.runtime.set_up_volumes(pod.uid, (volume,))
    attachment = await node.runtime.attach(container.id)
    Path(f"/proc/self/fd/{attachment.stdin}").write_text("go\n")
    attachment.close()
    told = [line.split(" ", 3)[3] for line in (await node.logged(container, "F 400")).splitlines()]
    version = (directory / "..data").readlink().name
    assert told == ["up", "twotwo" + version, "..data", "a", "b", "644", "400"]
    assert [each.name for each in directory.iterdir() if each.name.startswith("..2")] == [version]


async def test_the_pod_s_group_owns_its_volumes(node):
    pod = await node.sandbox()
    scratch = EmptyDir("scratch")
    secret = FilesVolume("keys", "secret", {"token": VolumeFile(b"s3", 0o400)})
    await node.runtime.set_up_volumes(pod.uid, (scratch, secret), group=2000)
    security = Security(user=1000, groups=(2000,))
    script = "cat /v/token; touch /scratch/x && stat -c ' %g' /scratch/x; stat -Lc '%a %g' /v/token"
    mounts = at(pod, secret) + at(pod, scratch, "/scratch")
    assert await node.shell(pod, script, mounts=mounts, security=security) == "s3 2000\n440 2000\n"


async def test_a_directory_in_memory_is_a_file_system_of_its_size_and_goes_with_the_pod(node):
    pod = await node.sandbox()
    memory = EmptyDir("memory", in_memory=True, size_bytes=1 << 20)
    await node.runtime.set_up_volumes(pod.uid, (memory,))
    script = "df --output=fstype,size -B1 /v | tail -1; ls -ld /v | cut -c1-10"
    told = await node.shell(pod, script, mounts=at(pod, memory))
    assert told.split() == ["tmpfs", str(1 << 20), "drwxrwxrwx"]
    assert volume_path(pod.uid, memory) in mounts_of(node)
    await node.runtime.remove_sandbox(pod.uid)
    assert not any(pod.uid in target for target in mounts_of(node))
    assert not on_machine(node, f"/var/lib/kubelet/pods/{pod.uid}").exists()


async def test_a_path_of_the_machine_is_of_the_type_that_is_asked_for(node):
    await node.machine.write_file("/srv/file", b"x\n")
    made = (HostPath("d", "/srv/made/deep", "DirectoryOrCreate"), HostPath("f", "/srv/new", "FileOrCreate"))
    await node.runtime.set_up_volumes("uid-of-nobody", made)
    assert on_machine(node, "/srv/made/deep").is_dir()
    assert on_machine(node, "/srv/new").is_file()
    for kind, why in (("Directory", "is not a directory"), ("Socket", "is not a socket file")):
        with pytest.raises(VolumeError, match=f"hostPath type check failed: /srv/file {why}"):
            await node.runtime.set_up_volumes("uid-of-nobody", (HostPath("x", "/srv/file", kind),))


async def test_a_part_of_a_volume_is_shown_and_made_if_it_is_not_there(node):
    pod = await node.sandbox()
    scratch = EmptyDir("scratch")
    await node.runtime.set_up_volumes(pod.uid, (scratch,))
    await node.shell(pod, "mkdir /v/a; echo 1 > /v/a/f", mounts=at(pod, scratch))
    parts = at(pod, scratch, "/dir", sub_path="new/deep") + at(pod, scratch, "/etc/f", sub_path="a/f")
    assert await node.shell(pod, "cat /etc/f; touch /dir/x; stat -c %a /dir", mounts=parts) == "1\n777\n"
    assert await node.shell(pod, "ls /v/new/deep", mounts=at(pod, scratch)) == "x\n"
    assert not any("volume-subpaths" in target for target in mounts_of(node))


async def test_a_part_cannot_be_led_out_of_its_volume(node):
    pod = await node.sandbox()
    scratch = EmptyDir("scratch")
    await node.runtime.set_up_volumes(pod.uid, (scratch,))
    links = {"root": "/", "up": "../../../../../../../etc", "twice": "root/etc", "ok": "in"}
    script = "; ".join(f"ln -s {target} /v/{name}" for name, target in links.items())
    await node.shell(pod, f"{script}; mkdir /v/in", mounts=at(pod, scratch))
    for sub_path in ("root", "root/etc", "up", "twice", "up/new"):
        with pytest.raises(KernelError):
            await node.start(pod, "true", mounts=at(pod, scratch, sub_path=sub_path))
    assert await node.shell(pod, "echo in", mounts=at(pod, scratch, sub_path="ok")) == "in\n"
    assert not any("volume-subpaths" in target for target in mounts_of(node))


async def test_mounts_are_passed_on_as_the_pod_asks(node):
    await node.machine.write_file("/srv/shared/keep", b"")
    pod = await node.sandbox()
    host = HostPath("host", "/srv/shared")
    makes = "mkdir -p /v/in && mount -t tmpfs none /v/in && touch /v/in/x && echo mounted"
    mounts = at(pod, host, propagation="Bidirectional")
    told = await node.shell(pod, makes, mounts=mounts, security=Security(privileged=True))
    assert told == "mounted\n"
    assert "/srv/shared/in" in mounts_of(node)
    assert await node.shell(pod, "ls /v/in", mounts=at(pod, host)) == "x\n"
    process = await node.machine.spawn(["umount", "/srv/shared/in"])
    assert await process.wait() == 0


@pytest.mark.parametrize(("name", "depth"), [("d", 1500), ("d" * 200, 100)])
async def test_a_tree_deeper_than_a_path_is_long_goes_with_its_pod(node, name, depth):
    pod = await node.sandbox()
    scratch = EmptyDir("scratch")
    await node.runtime.set_up_volumes(pod.uid, (scratch,))
    dig = f"import os; os.chdir('/v'); [(os.mkdir('{name}'), os.chdir('{name}')) for _ in range({depth})]"
    end, _ = await node.run(pod, "python3", "-c", f"{dig}; open('file', 'w')", mounts=at(pod, scratch))
    assert end.exit_code == 0
    await node.runtime.remove_sandbox(pod.uid)
    assert not on_machine(node, f"/var/lib/kubelet/pods/{pod.uid}").exists()
