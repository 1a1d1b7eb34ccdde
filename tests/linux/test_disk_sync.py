"""Syncing a file by the kernel's workers."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.disk_sync import DiskSync


@pytest.fixture
def sync() -> Iterator[DiskSync]:
    sync = DiskSync()
    yield sync
    sync.close()


def test_its_descriptor_tells_when_the_disk_has_the_file(sync: DiskSync, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        for _ in range(3):
            file.write(b"durable")
            sync.begin(file.fileno())
            assert select.select([sync], [], [], 30)[0]
            sync.finish()
            assert not select.select([sync], [], [], 0)[0]


def test_what_cannot_be_synced_is_refused(sync: DiskSync) -> None:
    reader, writer = os.pipe()
    with pytest.raises(KernelError, match="EINVAL"):
        sync.begin(writer)
    os.close(reader)
    os.close(writer)
