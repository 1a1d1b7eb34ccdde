"""A process's mounts, as the kernel writes them down."""

from kubelab.cluster.linux.mounts import MountEntry, mount_table, parse_mountinfo


def test_a_line_is_taken_apart_whatever_is_in_it() -> None:
    lines = (
        "36 35 98:0 /a\\040b /mnt\\011tab rw,noatime master:1 shared:2 - ext4 /dev/root rw,errors=continue\n",
        "37 36 0:5 / /no-source rw - tmpfs  rw\n",
    )
    assert parse_mountinfo(lines) == (
        MountEntry("/a b", "/mnt\ttab", "ext4", "/dev/root", ("rw", "errors=continue")),
        MountEntry("/", "/no-source", "tmpfs", "", ("rw",)),
    )


def test_the_running_kernel_s_table_has_the_root() -> None:
    assert "/" in {entry.target for entry in mount_table()}
