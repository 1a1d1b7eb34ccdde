"""Starts that nobody else waits for: while one process is made, the next request is looked at.

To hand a start to another thread takes two wake-ups, so one that comes alone is carried out at once.
"""

from collections.abc import Callable
from contextlib import suppress

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.program_launcher import ProgramLauncher
from kubelab.cluster.runtime.answers import Answer, Pending
from kubelab.cluster.runtime.process_program import Prepared

Outcome = Callable[[], tuple[int, int]]
"""Returns pid and pidfd. Raises KernelError, OSError: the program failed, and nothing is left of it."""


class Starts:
    """*more_wait*: are there requests that have not been looked at yet?"""

    def __init__(self, launcher: ProgramLauncher, more_wait: Callable[[], bool]) -> None:
        self._launcher = launcher
        self._more_wait = more_wait

    def start(self, prepared: Prepared, flags: int, finish: Callable[[Outcome], Answer]) -> Answer | Pending:
        """Start the program; answer what *finish* does, which is called once."""
        if not self._launcher.is_idle or self._more_wait():
            pending = Pending()
            with suppress(KernelError, OSError):
                prepared.launch(self._launcher, flags, lambda outcome: pending.then(lambda: finish(outcome)))
                return pending
        return finish(lambda: prepared.start(flags))
