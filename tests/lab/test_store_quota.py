"""A store that keeps no more than it was given says so, with either engine, and takes what is given back."""

import json
import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from lab_program import kubelab

from kubelab.cli.equipment import equipped
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import ApiError, LabError
from kubelab.cluster.lab.config import LabConfig, StoreChoice
from kubelab.cluster.lab.control_plane import ControlPlane
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.objects import CONFIGMAPS

QUOTA_MIB = 8  # Several times what a cluster has at its beginning.
VALUE = "x" * 700_000


async def filled(lab: Lab) -> int:
    """Write until the store refuses; return how many objects it took."""
    for number in range(2 * QUOTA_MIB * 2**20 // len(VALUE)):  # A real etcd counts late.
        try:
            settings = {"metadata": {"name": f"n{number}", "namespace": "default"}, "data": {"k": VALUE}}
            await lab.api.create(CONFIGMAPS, settings)
        except ApiError as error:
            assert "etcdserver: mvcc: database space exceeded" in error.message
            return number
    raise AssertionError("the store takes more than it was given")


@pytest.mark.root
@pytest.mark.parametrize("choice", ["raft", "etcd"])
async def test_a_full_store_refuses_until_there_is_room(tmp_path: Path, choice: StoreChoice) -> None:
    directory = LabDirectory(tmp_path / "lab")
    config = equipped(LabConfig(minions=1, directory=directory, store=choice, store_quota_mib=QUOTA_MIB))

    async def etcdctl(*words: str) -> str:
        ended = await in_thread(kubelab, directory.path, "shell", "master-1", "etcdctl", *words)
        return ended.stdout

    async with start_lab(config) as lab:
        await lab.ready()
        assert await filled(lab) > 0
        assert "NOSPACE" in await etcdctl("alarm", "list")
        for settings in (await lab.api.list(CONFIGMAPS, "default")).items:
            # A real etcd may refuse one and have it all the same (quotaApplierV3).
            if settings["metadata"]["name"].startswith("n"):
                await lab.api.delete(CONFIGMAPS, "default", settings["metadata"]["name"])
        [told] = json.loads(await etcdctl("endpoint", "status", "-w", "json"))
        await etcdctl("compact", str(told["Status"]["header"]["revision"]))
        await etcdctl("defrag")
        assert re.fullmatch("memberID:[0-9]+ alarm:NOSPACE *\n", await etcdctl("alarm", "disarm"))
        assert await filled(lab) > 0


async def test_an_etcd_elsewhere_has_the_quota_that_it_was_started_with(tmp_path: Path) -> None:
    masters = {"master-1": IPv4Address("10.89.0.11")}
    there = ("https://10.89.0.99:2379",)
    with pytest.raises(LabError, match="--quota-backend-bytes"):
        await ControlPlane.create(masters, there, LabDirectory(tmp_path), SystemClock(), quota_mib=8)
