"""A lesson is due again after intervals that grow each time it is done without much help."""

import datetime
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.lessons.record import Completion
from kubelab.lessons.review import INTERVALS_DAYS, due_in_days, review, suggested

START = datetime.date(2026, 1, 1)


def day(number: int) -> datetime.date:
    return START + datetime.timedelta(days=number)


def done(number: int, *, hints: int = 0, skipped: int = 0, tested_out: bool = False) -> Completion:
    """Four steps, completed on that day, in the evening."""
    return Completion(f"{day(number)} 23:59:59", hints, 4, skipped, tested_out, attempt=str(number))


def on_time() -> Iterator[Completion]:
    """Done on each day that it is due."""
    number = 0
    yield done(number)
    for interval in INTERVALS_DAYS:
        number += interval
        yield done(number)


def interval_after(*completions: Completion) -> int:
    known = review(completions, completions[-1].day)
    assert known is not None
    assert known.due_in_days == known.interval_days
    return known.interval_days


def test_a_lesson_that_was_never_completed_is_never_due() -> None:
    assert due_in_days((), START) is None
    assert suggested({"a/b": ()}, START) == ()


def test_the_first_review_is_the_next_day() -> None:
    assert [due_in_days([done(0)], day(n)) for n in (0, 1, 2)] == [1, 0, -1]


def test_each_review_that_is_done_without_hints_is_followed_by_a_longer_interval() -> None:
    completions = list(on_time())
    intervals = [interval_after(*completions[:count]) for count in range(1, len(completions) + 1)]
    assert intervals == [*INTERVALS_DAYS, INTERVALS_DAYS[-1]]


@pytest.mark.parametrize(("hints", "interval"), [(0, 3), (4, 3), (5, 1), (16, 1)])
def test_more_than_a_hint_a_step_keeps_the_interval(hints: int, interval: int) -> None:
    assert interval_after(done(0), done(1, hints=hints)) == interval


def test_a_lesson_with_skipped_steps_is_due_the_next_day_however_often_it_was_done() -> None:
    completions = list(on_time())
    assert interval_after(*completions, done(500, skipped=1)) == 1


def test_doing_it_again_before_it_is_due_leads_no_further() -> None:
    assert interval_after(done(0), done(0), done(0)) == 1
    assert interval_after(done(0), done(1), done(2)) == 3


def test_doing_it_late_leads_as_far_as_doing_it_in_time() -> None:
    assert interval_after(done(0), done(40)) == 3


def test_who_tested_out_is_asked_again_after_a_week_at_the_least() -> None:
    assert interval_after(done(0, tested_out=True)) == 7
    assert interval_after(done(0, tested_out=True), done(7, tested_out=True)) == 16


def test_a_completion_in_the_future_counts_as_todays() -> None:
    assert due_in_days([done(400)], START) == 1
    assert due_in_days([Completion("9999-12-31 00:00:00", 0, 4)], START) == 1


def test_the_lesson_that_is_most_overdue_for_its_interval_is_suggested_first() -> None:
    completions = {
        "not due": [done(500)],
        "a day late of ninety": [*on_time(), done(409)],
        "a day late of one": [done(498)],
        "now": [done(499)],
        "also a day late of one": [done(498)],
    }
    assert suggested(completions, day(500)) == (
        "a day late of one",
        "also a day late of one",
        "a day late of ninety",
        "now",
    )


COMPLETIONS = st.lists(
    st.builds(
        done,
        st.integers(0, 2000),
        hints=st.integers(0, 20),
        skipped=st.integers(0, 4),
        tested_out=st.booleans(),
    ),
    min_size=1,
).map(lambda completions: sorted(completions, key=lambda one: one.at))


@given(completions=COMPLETIONS, later=st.integers(0, 3000))
def test_a_lesson_comes_due_within_the_longest_interval_and_one_day_nearer_each_day(
    completions: list[Completion], later: int
) -> None:
    known = review(completions, completions[-1].day)
    assert known is not None
    assert 1 <= known.due_in_days <= INTERVALS_DAYS[-1]
    then = completions[-1].day + datetime.timedelta(days=later)
    assert due_in_days(completions, then) == known.due_in_days - later


@given(completions=COMPLETIONS)
def test_doing_it_once_more_on_its_day_is_never_followed_by_a_shorter_interval(
    completions: list[Completion],
) -> None:
    known = review(completions, completions[-1].day)
    assert known is not None
    number = (completions[-1].day - START).days + known.due_in_days
    assert interval_after(*completions, done(number)) >= known.interval_days
