"""What was seen earlier in a step, for checks that are about time: what held, since when, from which value.

One `Memory` lasts for one evaluation: it knows what was noted before and takes new notes, which go into the
step's next state. So evaluation stays pure: the same state and observation give the same next state. A check
notes under its own text, so that two checks that say the same remember the same.
"""

from collections.abc import Mapping
from typing import Any


class Memory:
    """`at_s` is the observation's time; `wake_at_s` when to evaluate again though nothing changes by then."""

    def __init__(self, notes: Mapping[str, Any] | None = None, at_s: float = 0.0) -> None:
        self._notes = dict(notes or {})
        self.at_s = at_s
        self.wake_at_s: float | None = None

    @property
    def notes(self) -> Mapping[str, Any]:
        return dict(self._notes)

    @property
    def lasting(self) -> Mapping[str, Any]:
        """Return the notes that are still true after a time in which nobody looked: what held on end may have
        been broken off."""
        return {key: value for key, value in self._notes.items() if not key.startswith("since ")}

    def first(self, subject: object, value: Any) -> Any:
        """Return the value that was noted first of *subject* in this step; *value* if this is the first."""
        return self._notes.setdefault(f"first {subject!r}", value)

    def since_s(self, subject: object, holds: bool) -> float | None:
        """Note whether *subject* holds now; return since when it does without a break, None if not."""
        key = f"since {subject!r}"
        if not holds:
            self._notes.pop(key, None)
            return None
        since_s: float = self._notes.setdefault(key, self.at_s)
        return since_s

    def latest(self, subject: object) -> Any:
        """Return what was noted last by `note`; None if nothing was."""
        return self._notes.get(f"latest {subject!r}")

    def note(self, subject: object, value: Any) -> None:
        self._notes[f"latest {subject!r}"] = value

    def wake(self, at_s: float) -> None:
        """Ask for another evaluation at that time."""
        self.wake_at_s = at_s if self.wake_at_s is None else min(at_s, self.wake_at_s)
