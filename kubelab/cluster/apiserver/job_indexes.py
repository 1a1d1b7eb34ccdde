"""Sets of the indexes of an Indexed Job, as texts: `1,3-5,7`.

Source: kubernetes, pkg/apis/batch/validation/validation.go (validateIndexesFormat, parseIndexInterval,
validateFailedIndexesNotOverlapCompleted).
"""

import re
from dataclasses import dataclass


class IndexesError(ValueError):
    """A text that is no set of indexes, in upstream's words."""


@dataclass(frozen=True, slots=True)
class Interval:
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def parse(text: str, completions: int) -> tuple[Interval, ...]:
    """Return the intervals of *text*, which must rise and stay below *completions*.

    Raises:
        IndexesError: it is no set of such indexes.
    """
    intervals: list[Interval] = []
    for part in text.split(",") if text else ():
        interval = _interval(part, completions)
        if intervals and intervals[-1].last >= interval.first:
            previous, current = intervals[-1].last, interval.first
            raise IndexesError(f"non-increasing order, previous: {previous}, current: {current}")
        intervals.append(interval)
    return tuple(intervals)


def _interval(part: str, completions: int) -> Interval:
    limits = part.split("-")
    if len(limits) > 2:
        rule = "violates the requirement that an index interval can have at most two parts separated by '-'"
        raise IndexesError(f'the fragment "{part}" {rule}')
    first, *rest = (_index(limit, completions) for limit in limits)
    last = rest[0] if rest else first
    if rest and first >= last:
        raise IndexesError(f"non-increasing order, previous: {first}, current: {last}")
    return Interval(first, last)


def _index(text: str, completions: int) -> int:
    if not re.fullmatch("[+-]?[0-9]{1,18}", text, re.ASCII):
        raise IndexesError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise IndexesError(f'too large index: "{text}"')
    return int(text)


def count(intervals: tuple[Interval, ...]) -> int:
    return sum(map(len, intervals))


def first_common(left: str, right: str, completions: int) -> int | None:
    """Return the first index that is in both sets; intervals that cannot be read are passed over."""
    common = [
        max(ours.first, theirs.first)
        for ours in _readable(left, completions)
        for theirs in _readable(right, completions)
        if ours.first <= theirs.last and theirs.first <= ours.last
    ]
    return min(common, default=None)


def _readable(text: str, completions: int) -> list[Interval]:
    found = []
    for part in text.split(","):
        try:
            found.append(_interval(part, completions))
        except IndexesError:
            continue
    return found
