"""The store's members as a learner sees them: elections, partitions, who lags, who comes back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from chair import Until, in_lesson, said, seen
from demo_port import CATALOG, SNAPSHOT, DemoPort
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.widget import Widget

from kubelab.cluster.lab.snapshot import (
    LabSnapshot,
    LeaderView,
    LogEntryView,
    MachineView,
    RaftView,
    StoreView,
)
from kubelab.language import LANGUAGES, Language
from kubelab.lessons.view import TrackEntry
from kubelab.ui.app import KubelabApp
from kubelab.ui.cluster_picture import cluster_picture
from kubelab.ui.layout import Pane, sharing, turn_with, turns, visible_panes
from kubelab.ui.picture import Line, width_of
from kubelab.ui.raft_news import raft_news
from kubelab.ui.raft_picture import raft_picture, tells

A, B, C = NAMES = "master-1", "master-2", "master-3"


def tail(*terms: int, last: int = 409) -> tuple[LogEntryView, ...]:
    first = last - len(terms) + 1
    return tuple(LogEntryView(first + i, term, f"Put /key-{first + i}") for i, term in enumerate(terms))


def member(
    name: str,
    role: str,
    term: int,
    *,
    log: tuple[LogEntryView, ...],
    commit: int,
    vote: str = "",
    leader: str = "",
    heard: tuple[str, ...] = (),
    match: tuple[tuple[str, int], ...] = (),
) -> RaftView:
    last = log[-1].index
    return RaftView(name, role, term, vote, leader, commit, commit, last, last, 0, heard, match, log)


LOG = tail(*[2] * 4, *[3] * 6)
LEADER = member(
    A, "leader", 3, log=LOG, commit=408, vote=A, leader=A, heard=(B, C), match=((B, 409), (C, 380))
)
FOLLOWER = member(B, "follower", 3, log=LOG, commit=408, vote=A, leader=A, heard=(A,))
LAGGING = member(C, "follower", 3, log=tail(2, 2, last=380), commit=380, vote=A, leader=A, heard=(A,))
CALM = StoreView(NAMES, A, 3, True, (LEADER, FOLLOWER, replace(FOLLOWER, name=C)))
LAGS = replace(CALM, members=(LEADER, FOLLOWER, LAGGING))
# master-1 is cut off, and has not found out; the others have elected master-2, and written.
STALE = member(A, "leader", 3, log=tail(3, 3, 3, 3, last=411), commit=409, vote=A, leader=A)
NEW = member(
    B,
    "leader",
    4,
    log=tail(3, 3, 4, 4, last=411),
    commit=411,
    vote=B,
    leader=B,
    heard=(C,),
    match=((C, 411),),
)
NEWER = member(C, "follower", 4, log=tail(3, 3, 4, 4, last=411), commit=410, vote=B, leader=B, heard=(B,))
SPLIT = StoreView(NAMES, B, 4, True, (STALE, NEW, NEWER))
REJOINED = replace(
    SPLIT,
    members=(
        member(A, "follower", 4, log=tail(3, 3, 4, 4, last=411), commit=411, leader=B, heard=(B,)),
        replace(NEW, heard=(A, C)),
        NEWER,
    ),
)
SEEKS = member(B, "candidate", 4, log=LOG, commit=408, vote=B)
ELECTION = StoreView(NAMES, "", 4, True, (SEEKS,), (C,))


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


# The picture.


def test_a_calm_store_is_a_line_for_each_member_with_the_end_of_its_log() -> None:
    assert texts(raft_picture(CALM, 78, 9, "en")) == [
        "term 3 · ★ master-1 leads · ✓ quorum 3 of 3, 2 suffice",
        "member     role          term vote commit appl. log                  ← 1 2 3",
        "★ master-1 leader        3    → 1  408    408   2━2━2━2━3━3━3━3━3━3┄     ● ●",
        "○ master-2 follower      3    → 1  408    408   2━2━2━2━3━3━3━3━3━3┄   ●   ·",
        "○ master-3 follower      3    → 1  408    408   2━2━2━2━3━3━3━3━3━3┄   ● ·",
        "3━ committed, of term 3 · 3┄ not committed · ← hears: ● yes, ✗ no more",
    ]


def test_terms_are_told_apart_by_colour_too() -> None:
    tones = {text[:1]: tone for line in raft_picture(CALM, 78, 9, "en") for text, tone in line if "━" in text}
    assert tones["2"] != tones["3"]


def test_with_room_each_member_has_a_box_with_what_its_last_entries_do() -> None:
    picture = texts(raft_picture(CALM, 120, 12, "es"))
    assert picture[1].count("╭") == 3
    assert "★ master-1 · líder" in picture[1]
    assert "mandato 3 · votó a master-1" in picture[2]
    assert "confirmado 408 · aplicado 408" in picture[3]
    assert "oye a  ● master-2  ● master-3" in picture[5]
    assert "3┄ 409 Put /key-409" in picture[9]


def test_a_wide_table_says_what_the_last_entry_does() -> None:
    _, head, leader, *_ = texts(raft_picture(CALM, 104, 8, "en"))
    assert head.endswith("last entry")
    assert leader.endswith("Put /key-409")


def test_five_members_with_room_are_boxes_in_two_rows() -> None:
    five = replace(CALM, names=(*NAMES, "master-4", "master-5"))
    picture = texts(raft_picture(five, 156, 40, "en"))
    assert [line.count("╭") for line in picture if "╭" in line] == [3, 2]


def test_a_partition_shows_two_leaders_of_different_terms_and_where_their_logs_part() -> None:
    head, _, stale, new, newer, _ = texts(raft_picture(SPLIT, 110, 8, "en"))
    assert "★ master-2 leads · ✓ quorum 2 of 3" in head
    assert "☆ master-1 still believes it leads, term 3" in head
    assert stale.startswith("☆ master-1 leader")
    assert "3━3━3┄3┄" in stale
    assert "3━3━4━4━" in new
    assert "3━3━4━4┄" in newer
    assert stale.index("3━3━") == new.index("3━3━")  # The same entry is in the same column.


def test_who_hears_whom_is_a_matrix_in_which_silence_of_those_who_ought_to_speak_is_a_cross() -> None:
    _, head, stale, new, newer, _ = texts(raft_picture(SPLIT, 78, 8, "en"))
    at = head.index("←")
    assert [row[at:].rstrip() for row in (head, stale, new, newer)] == [
        "← 1 2 3",
        "    ✗ ✗",
        "  ✗   ●",
        "  · ●",
    ]


def test_a_follower_that_lags_says_by_how_much() -> None:
    assert "◂ 29 behind" in texts(raft_picture(LAGS, 78, 9, "en"))[4]


def test_of_a_member_that_does_not_tell_the_leader_knows_how_far_it_was() -> None:
    stopped = replace(LAGS, members=(LEADER, FOLLOWER), stopped=(C,))
    row = texts(raft_picture(stopped, 78, 9, "es"))[4]
    assert row.startswith("‖ master-3 detenido")
    assert "◂ le faltan 29" in row


def test_without_a_leader_the_picture_counts_who_lives() -> None:
    picture = texts(raft_picture(ELECTION, 78, 9, "en"))
    assert picture[0] == "term 4 · ✗ no leader · 1 of 3 live, to elect takes 2"
    assert picture[2].startswith("✗ master-1 dead")
    assert picture[3].startswith("◐ master-2 candidate     4    → 2")
    assert picture[4].startswith("‖ master-3 stopped")


def test_a_leader_that_hears_too_few_has_no_quorum() -> None:
    lonely = replace(CALM, members=(replace(LEADER, heard=()), FOLLOWER))
    assert "✗ no quorum: 1 of 3, 2 are needed" in texts(raft_picture(lonely, 78, 9, "en"))[0]


def test_learners_do_not_count() -> None:
    four = replace(
        CALM, names=(*NAMES, "l-4"), members=(*CALM.members, replace(FOLLOWER, name="l-4", role="learner"))
    )
    head, *_, learner, _ = texts(raft_picture(four, 78, 9, "en"))
    assert "quorum 3 of 3" in head
    assert learner.startswith("◇ l-4      learner")


def test_news_are_told_where_rows_are_left_and_before_the_legend() -> None:
    news = list(raft_news(CALM, SPLIT))
    roomy, tight, none = (texts(raft_picture(SPLIT, 78, height, "en", news)) for height in (7, 6, 5))
    assert roomy[-2] == tight[-1] == news[-1].en
    assert roomy[-1].startswith("4━ committed, of term 4")
    assert none[-1].startswith("○ master-3")


def test_a_store_with_one_member_or_that_does_not_tell_has_no_picture() -> None:
    assert tells(CALM)
    assert not tells(replace(CALM, members=()))
    assert not tells(StoreView((A,), A, 2, True, (LEADER,)))
    assert texts(raft_picture(None, 60, 8, "en")) == ["There is nothing to show yet."]


ENTRIES = st.integers(0, 12).flatmap(
    lambda count: st.builds(
        lambda terms, last: tail(*sorted(terms), last=last + count),
        st.lists(st.integers(1, 1200), min_size=count, max_size=count),
        st.integers(1, 10**9),
    )
)


@st.composite
def stores(draw: st.DrawFn) -> StoreView:
    names = tuple(f"master-{n}" for n in range(1, draw(st.integers(1, 7)) + 1))
    some = st.sampled_from(("", *names))
    known = st.lists(st.sampled_from(names), unique=True).map(tuple)
    index = st.integers(0, 10**9)
    views = st.builds(
        RaftView,
        name=some,
        role=st.sampled_from(("leader", "follower", "pre-candidate", "candidate", "learner")),
        term=st.integers(0, 1200),
        vote=some,
        leader=some,
        commit=index,
        applied=index,
        persisted=index,
        last_index=index,
        snapshot_index=index,
        heard=known,
        match=known.map(lambda each: tuple((name, 7) for name in each)),
        tail=ENTRIES,
    )
    members = (replace(draw(views), name=name) for name in draw(known))
    return StoreView(names, draw(some), draw(st.integers(0, 1200)), True, tuple(members), draw(known))


@settings(max_examples=30)
@given(stores(), st.integers(20, 200), st.integers(3, 50), st.sampled_from(LANGUAGES))
def test_no_line_is_wider_than_the_picture_and_no_member_is_lost(
    store: StoreView, width: int, height: int, language: Language
) -> None:
    picture = raft_picture(store, width, height, language)
    assert all(width_of(line) == width for line in picture)
    if height >= len(store.names) + 3:
        assert all(name in "".join(texts(picture)) for name in store.names)
        assert len(picture) <= height


@settings(max_examples=10)
@given(stores(), stores())
def test_of_any_two_pictures_there_is_something_to_tell_or_nothing(
    before: StoreView, after: StoreView
) -> None:
    assert not list(raft_news(before, before))
    list(raft_news(before, replace(after, names=before.names)))


# The news.


def english(before: StoreView, after: StoreView) -> list[str]:
    return [text.en for text in raft_news(before, after)]


def test_an_election_is_told_with_its_voters() -> None:
    assert english(CALM, SPLIT) == [
        "master-1 leads no more",
        "term 4: master-2 leads, by the votes of master-2 and master-3",
    ]


def test_who_dies_stops_and_comes_back_is_told() -> None:
    assert english(CALM, ELECTION)[:2] == ["master-1 dies", "master-3 stands still"]
    assert english(replace(CALM, members=(LEADER, FOLLOWER)), CALM) == ["master-3 is back"]


def test_a_term_that_ends_without_a_leader_is_told() -> None:
    assert english(ELECTION, replace(ELECTION, term=5)) == ["term 4 → 5"]


def test_a_cable_that_is_cut_and_joined_is_told_as_the_leader_finds_out() -> None:
    cut = replace(CALM, members=(replace(LEADER, heard=(B,)), *CALM.members[1:]))
    assert english(CALM, cut) == ["the leader hears no more of master-3"]
    assert english(cut, CALM) == ["the leader hears master-3 again"]


def test_a_stale_leader_that_rejoins_gives_up_what_was_not_committed() -> None:
    assert english(SPLIT, REJOINED) == [
        "the leader hears master-1 again",
        "master-1 replaces what was not committed (term 3) by what the leader has (term 4)",
    ]


def test_who_lagged_and_has_caught_up_is_told() -> None:
    assert english(LAGS, CALM) == ["master-3 has caught up with the leader"]


# Where it is seen.


def test_f7_goes_on_to_raft_and_in_lessons_about_it_begins_there() -> None:
    views: tuple[Pane, ...] = ("state", "raft")
    assert [next(iter(panes)) for panes in turns("tight", views)] == ["text", "state", "raft", "changes"]
    assert visible_panes("roomy", 0, None, views[::-1]) == {"text", "shell", "raft"}
    assert visible_panes("broad", 1, None, views) == {"text", "shell", "raft", "changes"}
    assert turn_with("raft", "roomy", 0, views) == 1
    assert sharing("broad", views) == ("state", "raft")


WITH_MASTERS = replace(
    SNAPSHOT,
    machines=(
        *(MachineView(name, "master", f"10.77.0.1{name[-1]}", 1, ()) for name in NAMES),
        *SNAPSHOT.machines[1:],
    ),
    store=CALM,
    leaders=(LeaderView("kube-scheduler", B, 1), LeaderView("kube-controller-manager", B, 0)),
)


class SeveralMasters(DemoPort):
    """`show` has the app see another snapshot. The lesson on pods is one on *masters* masters."""

    def __init__(self, *, masters: int = 1, store: StoreView | None = CALM) -> None:
        super().__init__()
        self._masters = masters
        self._snapshot: LabSnapshot = replace(WITH_MASTERS, store=store)
        self._changed = asyncio.Event()

    def show(self, store: StoreView) -> None:
        self._snapshot = replace(self._snapshot, store=store)
        self._changed.set()

    async def snapshots(self) -> AsyncIterator[LabSnapshot]:
        while True:
            self._changed.clear()
            yield self._snapshot
            await self._changed.wait()

    def catalog(self) -> tuple[TrackEntry, ...]:
        return tuple(
            replace(track, lessons=tuple(replace(each, masters=self._masters) for each in track.lessons))
            for track in CATALOG
        )


def raft(app: KubelabApp) -> Widget:
    return app.screen.query_one("#raft")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_a_lesson_on_several_masters_shows_raft_first(until: Until, size: tuple[int, int]) -> None:
    async with in_lesson(until, SeveralMasters(masters=3), size) as (app, pilot, _):
        if size == (80, 24):
            await pilot.press("f7")
        await until(pilot, lambda: "raft" in seen(app) and "★ master-1 leads" in said(raft(app)))
        await until(pilot, lambda: "state" not in seen(app))
        await pilot.press("f7")
        await until(pilot, lambda: "raft" not in seen(app) and "state" in seen(app))


async def test_in_another_lesson_raft_is_behind_the_live_state_once_there_is_one_to_see(until: Until) -> None:
    port = SeveralMasters(store=None)
    async with in_lesson(until, port, (120, 36)) as (app, pilot, _):
        await pilot.press("f6", "f")  # Nobody tells of Raft yet: the letter does nothing.
        await until(pilot, lambda: "state" in seen(app))
        port.show(CALM)
        await until(pilot, lambda: "Raft" in (app.screen.query_one("#state").border_title or ""))
        await pilot.press("f")
        await until(pilot, lambda: "raft" in seen(app) and "★ master-1 leads" in said(raft(app)))


async def test_what_happens_is_seen_as_it_happens_and_remembered(until: Until) -> None:
    port = SeveralMasters(masters=3)
    async with in_lesson(until, port, (120, 36)) as (app, pilot, _):
        await until(pilot, lambda: "★ master-1 leads" in said(raft(app)))
        port.show(SPLIT)
        await until(pilot, lambda: "☆ master-1 · leader" in said(raft(app)))
        port.show(REJOINED)
        await until(pilot, lambda: "master-1 replaces what was not committed" in said(raft(app)))
        port.show(replace(REJOINED, members=()))  # All of them die: what is left is worth a look.
        await until(pilot, lambda: "✗ master-1 · dead" in said(raft(app)))


# Several masters in the other pictures.


def test_several_masters_are_one_box_that_tells_what_leads_where() -> None:
    picture = texts(cluster_picture(WITH_MASTERS, 120, 10, "en"))
    assert picture[0].count("╭") == 3
    assert "control plane · revision 1234" in picture[0]
    assert "★ master-1 10.77.0.11" in picture[1]
    assert "○ master-2 10.77.0.12" in picture[2]
    assert "scheduler → master-2" in picture[4]


def test_in_a_list_several_masters_take_two_lines_and_one_without_power_is_there() -> None:
    machines = tuple(machine for machine in WITH_MASTERS.machines if machine.name != C)
    picture = texts(cluster_picture(replace(WITH_MASTERS, machines=machines), 78, 10, "en"))
    assert picture[:3] == [
        "control plane · revision 1234",
        "  ★ master-1  ○ master-2  ✗ master-3",
        "minion-1 · ✓ Ready · 10.77.0.21",
    ]


def test_masters_whose_member_is_dead_or_stopped_are_marked() -> None:
    picture = texts(cluster_picture(replace(WITH_MASTERS, store=ELECTION), 78, 10, "en"))
    assert picture[1] == "  ✗ master-1  ○ master-2  ‖ master-3"
    etcd = StoreView(NAMES, "", 0, True)  # It tells nothing of its members.
    picture = texts(cluster_picture(replace(WITH_MASTERS, store=etcd), 78, 10, "en"))
    assert picture[1] == "  ○ master-1  ○ master-2  ○ master-3"
