"""Pictures of the live state: what a learner reads off them, at any width."""

from dataclasses import replace

import pytest
from demo_port import CHANGES, SNAPSHOT
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.lab.snapshot import LabSnapshot, RequestView
from kubelab.language import LANGUAGES, Language, Text
from kubelab.lessons.change import About, Change, Sign
from kubelab.ui.changes_picture import changes_picture, line_of_news, score
from kubelab.ui.cluster_picture import cluster_picture
from kubelab.ui.layout import next_focus, room, turn_with, visible_panes
from kubelab.ui.picture import Line, fitted, spread, width_of
from kubelab.ui.process_picture import process_picture

SCRATCH = SNAPSHOT.machines[-1]


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def test_a_cluster_with_room_is_boxes_side_by_side() -> None:
    picture = texts(cluster_picture(SNAPSHOT, 120, 10, "en"))
    assert picture[0].count("╭") == 3
    assert "master-1 · control plane" in picture[0]
    assert "minion-1 · ✓ Ready" in picture[0]
    assert "minion-2 · ✗ NotReady" in picture[0]


def test_a_cluster_without_room_is_a_list() -> None:
    picture = texts(cluster_picture(SNAPSHOT, 70, 10, "en"))
    assert "╭" not in "".join(picture)
    assert picture[1] == "minion-1 · ✓ Ready · 10.77.0.21"


def test_a_pod_shows_its_state_in_words_and_its_processes_with_both_pids() -> None:
    picture = "\n".join(texts(cluster_picture(SNAPSHOT, 70, 20, "en")))
    assert "● web Running 1/1" in picture
    assert "10.244.1.5" in picture
    assert "pause 17→1 · python3 23→7" in picture
    assert "✗ api-7d9f CrashLoopBackOff 0/1 ↻ restarts 3" in picture
    assert "◌ kube-system/dns ContainerCreating" in picture


def test_a_pod_without_a_node_waits_below_the_machines() -> None:
    assert "◌ big Pending 0/1 — espera un nodo" in texts(cluster_picture(SNAPSHOT, 120, 10, "es"))


def test_the_newest_event_is_the_last_line() -> None:
    assert texts(cluster_picture(SNAPSHOT, 120, 10, "en"))[-1].startswith(
        "event FailedScheduling pod/big ×2: 0/2 nodes"
    )


def test_pods_that_do_not_fit_are_counted() -> None:
    many = tuple(replace(SNAPSHOT.pods[0], name=f"web-{n}") for n in range(9))
    picture = "\n".join(texts(cluster_picture(replace(SNAPSHOT, pods=many), 120, 8, "en")))
    assert "+5 …" in picture


def test_scratch_machines_are_no_part_of_the_cluster() -> None:
    assert "lesson" not in "\n".join(texts(cluster_picture(SNAPSHOT, 120, 10, "en")))


def test_before_anything_runs_the_picture_says_so() -> None:
    assert texts(cluster_picture(LabSnapshot(), 80, 10, "en")) == ["There is nothing to show yet."]


def test_processes_are_a_tree_with_the_pids_that_host_machine_and_namespace_see() -> None:
    assert texts(process_picture(SCRATCH, 100, "en")) == [
        "  on host  machine   inside   process",
        "    42000        1        ·   init",
        "    42010        9        ·   ├─ bash -l",
        "    42020       15        ·   │  └─ unshare --pid --fork --mount-proc bash",
        "    42021       16        1   │     └─ ◆ bash  PID namespace …2601",
        "    42030       20        5   │        └─ ◆ sleep 300  PID namespace …2601",
        "    42040       31        ·   └─ sleep 1000",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@given(width=st.integers(20, 240), height=st.integers(3, 60))
def test_no_line_is_wider_than_the_picture(language: Language, width: int, height: int) -> None:
    for line in cluster_picture(SNAPSHOT, width, height, language) + process_picture(
        SCRATCH, width, language
    ):
        assert width_of(line) <= width


def test_changes_are_told_by_machine_and_kind_with_a_sign_and_a_word() -> None:
    assert texts(changes_picture(CHANGES, 60, "en")) == [
        "cluster · API objects",
        "  + new pod default/web",
        "minion-1 · processes",
        "  + new 17 /pause",
        "  + new 23 /usr/bin/python3 -m http.server",
        "minion-1 · cgroups",
        "  ~ now memory.max of demo: max → 33554432",
        "minion-1 · mounts",
        "  - gone /mnt/old (tmpfs)",
    ]
    assert score(CHANGES) == "+3 -1 ~1"


def test_without_changes_the_picture_says_so() -> None:
    assert texts(changes_picture((), 60, "es")) == ["Nada ha cambiado desde que empezó el paso."]
    assert score(()) == ""


def test_what_came_just_now_is_marked_and_found() -> None:
    news = {CHANGES[1]}
    lines = texts(changes_picture(CHANGES, 60, "en", news))
    assert lines[line_of_news(CHANGES, 60, "en", news)] == "  + new 17 /pause ◂"
    assert line_of_news(CHANGES, 60, "en", set()) == -1


def test_a_long_change_goes_on_in_the_next_line() -> None:
    assert texts(changes_picture(CHANGES[-1:], 28, "en"))[1:] == [
        "  ~ now memory.max of demo:",
        "        max → 33554432",
    ]


CHANGE = st.builds(
    Change,
    st.sampled_from(Sign),
    st.sampled_from(About),
    st.sampled_from(["", "minion-1"]),
    st.text("ab日 -", max_size=60).map(lambda text: Text(text, text)),
)


@given(st.lists(CHANGE, max_size=8), st.integers(16, 80), st.sampled_from(LANGUAGES))
def test_no_change_is_lost_or_wider_than_the_picture(
    changes: list[Change], width: int, language: Language
) -> None:
    picture = changes_picture(changes, width, language)
    assert all(width_of(line) == width for line in picture)
    told = "".join("".join(texts(picture)).split())
    assert all("".join(change.what.in_(language).split()) in told for change in changes)


LINES = st.lists(st.tuples(st.text("ab日 …", max_size=8), st.just("plain")), max_size=5).map(tuple)


@given(LINES, st.integers(0, 40))
def test_a_fitted_line_is_as_wide_as_asked(line: Line, width: int) -> None:
    assert width_of(fitted(line, width)) == width


@given(LINES, LINES, st.integers(0, 60))
def test_two_lines_are_spread_over_the_width(left: Line, right: Line, width: int) -> None:
    assert width_of(spread(left, right, width)) == width


def test_what_is_seen_follows_from_columns_and_rows() -> None:
    assert [room(*size) for size in ((80, 24), (120, 24), (80, 45), (160, 24))] == [
        "tight",
        "roomy",
        "roomy",
        "broad",
    ]


def test_where_it_is_broad_everything_is_seen_and_f7_hides_the_lower_panes() -> None:
    assert visible_panes("broad", 0, None) == {"text", "shell", "state", "changes"}
    assert visible_panes("broad", 1, None) == {"text", "shell"}


def test_with_room_f7_goes_from_state_to_changes_to_neither() -> None:
    seen = [visible_panes("roomy", turn, None) - {"text", "shell"} for turn in range(4)]
    assert seen == [{"state"}, {"changes"}, set(), {"state"}]


def test_in_80x24_f7_puts_state_and_changes_in_the_texts_place() -> None:
    seen = [visible_panes("tight", turn, None) - {"shell"} for turn in range(4)]
    assert seen == [{"text"}, {"state"}, {"changes"}, {"text"}]


def test_a_pane_that_is_asked_for_is_found() -> None:
    assert "changes" in visible_panes("tight", turn_with("changes", "tight", 0), None)
    assert turn_with("changes", "broad", 2) == 2


def test_zoom_shows_one_pane() -> None:
    assert visible_panes("broad", 0, "shell") == {"shell"}


def test_focus_goes_round_the_panes_that_are_seen() -> None:
    seen = visible_panes("tight", 1, None)
    assert next_focus(seen, "shell") == "state"
    assert next_focus(seen, "state") == "shell"
    assert next_focus(seen, "text") == "shell"


def test_the_last_requests_of_people_are_told_in_words_and_signs() -> None:
    made = RequestView("12:00:01", "ana", "create", "pods/web", "shop", 201, 4.25)
    refused = RequestView("12:00:02", "ana", "get", "/metrics", "", 403, 0.5)
    picture = texts(cluster_picture(replace(SNAPSHOT, requests=(made, refused)), 120, 20, "en"))
    assert picture[-3:-1] == [
        "request ✓ 201 create pods/web -n shop · ana · 12:00:01 · 4.2 ms",
        "request ✗ 403 get /metrics · ana · 12:00:02 · 0.5 ms",
    ]
