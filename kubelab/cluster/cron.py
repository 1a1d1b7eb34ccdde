"""Schedules as crontab writes them: five fields or `@daily`; and what is wrong with others.

Source: robfig/cron v3, parser.go (ParseStandard), which upstream's CronJobs use and
whose words these are; Go's time.ParseDuration.
Left out: when a schedule is next due, which nothing here asks yet.
"""

import re
from dataclasses import dataclass

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_INT_MAX = 2**63 - 1


class CronError(ValueError):
    """A schedule that cannot be understood."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    first: int
    last: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        if text.lower() in self.names:
            return self.first + self.names.index(text.lower())
        return _number(text)


_FIELDS = (_Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, _MONTHS), _Bounds(0, 6, _DAYS))
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which a schedule is due; a day counts that is in either, unless one of them is a star.

    `every_s` is the period of an `@every` schedule, which has no fields; None for all others.
    """

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days_of_month: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    days_of_week: frozenset[int] = frozenset()
    any_day_of_month: bool = False
    any_day_of_week: bool = False
    every_s: float | None = None


def parse(text: str) -> Schedule:
    """Return the schedule that *text* writes.

    Raises:
        CronError: it is none, in upstream's words.
    """
    if not text:
        raise CronError("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):  # The zone is its reader's to judge.
        text = text.partition(" ")[2].strip()
    if text.startswith("@every "):
        return Schedule(every_s=max(1, int(_duration_s(text.removeprefix("@every ")))))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise CronError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise CronError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = map(_times, fields, _FIELDS)
    stars = _has_star(fields[2]), _has_star(fields[4])
    return Schedule(minutes, hours, days, months, weekdays, *stars)


def _has_star(field: str) -> bool:
    """Tell whether *field* stands for any day: a star, also with a step of one."""
    return any(
        part.split("/")[0] in {"*", "?"} and part.partition("/")[2] in {"", "1"} for part in field.split(",")
    )


def _times(field: str, bounds: _Bounds) -> frozenset[int]:
    parts = [part for part in field.split(",") if part]
    return frozenset(time for part in parts for time in _range(part, bounds))


def _range(part: str, bounds: _Bounds) -> range:
    limits, *steps = part.split("/")
    low, *high = limits.split("-")
    if low in {"*", "?"}:
        first, last = bounds.first, bounds.last
    elif len(high) > 1:
        raise CronError(f"too many hyphens: {part}")
    else:
        first = bounds.number(low)
        last = bounds.number(high[0]) if high else first
    if len(steps) > 1:
        raise CronError(f"too many slashes: {part}")
    step = _number(steps[0]) if steps else 1
    if steps and not high:  # `5/10` begins at 5 and has no end of its own.
        last = bounds.last
    _check_range(first, last, step, part, bounds)
    return range(first, last + 1, step)


def _check_range(first: int, last: int, step: int, part: str, bounds: _Bounds) -> None:
    if first < bounds.first:
        raise CronError(f"beginning of range ({first}) below minimum ({bounds.first}): {part}")
    if last > bounds.last:
        raise CronError(f"end of range ({last}) above maximum ({bounds.last}): {part}")
    if first > last:
        raise CronError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {part}")


def _number(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text, re.ASCII):
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if abs(number := int(text)) > _INT_MAX:
        raise CronError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range'
        )
    if number < 0:
        raise CronError(f"negative number ({number}) not allowed: {text}")
    return number


_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")


def _duration_s(text: str) -> float:
    """Return the seconds of a duration as Go writes it: `1h30m`, `1.5s`."""
    problem = _problem_of_duration(rest := text.lstrip("+-") if text[:1] in {"+", "-"} else text, text)
    if problem:
        raise CronError(f"failed to parse duration {text}: time: {problem}")
    total_s = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(rest))
    return -total_s if text.startswith("-") else total_s


def _problem_of_duration(rest: str, text: str) -> str:
    if rest == "0":
        return ""
    position = 0
    while position < len(rest) or not rest:
        match = _DURATION_PART.match(rest, position)
        if match is None:
            return f'invalid duration "{text}"'
        if not match[2]:
            return f'missing unit in duration "{text}"'
        if match[2] not in _UNITS_S:
            return f'unknown unit "{match[2]}" in duration "{text}"'
        position = match.end()
    return ""
