"""The programs on a cgroup of v2 that keep who is in it from devices and from the kernel's settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cgroup_ground import new_cgroup

from kubelab.cluster.linux import cgroup_programs
from kubelab.cluster.linux.cgroups import Cgroup

pytestmark = pytest.mark.root


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    with new_cgroup() as made:
        yield made


def test_the_running_kernel_takes_both(cgroup: Cgroup) -> None:
    """Each kernel's verifier has its own mind about a program, and one that is refused keeps nobody."""
    directory = cgroup.directory("")
    assert directory is not None
    assert cgroup_programs.attach(directory)


def test_a_directory_that_is_no_cgroup_takes_none(tmp_path: Path) -> None:
    assert not cgroup_programs.attach(str(tmp_path))
