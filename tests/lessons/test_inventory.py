"""What a lesson leaves behind on a machine that stays is found, whatever kind of thing it is."""

import pytest
from scratch_lab import ScratchLab

from kubelab.cluster.machine.machine import Machine
from kubelab.lessons import inventory
from kubelab.lessons.inventory import Inventory

pytestmark = pytest.mark.root

LEFT = """
ip link add left type bridge && ip address add 10.99.0.1/24 dev left && ip link set left up
mkdir -p /tmp/left && mount -t tmpfs left /tmp/left
nft add table ip left && nft add chain ip left one && nft add rule ip left one accept
mkdir $(awk '$3 ~ /^cgroup/ && $2 ~ /memory|cgroup$/ {print $2; exit}' /proc/mounts)/left
sleep 1000 &
until pgrep -x -f "sleep 1000"; do :; done
"""


async def test_everything_that_was_left_is_named(lab: ScratchLab) -> None:
    async with lab.scratch("bench") as machine:
        before = await inventory.take(lab, with_cluster=False)
        process = await machine.spawn(["bash", "-c", LEFT])
        assert await process.wait() == 0
        left = (await inventory.take(lab, with_cluster=False)).additions(before)
    named = [line.removeprefix("bench: ") for line in left]
    assert any(line.startswith("process ") and line.endswith(" sleep 1000") for line in named)
    for line in (
        "cgroup left",
        "link left",
        "address 10.99.0.1/24 dev left",
        "route 10.99.0.0/24 dev left",
        "nft rule ip left one: accept",
    ):
        assert line in named
    assert "mount /tmp/left (tmpfs)" in named


async def test_looking_adds_nothing(lab: ScratchLab) -> None:
    async with lab.scratch("bench"):
        before = await inventory.take(lab, with_cluster=False)
        assert (await inventory.take(lab, with_cluster=False)).additions(before) == ()
    assert "bench" not in (await inventory.take(lab, with_cluster=False)).lines


class _Blinking(dict[str, Machine]):
    """Machines of which the first look finds none, as of those that are being restarted."""

    looks = 0

    def __getitem__(self, name: str) -> Machine:
        self.looks += 1
        if self.looks == 1:
            raise KeyError(name)
        return super().__getitem__(name)


async def test_a_machine_that_cannot_be_seen_at_first_is_looked_at_again(lab: ScratchLab) -> None:
    async with lab.scratch("bench"):
        after = await inventory.take(lab, with_cluster=False)
        lab.machines = _Blinking(lab.machines)
        before = await inventory.take(lab, with_cluster=False)
        assert before.unseen == frozenset()
        assert after.additions(before) == ()


def test_of_a_machine_that_was_never_seen_before_nothing_counts_as_left() -> None:
    before = Inventory(("bench", "other"), frozenset({"bench"}))
    after = Inventory(("bench", "bench: process 1 init", "other", "other: link left"))
    assert after.additions(before) == ("other: link left",)


async def test_a_machine_that_was_restarted_has_left_nothing(lab: ScratchLab) -> None:
    async with lab.scratch("bench"):
        before = await inventory.take(lab, with_cluster=False)
    async with lab.scratch("bench"):
        assert (await inventory.take(lab, with_cluster=False)).additions(before) == ()


def test_a_second_one_of_a_kind_counts() -> None:
    one, two = (Inventory(("bench",) + ("bench: net namespace",) * count) for count in (1, 2))
    assert two.additions(one) == ("bench: net namespace",)
