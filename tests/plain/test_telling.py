"""What a view says in lines, and what is new in it; the live state in sentences."""

from dataclasses import replace

from kubelab.cluster.lab.snapshot import (
    LabSnapshot,
    LogEntryView,
    MachineView,
    NodeView,
    PodView,
    ProcessView,
    RaftView,
    StoreView,
)
from kubelab.language import Text
from kubelab.lessons.view import CheckView, LessonView, StepView, Verdict
from kubelab.plain.state import state_sentences
from kubelab.plain.telling import Teller

CHECK = CheckView(Verdict.NOT_YET, Text("hay un bash.", "there is a bash."), Text("no hay", "none"), "ps -e")
STEP = StepView(
    id="one",
    title=Text("Uno", "One"),
    body=Text("Haz *esto*.", "Do *this*."),
    hints=(Text("Mira.", "Look."), Text("Busca.", "Search.")),
    hints_shown=0,
    passed=False,
    checks=(CHECK,),
    message=None,
    debrief=Text("Así fue.", "So it was."),
)
VIEW = LessonView("track/lesson", Text("Lección", "Lesson"), (STEP, replace(STEP, id="two")), 0)
ENGLISH = Teller("en")


def with_step(**changes: object) -> LessonView:
    return replace(VIEW, steps=(replace(STEP, **changes), *VIEW.steps[1:]))  # type: ignore[arg-type]


def test_a_step_is_told_with_the_hints_seen_so_far() -> None:
    assert list(ENGLISH.step(with_step(hints_shown=1))) == [
        "Step 1 of 2: One",
        "",
        "Do this.",
        "",
        "Hint 1 of 2.",
        "Look.",
    ]


def test_both_languages_are_told() -> None:
    assert list(Teller("es").step(VIEW)) == ["Paso 1 de 2: Uno", "", "Haz esto."]


def test_an_unmet_check_says_what_is_seen_and_where_to_look() -> None:
    assert list(ENGLISH.checks(STEP)) == [
        "Not yet: there is a bash.",
        "Observed: none.",
        "See it with: ps -e",
    ]
    assert list(ENGLISH.checks(replace(STEP, checks=(replace(CHECK, verdict=Verdict.PASSED),)))) == [
        "Met: there is a bash."
    ]


def test_a_probe_that_failed_is_never_called_the_learners_mistake() -> None:
    checks = (replace(CHECK, verdict=Verdict.CANNOT_CHECK),)
    assert list(ENGLISH.checks(replace(STEP, checks=checks)))[:2] == [
        "Cannot check: there is a bash.",
        "Reason: none.",
    ]


def test_passing_is_news_once_with_its_debrief() -> None:
    passed = with_step(passed=True)
    assert list(ENGLISH.news(VIEW, passed)) == [
        "Step passed: One.",
        "So it was.",
        ":next goes on to the next step.",
    ]
    assert list(ENGLISH.news(passed, passed)) == []


def test_the_last_step_passed_is_the_lesson_passed() -> None:
    done = replace(VIEW, steps=tuple(replace(step, passed=True) for step in VIEW.steps))
    before = replace(done, steps=(STEP, *done.steps[1:]))
    assert list(ENGLISH.news(before, done))[-1] == "Lesson passed: Lesson. :home goes back to the list."


def test_a_misconception_is_news_when_it_shows_itself() -> None:
    wrong = with_step(message=Text("No.", "It does not."))
    assert list(ENGLISH.news(VIEW, wrong)) == ["Mind.", "It does not."]
    assert list(ENGLISH.news(wrong, wrong)) == list(ENGLISH.news(wrong, VIEW)) == []


def test_going_to_another_step_is_no_news() -> None:
    assert list(ENGLISH.news(VIEW, replace(with_step(passed=True), index=1))) == []


def test_the_state_of_a_lessons_own_machine_is_its_processes() -> None:
    processes = (ProcessView(70, 1, (17,), 5, "bash -i"), ProcessView(71, 70, (18, 1), 9, "bash"))
    machine = MachineView("taller", "scratch", "10.89.0.31", 5, processes)
    assert [text.en for text in state_sentences(LabSnapshot((machine,)), "taller")] == [
        "Machine taller, scratch, 10.89.0.31.",
        "PID 17: bash -i",
        "PID 18, and 1 in its PID namespace 9: bash",
    ]


def test_the_state_of_a_cluster_is_its_nodes_and_pods() -> None:
    machine = MachineView("minion-1", "minion", "10.89.0.21", 1, ())
    node = NodeView("minion-1", True, "Ready", "10.89.0.21")
    pod = PodView("default", "web", "Running", "1/1", 0, "minion-1", "10.244.0.2", 3.0, (41, 42))
    waiting = replace(pod, name="late", namespace="kube-system", status="Pending", node="")
    snapshot = LabSnapshot((machine,), (node,), (pod, waiting), (), 7)
    assert [text.en for text in state_sentences(snapshot, "minion-1")] == [
        "Machine minion-1, minion, 10.89.0.21.",
        "Node minion-1: Ready.",
        "Pod web: Running, 1/1 ready, restarts 0.",
        "It is on minion-1, address 10.244.0.2, processes 41, 42.",
        "Pod kube-system/late: Pending, 1/1 ready, restarts 0.",
        "It waits for a node.",
        "Revision of the store: 7.",
    ]


def test_the_state_of_several_masters_tells_how_the_stores_members_are() -> None:
    tail = tuple(LogEntryView(index, term, "Put /a") for index, term in ((7, 2), (8, 2), (9, 3)))
    leader = RaftView("m-1", "leader", 3, "m-1", "m-1", 8, 8, 9, 9, 0, ("m-2",), (), tail)
    cut = RaftView("m-2", "pre-candidate", 2, "", "", 8, 8, 8, 8, 0)
    store = StoreView(("m-1", "m-2", "m-3", "m-4"), "m-1", 3, True, (leader, cut), ("m-3",))
    machine = MachineView("m-1", "master", "10.89.0.11", 1, ())
    told = [text.en for text in state_sentences(LabSnapshot((machine,), revision=7, store=store), "m-1")]
    assert told[told.index("Revision of the store: 7.") + 1 :] == [
        "Raft: term 3, m-1 leads, 2 of 4 members live and 3 are needed.",
        "m-1 leads in term 3.",
        "It voted for m-1.",
        "Its log goes up to 9: commit 8, applied 8.",
        "Last entries, term by number: 2 × 2, 3 × 1.",
        "It hears m-2.",
        "m-2 is a pre-candidate in term 2.",
        "Its log goes up to 8: commit 8, applied 8.",
        "It hears nobody.",
        "m-3 is stopped: it is there, and does not answer.",
        "m-4 is dead.",
    ]
    etcd = StoreView(("m-1", "m-2"), "", 0, True)  # It tells nothing here.
    told = [text.en for text in state_sentences(LabSnapshot((machine,), revision=7, store=etcd), "m-1")]
    assert told[-1] == "Revision of the store: 7."


def test_on_a_terminal_sentences_are_broken_between_words() -> None:
    long = Text("uno dos tres cuatro", "one two three four")
    assert Teller("en", 9).say(long) == ["one two", "three", "four"]
    assert Teller("en").say(long) == ["one two three four"]
