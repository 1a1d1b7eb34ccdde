"""Crontab's schedules, and what is told of those that are none, in the words of upstream's parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster import cron


@pytest.mark.parametrize(
    ("text", "minutes", "hours"),
    [
        ("*/15 * * * *", {0, 15, 30, 45}, set(range(24))),
        ("5/20 8-10 * * *", {5, 25, 45}, {8, 9, 10}),
        ("0,30 ? * jan-mar MON", {0, 30}, set(range(24))),
        ("@daily", {0}, {0}),
        ("CRON_TZ=Europe/Madrid 1 2 * * *", {1}, {2}),
    ],
)
def test_fields_are_lists_of_ranges_with_steps(text: str, minutes: set[int], hours: set[int]) -> None:
    schedule = cron.parse(text)
    assert schedule.minutes == minutes
    assert schedule.hours == hours


def test_months_and_days_have_names() -> None:
    schedule = cron.parse("0 0 * jan-MAR mon,FRI")
    assert schedule.months == {1, 2, 3}
    assert schedule.days_of_week == {1, 5}
    assert (schedule.any_day_of_month, schedule.any_day_of_week) == (True, False)


def test_a_period_may_stand_for_all_fields() -> None:
    assert cron.parse("@every 1h30m").every_s == 5400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-2 * * * *", "beginning of range (5) beyond end of range (2): 5-2"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@every 5", 'failed to parse duration 5: time: missing unit in duration "5"'),
        ("@every 5d", 'failed to parse duration 5d: time: unknown unit "d" in duration "5d"'),
        ("@every soon", 'failed to parse duration soon: time: invalid duration "soon"'),
    ],
)
def test_what_is_no_schedule_is_told_why(text: str, message: str) -> None:
    with pytest.raises(cron.CronError) as refused:
        cron.parse(text)
    assert str(refused.value) == message


NUMBERS = st.integers(0, 59)


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_a_list_of_minutes_is_these_minutes(minutes: list[int]) -> None:
    text = ",".join(map(str, minutes))
    assert cron.parse(f"{text} * * * *").minutes == set(minutes)


@given(NUMBERS, NUMBERS, st.integers(1, 60))
def test_a_range_goes_from_its_first_by_its_step(first: int, last: int, step: int) -> None:
    first, last = sorted((first, last))
    assert cron.parse(f"{first}-{last}/{step} * * * *").minutes == set(range(first, last + 1, step))


@given(st.text(alphabet="0123456789*/-,? janMON@every", max_size=20))
def test_anything_else_is_a_schedule_or_an_error_of_ours(text: str) -> None:
    try:
        schedule = cron.parse(text)
    except cron.CronError as error:
        assert str(error)
    else:
        assert schedule.every_s or schedule.minutes is not None
