"""The mounts of every mount namespace, without keeping any of them busy."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watched import named, observed, one, run, running, until

from kubelab.lessons.watching.mounts import MountTables, parse

PATHS = st.lists(st.text("ab \t\n\\#é", min_size=1), max_size=3).map(lambda names: "/" + "/".join(names))


def escaped(path: str) -> str:
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\" else char for char in path)


@given(PATHS, PATHS, st.lists(st.sampled_from(["shared:7", "master:3", "unbindable"]), unique=True))
def test_a_line_is_read_whatever_paths_are_called(root: str, point: str, propagation: list[str]) -> None:
    tags = "".join(f"{tag} " for tag in propagation)
    line = (
        f"36 35 98:0 {escaped(root)} {escaped(point)} rw,noatime {tags}- ext3 /dev/root rw,errors=continue\n"
    )
    (mount,) = parse(line)
    assert (mount.root, mount.point, mount.propagation) == (root, point, tuple(propagation))
    assert (mount.id, mount.parent_id, mount.device, mount.type) == (36, 35, "98:0", "ext3")
    assert mount.options == ("rw", "noatime")
    assert (mount.source, mount.super_options) == ("/dev/root", ("rw", "errors=continue"))


def test_a_source_may_be_empty_and_an_overlay_has_layers() -> None:
    (mount,) = parse("1 0 0:5 / / rw - overlay  rw,lowerdir=/b:/a,upperdir=/u\n")
    assert (mount.source, mount.layers()) == ("", ("/b", "/a"))


def test_mount_points_of_a_chroot_begin_at_its_root() -> None:
    lines = "2 1 0:5 / / rw - tmpfs none rw\n3 2 0:6 / /proc rw - proc proc rw\n"
    assert [mount.point for mount in parse(lines, "/new")] == ["/new", "/new/proc"]


@pytest.mark.root
async def test_a_mount_appears_and_goes(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(machine, "mkdir '/mnt/a b'; mount -t tmpfs -o size=1m,noexec none '/mnt/a b'")
        state = await until(observer, lambda state: mounted(state, state.namespaces["mnt"], "/mnt/a b"))
        (mount,) = mounted(state, state.namespaces["mnt"], "/mnt/a b")
        assert "noexec" in mount.options
        assert "size=1024k" in mount.super_options
        await run(machine, "umount '/mnt/a b'")
        await until(observer, lambda state: not mounted(state, state.namespaces["mnt"], "/mnt/a b"))


@pytest.mark.root
async def test_every_mount_namespace_has_its_own_and_goes_with_its_last_process(lab) -> None:
    async with observed(lab) as (machine, observer):
        script = "unshare -m sh -ec 'mount -t tmpfs none /mnt; exec sleep 1001'"
        async with running(machine, script):
            state = await until(observer, lambda state: named(state, "sleep") and len(state.mounts) == 2)
            inode = one(state, "sleep").namespaces["mnt"]
            await until(observer, lambda state: mounted(state, inode, "/mnt"))
            assert not mounted(state, state.namespaces["mnt"], "/mnt")
        await until(observer, lambda state: state.mounts.keys() == {state.namespaces["mnt"]})


@pytest.mark.root
async def test_namespaces_that_come_and_go_while_they_are_read_are_survived(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(machine, "for i in $(seq 60); do unshare -m true & done; wait; mount -t tmpfs none /mnt")
        await until(observer, lambda state: mounted(state, state.namespaces["mnt"], "/mnt"))
        await until(observer, lambda state: state.mounts.keys() == {state.namespaces["mnt"]})


@pytest.mark.root
async def test_the_old_root_can_be_unmounted_for_nobody_keeps_it_busy(lab) -> None:
    """umount(2) without MNT_DETACH right after pivot_root(2), of a root that was looked at many times."""
    script = """
        mkdir /tmp/new; mount -t tmpfs none /tmp/new; cd /tmp/new; mkdir usr old proc
        mount --bind /usr usr; mount -t proc proc proc
        for d in bin lib lib64 sbin; do ln -s usr/$d $d; done
        mount --make-rprivate /
        sleep 0.3; pivot_root . old; cd /
        # What lies below the old root does not matter here.
        for m in dev proc run sys tmp; do umount -l old/$m; done
        # Another shell, for this one reads its script from there. Twice, for a look takes its moment.
        exec sh -c 'umount /old 2>/dev/null || { sleep 1; umount /old; }'
    """
    async with observed(lab) as (machine, observer):
        await machine.write_file("/root/pivot.sh", script.encode())
        await run(machine, "unshare -m sh -e pivot.sh")
        await until(observer, lambda state: state.mounts.keys() == {state.namespaces["mnt"]})


IN_A_CHROOT = (
    "unshare -m sh -ec 'mkdir /tmp/new; mount -t tmpfs none /tmp/new; cd /tmp/new; mkdir usr;"
    "mount --bind /usr usr; for d in bin lib lib64; do ln -s usr/$d $d; done;"
    "exec chroot /tmp/new /bin/sleep 1001'"
)


@pytest.mark.root
async def test_a_namespace_that_is_seen_only_from_a_chroot_is_seen_from_there(lab) -> None:
    async with observed(lab) as (machine, observer), running(machine, IN_A_CHROOT):
        state = await until(
            observer, lambda state: [p for p in named(state, "sleep") if p.root == "/tmp/new"]
        )
        inode = one(state, "sleep").namespaces["mnt"]
        await until(observer, lambda state: mounted(state, inode, "/tmp/new/usr"))


@pytest.mark.root
async def test_a_table_that_was_read_while_its_process_went_into_a_chroot_is_put_right(lab) -> None:
    """The text is from after the chroot, the process from before it."""
    async with observed(lab) as (machine, observer), running(machine, IN_A_CHROOT):
        state = await until(
            observer, lambda state: [p for p in named(state, "sleep") if p.root == "/tmp/new"]
        )
        process = one(state, "sleep")
        directory = os.open(f"/proc/{machine.pid}/root/proc", os.O_RDONLY | os.O_DIRECTORY)
        try:
            tables = MountTables(directory)
            tables.look([replace(process, root="/")])
            tables.look([process])
        finally:
            os.close(directory)
        (table,) = tables.tables.values()
        assert {mount.point for mount in table} == {"/tmp/new", "/tmp/new/usr"}


def mounted(state, inode: int, point: str) -> list:
    return [mount for mount in state.mounts.get(inode, ()) if mount.point == point]
