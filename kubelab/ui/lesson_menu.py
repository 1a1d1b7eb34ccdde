"""What the menu of a lesson offers, for what the lesson allows just now. Pure."""

from collections.abc import Sequence

from kubelab.lessons.view import LessonView, Mode
from kubelab.ui import words
from kubelab.ui.menu import Entry


def lesson_entries(
    view: LessonView, machines: Sequence[str], shells: int, *, raft: bool = False
) -> list[Entry]:
    """*machines* are those on which shells can be opened, none where the lesson can only be read; *shells*
    tells how many are open, *raft* whether the store has several members to look at."""
    live = _live_entries(view, machines, shells, raft=raft)
    return [*_help_entries(view), *live, *_lesson_entries(view, machines)]


def shell_entries(machines: Sequence[str]) -> list[Entry]:
    return [
        Entry(str(number), words.MENU_SHELL_ON.format(machine=machine), f"new_shell({machine!r})")
        for number, machine in enumerate(machines, 1)
    ]


def _help_entries(view: LessonView) -> list[Entry]:
    if view.mode is Mode.TEST_OUT:
        return []
    entries = [Entry("h", words.MENU_HINT, "hint", "F3")]
    asked = view.step.prediction
    if asked and not asked.outcome:
        entries.insert(0, Entry("a", words.MENU_PREDICT, "answer"))
    return entries


def _live_entries(view: LessonView, machines: Sequence[str], shells: int, *, raft: bool) -> list[Entry]:
    if not machines:
        return []
    entries = [
        Entry("v", words.MENU_CHECK, "check", "F9"),
        Entry("w", words.MENU_CHANGES, "changes"),
        Entry("s", words.MENU_STATE, "state", "F7"),
        *([Entry("f", words.MENU_RAFT, "raft")] if raft else []),
        Entry("z", words.MENU_ZOOM, "zoom", "F8"),
    ]
    if machines[1:]:
        entries.append(Entry("x", words.MENU_SHELLS, "choose_machine"))
    else:
        (machine,) = machines
        entries.append(Entry("x", words.MENU_SHELL.format(machine=machine), f"new_shell({machine!r})"))
    if shells > 1:
        entries.append(Entry("t", words.MENU_NEXT_SHELL, "next_shell", "F11"))
    if view.mode is Mode.LEARN and not view.step.passed:
        entries.append(Entry("d", words.MENU_FORWARD, "forward(True)", asks=True))
    return [*entries, Entry("r", words.MENU_RESET, "reset(True)", asks=True)]


def _lesson_entries(view: LessonView, machines: Sequence[str]) -> list[Entry]:
    entries: list[Entry] = []
    if machines:
        entries.append(Entry("o", words.MENU_START_OVER, "start_over(True)", asks=True))
        entries.append(
            Entry("e", words.MENU_LEARN, "learn")
            if view.mode is Mode.TEST_OUT
            else Entry("e", words.MENU_TEST, "test_out", asks=True)
        )
    return [
        *entries,
        Entry("l", words.MENU_LANGUAGE, "app.language", "F2"),
        Entry("?", words.MENU_HELP, "app.help", "F1"),
        Entry("q", words.MENU_HOME, "leave", "F10"),
    ]
