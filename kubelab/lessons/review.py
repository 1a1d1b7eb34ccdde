"""When a lesson is worth doing again: spaced review. Pure; the day is a parameter.

To a learner in one sentence: each time that you finish a lesson on your own, the next review is further away:
after 1, 3, 7, 16, 35 and 90 days.
What moves a lesson along these intervals:
- done on the day that it is due or later, and with no more than one hint a step: one interval further;
- done earlier, or with more hints: the same interval again, from that day on (what is repeated at once is
  not yet kept, and what was read was not recalled);
- steps skipped by fast-forward: back to the first interval;
- tested out: as done, and a week at the least, for who can do it without the lesson has known it for long.
Source: the boxes of Leitner, So lernt man lernen (1972), without the fall to the first box after a mistake,
for a lesson is passed in the end; intervals that grow 2 to 3 times, as in SuperMemo's SM-2 (Wozniak 1990, 2.5
times); Cepeda et al., Spacing Effects in Learning: A Temporal Ridgeline of Optimal Retention, Psychological
Science 19 (2008): the best gap grows with the time for which one wants to remember.
Left out: an ease of each lesson, as SM-2 has it; lessons are done a few times, not hundreds.
"""

import datetime
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kubelab.lessons.record import Completion

INTERVALS_DAYS = (1, 3, 7, 16, 35, 90)
TESTED_OUT_INTERVAL = INTERVALS_DAYS.index(7)
HINTS_A_STEP_MAX = 1  # The first rung only says where to look; the later ones tell the way.


@dataclass(frozen=True, slots=True)
class Review:
    """`due_in_days` is 0 today, less if it is overdue; `interval_days` what it was to be kept in memory."""

    due_in_days: int
    interval_days: int

    @property
    def overdue(self) -> float:
        """How late it is, in its own intervals: a day is much after one day and little after ninety."""
        return -self.due_in_days / self.interval_days


def review(completions: Sequence[Completion], today: datetime.date) -> Review | None:
    """Return when the lesson is due, from *completions* in the order of time; None if it was never done.

    *today* is UTC's, as the completions' days are. One in the future (a clock was wrong) counts as today's.
    """
    if not completions:
        return None
    interval = _interval(completions)
    elapsed_days = max(0, (today - completions[-1].day).days)
    return Review(INTERVALS_DAYS[interval] - elapsed_days, INTERVALS_DAYS[interval])


def due_in_days(completions: Sequence[Completion], today: datetime.date) -> int | None:
    """Return in how many days the lesson is due, 0 or less if now; None if it was never done."""
    known = review(completions, today)
    return known.due_in_days if known else None


def suggested(completions: Mapping[str, Sequence[Completion]], today: datetime.date) -> tuple[str, ...]:
    """Return the lessons that are due, the most overdue first; among equals in the order of *completions*."""
    reviews = {lesson: review(done, today) for lesson, done in completions.items()}
    due = {lesson: known for lesson, known in reviews.items() if known and known.due_in_days <= 0}
    return tuple(sorted(due, key=lambda lesson: -due[lesson].overdue))


def _interval(completions: Sequence[Completion]) -> int:
    """Return which of the intervals begins with the last of *completions*."""
    interval = _after(completions[0], None, 0)
    for before, one in itertools.pairwise(completions):
        interval = _after(one, interval, (one.day - before.day).days)
    return interval


def _after(one: Completion, interval: int | None, elapsed_days: int) -> int:
    """Return the interval that begins with *one*, *elapsed_days* after that which began *interval*."""
    if one.skipped:
        return 0
    reached = 0 if interval is None else interval + _climbs(one, INTERVALS_DAYS[interval], elapsed_days)
    floor = TESTED_OUT_INTERVAL if one.tested_out else 0
    return min(max(reached, floor), len(INTERVALS_DAYS) - 1)


def _climbs(one: Completion, interval_days: int, elapsed_days: int) -> bool:
    return elapsed_days >= interval_days and one.hints <= HINTS_A_STEP_MAX * one.steps
