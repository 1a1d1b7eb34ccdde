"""Whether files lie on a disk is told by their file system, whatever this host has."""

from pathlib import Path

from kubelab.cluster.linux.disk_probe import probe_disk
from kubelab.cluster.linux.mounts import mount_table


def test_a_file_system_of_the_kernel_is_on_no_disk() -> None:
    found = probe_disk("/proc")
    assert not found.available
    assert "proc" in found.reason.en
    assert found.mend.es


def test_what_is_on_a_disk_is_told_with_its_device() -> None:
    disks = [entry for entry in mount_table() if Path(entry.source).is_block_device()]
    for entry in (entry for entry in disks if Path(entry.target).is_dir()):
        found = probe_disk(entry.target)
        assert found.available
        assert entry.source in found.reason.en
