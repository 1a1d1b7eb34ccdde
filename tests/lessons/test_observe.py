"""Looking at the live state: what is wanted changes while it is being looked at."""

import asyncio
from collections.abc import Mapping

import pytest

from kubelab.cluster.clock import SystemClock
from kubelab.lessons.checks.check import Needs
from kubelab.lessons.checks.reach import Reach
from kubelab.lessons.observe import Observer

pytestmark = pytest.mark.root


async def test_addresses_that_are_wanted_while_others_are_asked_get_their_own_answers(lab) -> None:
    async with lab.scratch("lab") as machine:
        itself, nobody = (Reach("lab", str(machine.address + offset)) for offset in (0, 1))
        observer = Observer(lab, lambda: lab.machines, SystemClock())
        async with observer.watching(Needs()):
            observer.want(frozenset({nobody}))
            for _ in range(10):
                await asyncio.sleep(0)  # It is being asked now, and nobody answers for a while.
            observer.want(frozenset({itself, nobody}))
            await observed(observer, {itself: True, nobody: False})


async def test_a_machine_that_is_never_looked_through_is_not_waited_for(
    lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a slow machine with a fork bomb: what is new is never read in the time that a look may take."""
    async with lab.scratch("lab") as machine:
        observer = Observer(lab, lambda: lab.machines, SystemClock())
        async with observer.watching(Needs()):
            monkeypatch.setattr("kubelab.lessons.observe.SETTLE_S", 0.1)
            monkeypatch.setattr("kubelab.lessons.process_scan.BUDGET_S", -1.0)
            unread = await machine.spawn(["sleep", "1000"])
            async with asyncio.timeout(20):
                await observer.settle()
            await unread.close()


async def observed(observer: Observer, answers: Mapping[Reach, bool]) -> None:
    async with asyncio.timeout(20):
        while observer.observation.answers != answers:
            await observer.changed.wait()
            observer.changed.clear()
