"""What the home screen's menus offer for a lesson. Pure."""

from kubelab.language import Text
from kubelab.lessons.view import LessonEntry, LessonStatus, Mode
from kubelab.ui import words
from kubelab.ui.menu import Entry


def is_due(entry: LessonEntry) -> bool:
    """Whether *entry* was passed so long ago that it is worth doing again."""
    return (
        entry.status is LessonStatus.PASSED and entry.review_in_days is not None and entry.review_in_days <= 0
    )


def home_entries(entry: LessonEntry | None) -> list[Entry]:
    """Return what can be done with *entry*, the lesson that is chosen, and at home."""
    return [
        *(_lesson_entries(entry) if entry else ()),
        Entry("l", words.MENU_LANGUAGE, "app.language", "F2"),
        Entry("?", words.MENU_HELP, "app.help", "F1"),
        Entry("q", words.MENU_QUIT, "app.leave", "F10"),
    ]


def _lesson_entries(entry: LessonEntry) -> list[Entry]:
    entries = [Entry("a", _titled(words.MENU_OPEN, entry), f"enter({entry.id!r})")]
    if entry.missing:
        return entries  # It can be read only.
    if entry.status is not LessonStatus.NEW:
        entries.append(Entry("o", words.MENU_START_OVER, _again(entry), asks=True))
    return [*entries, _test(entry)]


def review_title(entry: LessonEntry) -> Text:
    return _titled(words.REVIEW_MENU, entry)


def review_entries(entry: LessonEntry) -> list[Entry]:
    """Return the ways into a lesson that is due: nothing is begun anew unless it is asked for."""
    return [
        Entry("r", words.REVIEW_AGAIN, _again(entry)),
        _test(entry),
        Entry("a", words.REVIEW_LOOK, f"enter({entry.id!r})"),
    ]


def _test(entry: LessonEntry) -> Entry:
    """A test begins the lesson from its beginning: where the learner was in it is lost."""
    action = f"enter({entry.id!r}, {Mode.TEST_OUT.value!r})"
    return Entry("e", words.MENU_TEST, action, asks=entry.status is LessonStatus.STARTED)


def _again(entry: LessonEntry) -> str:
    return f"enter({entry.id!r}, {Mode.LEARN.value!r}, True)"


def _titled(text: Text, entry: LessonEntry) -> Text:
    return Text(text.es.format(title=entry.title.es), text.en.format(title=entry.title.en))
