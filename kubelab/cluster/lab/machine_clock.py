"""The clock of one machine's components, whose time of day can be wrong.

Linux has no namespace for the time of day (time_namespaces(7): only the monotonic clocks, from boot on), so a
skew is what the lab's own components there read: what they write into leases, events and certificates, and
judge by it. How fast time passes stays as it is. Programs on the machine read the host's clock.
"""

from datetime import datetime, timedelta

from kubelab.cluster.clock import Clock


class MachineClock:
    """See `Clock`. `skew_s`: how far it is ahead."""

    def __init__(self, clock: Clock) -> None:
        self.skew_s = 0.0
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self.skew_s)

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    async def sleep(self, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
