"""How long to wait for what a typed solution brings about; more on a machine that is slow or busy. Pure."""

from dataclasses import dataclass, replace

ELECTIONS = 4  # So many times as long as another one a lesson may take in which leaders are elected.


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for a whole lesson, for the prompt after a line, for the state that the last line
    brings about; for the lesson's processes to be gone after its end; and how long a step must not pass by
    itself."""

    lesson_s: float = 30.0
    line_s: float = 15.0
    state_s: float = 10.0
    settle_s: float = 5.0
    not_yet_s: float = 0.3

    def with_elections(self, masters: int) -> "Patience":
        """Return more patience with a lesson whose store elects: each time takes seconds."""
        return self if masters <= 1 else replace(self, lesson_s=self.lesson_s * ELECTIONS)

    @classmethod
    def of(cls, lesson_s: float) -> "Patience":
        """Return as much more patience with everything as there is for the lesson; never less."""
        factor = max(1.0, lesson_s / cls().lesson_s)
        return cls(lesson_s, cls().line_s * factor, cls().state_s * factor, cls().settle_s * factor)


DEFAULT_PATIENCE = Patience()
