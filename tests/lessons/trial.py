"""Watch one check on a lab as a session does: observe, evaluate, ask what the check asks, wait, again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from observed import check

from kubelab.cluster.clock import SystemClock
from kubelab.lessons.checks import Finding, Scope, judge
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observe import Observer
from kubelab.lessons.view import Verdict

PATIENCE_S = 20


class Trial:
    """*yaml* is a check; `scope` has the memory of the step that it is in."""

    def __init__(self, lab: LabPort, yaml: str, machine: str) -> None:
        self.check = check(yaml)
        self.scope = Scope(machine)
        self.observer = Observer(lab, lambda: lab.machines, SystemClock())

    async def becomes(self, verdict: Verdict) -> Finding:
        """Return the first finding of that verdict."""
        return await self._first(lambda finding: finding.verdict is verdict)

    async def tells(self, words: str) -> Finding:
        """Return the first finding in which *words* were observed."""
        return await self._first(lambda finding: words in finding.observed.en)

    async def _first(self, wanted: Callable[[Finding], bool]) -> Finding:
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(finding := self._evaluated()):
                await self._change()
        return finding

    def _evaluated(self) -> Finding:
        observation, memory = self.observer.observation, self.scope.memory
        memory.at_s, memory.wake_at_s = observation.at_s, None
        finding = judge(self.check, observation, self.scope)
        self.observer.want(self.check.questions(observation, self.scope))
        return finding

    async def _change(self) -> None:
        wake_at_s = self.scope.memory.wake_at_s
        left_s = None if wake_at_s is None else wake_at_s - SystemClock().monotonic_s()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self.observer.changed.wait()
        self.observer.changed.clear()


async def found_on(lab: LabPort, yaml: str, verdict: Verdict, machine: str = "lab") -> Finding:
    """Return the first finding of that verdict, however long it takes."""
    trial = Trial(lab, yaml, machine)
    async with trial.observer.watching(trial.check.needs()):
        return await trial.becomes(verdict)
