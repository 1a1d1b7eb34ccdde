"""A lab can be closed while it comes up, and fails as a whole."""

import os
import resource
import signal
from pathlib import Path

import pytest

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.linux.processes import scan

pytestmark = pytest.mark.root


@pytest.fixture
def directory(tmp_path: Path) -> LabDirectory:
    return LabDirectory(tmp_path / "lab")


async def has_begun(lab: Lab, phases: int) -> None:
    seen = 0
    async for phase in lab.phases():
        seen += not phase.done
        if seen == phases:
            return


async def test_it_takes_as_many_descriptors_as_may_be_had(directory: LabDirectory) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        async with start_lab(LabConfig(minions=0, directory=directory)):
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("phases", [1, 2, 3, 4])
async def test_it_closes_in_every_phase(directory: LabDirectory, phases: int) -> None:
    before = {each.pid for each in scan([os.getpid()])}  # Other tests' own, which outlive these.
    async with start_lab(LabConfig(directory=directory)) as lab:
        await has_begun(lab, phases)
    assert sorted(left.name for left in directory.path.iterdir()) == ["lock", "masters"]
    assert {each.pid for each in scan([os.getpid()])} <= before


async def test_it_closes_though_a_node_never_becomes_ready(directory: LabDirectory) -> None:
    async with start_lab(LabConfig(directory=directory)) as lab:
        await has_begun(lab, 3)
        os.kill(lab.machines["minion-1"].pid, signal.SIGKILL)
        await has_begun(lab, 4)
    assert sorted(left.name for left in directory.path.iterdir()) == ["lock", "masters"]


async def test_machines_that_cannot_be_built_fail_as_one(directory: LabDirectory) -> None:
    beside = {"../../bin/env/impossible": Path("/bin/true")}
    async with start_lab(LabConfig(directory=directory, programs=beside)) as lab:
        with pytest.raises(LabError, match=r"come up|levantar"):
            await lab.ready()
        assert dict(lab.machines) == {}
    assert sorted(left.name for left in directory.path.iterdir()) == ["lock", "masters"]


async def test_a_scratch_machine_takes_nobody_s_name(directory: LabDirectory) -> None:
    async with start_lab(LabConfig(directory=directory)) as lab:
        await lab.ready()
        with pytest.raises(LabError, match="minion-1"):
            async with lab.scratch("minion-1"):
                pass
        assert len(scan([lab.machines["minion-1"].pid])) == 1
