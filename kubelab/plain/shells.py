"""The shells that are open in a lesson: one is in front, and each keeps its place."""

from collections.abc import Callable, Sequence

from kubelab.plain.shell import Shell

SHELLS_MAX = 8


class Shells:
    """`open` in the order of their numbers; a number stays while its shell is open."""

    def __init__(self) -> None:
        self._recent: list[Shell] = []  # The one in front is the last.

    @property
    def front(self) -> Shell | None:
        return self._recent[-1] if self._recent else None

    @property
    def open(self) -> Sequence[Shell]:
        return sorted(self._recent, key=lambda shell: shell.number)

    @property
    def free_number(self) -> int:
        taken = {shell.number for shell in self._recent}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)

    def bring(self, shell: Shell) -> None:
        """Put *shell* in front: a new one, or one that is open already."""
        self.remove(shell)
        self._recent.append(shell)

    def remove(self, shell: Shell) -> None:
        if shell in self._recent:
            self._recent.remove(shell)

    def on(self, machine: str) -> Shell | None:
        """Return the shell on *machine* that was in front last."""
        return self._latest(lambda shell: shell.machine == machine)

    def numbered(self, number: int) -> Shell | None:
        return self._latest(lambda shell: shell.number == number)

    def _latest(self, fits: Callable[[Shell], bool]) -> Shell | None:
        return next((shell for shell in reversed(self._recent) if fits(shell)), None)
