"""Writing past the page cache."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.direct_write import BLOCK_BYTES, DirectWrite, open_direct


@pytest.fixture
def write() -> Iterator[DirectWrite]:
    write = DirectWrite(3 * BLOCK_BYTES)
    yield write
    write.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "file"
    path.write_bytes(b"old" * BLOCK_BYTES)
    if (descriptor := open_direct(path)) is None:
        pytest.skip("this file system writes past the page cache only while the caller waits")
    yield path, descriptor
    os.close(descriptor)


def _write(write: DirectWrite, descriptor: int, data: bytes, offset_bytes: int) -> None:
    write.begin(descriptor, data, offset_bytes)
    assert select.select([write], [], [], 30)[0]
    write.finish()


def test_its_descriptor_tells_when_the_disk_has_the_data(write: DirectWrite, file: tuple[Path, int]) -> None:
    path, descriptor = file
    for data in (b"long" * 1500, b"short", b"x" * BLOCK_BYTES):
        _write(write, descriptor, data, BLOCK_BYTES)
        assert not select.select([write], [], [], 0)[0]
        zeros = bytes(-len(data) % BLOCK_BYTES)
        assert path.read_bytes()[BLOCK_BYTES:].startswith(data + zeros)
    assert path.read_bytes().startswith(b"old")


def test_what_the_disk_refuses_is_told(write: DirectWrite, file: tuple[Path, int]) -> None:
    with pytest.raises(KernelError, match="EINVAL"):
        _write(write, file[1], b"data", 1)  # Within a block.


def test_where_nothing_can_be_written_so_it_says_so(write: DirectWrite, tmp_path: Path) -> None:
    assert open_direct(Path("/proc/self/comm")) is None
    assert open_direct(tmp_path / "nothing") is None
    with pytest.raises(KernelError, match="EBADF"):
        write.begin(1 << 20, b"data", 0)
