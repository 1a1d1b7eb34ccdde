"""The views of the live state, side by side where there is room: as it is, the store's Raft, and what changed
in the step.

Changes are asked for at most four times a second, and only while they are seen.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from textual.geometry import Region
from textual.message import Message

from kubelab.cluster.lab.snapshot import StoreView
from kubelab.language import Language, Text
from kubelab.lessons.change import Change
from kubelab.ui.changes_picture import changes_picture, line_of_news, score
from kubelab.ui.lab_screen import LabScreen
from kubelab.ui.line_view import LineView
from kubelab.ui.picture import Line
from kubelab.ui.raft_news import raft_news
from kubelab.ui.raft_picture import raft_picture, tells

if TYPE_CHECKING:
    from textual.timer import Timer

LOOK_S = 0.25
RAFT_NEWS = 8
NEWS_LOOKS = 16  # For how many looks a change counts as news: 4 s.


class StateView(LineView, can_focus=True):
    """The live state; it scrolls where it does not fit."""

    DEFAULT_CSS = "StateView { scrollbar-gutter: stable; padding: 0 0 0 1; }"


class RaftPane(LineView, can_focus=True):
    """The store's members, and what has happened to them since they were first looked at."""

    DEFAULT_CSS = "RaftPane { scrollbar-gutter: stable; padding: 0 0 0 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(self._picture, id=id, classes=classes)
        self._store: StoreView | None = None
        self._news: deque[Text] = deque(maxlen=RAFT_NEWS)

    @property
    def has_picture(self) -> bool:
        """There are several members, of which one has told how it is."""
        return self._store is not None

    def show(self, store: StoreView | None) -> None:
        """Show *store*, unless it never told anything: what all members' deaths leave is worth a look."""
        if store is None or not (self._store or tells(store)):
            return
        if self._store:
            self._news.extend(raft_news(self._store, store))
        self._store = store
        self.redraw()

    def _picture(self, width: int, height: int) -> list[Line]:
        return raft_picture(self._store, width, height, _language_of(self), self._news)


class ChangesView(LineView, can_focus=True):
    """What changed since the step began: *look* tells it."""

    class Counted(Message):
        """There are more or fewer changes than before; `ChangesView.score` tells how many."""

    DEFAULT_CSS = "ChangesView { scrollbar-gutter: stable; padding: 0 0 0 1; }"

    def __init__(
        self,
        look: Callable[[], Sequence[Change]],
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(self._picture, id=id, classes=classes)
        self._look = look
        self._first_seen: dict[Change, int] = {}
        self._looks = 0
        self._news: set[Change] = set()
        self._timer: Timer | None = None
        self.changes: Sequence[Change] = ()

    def on_mount(self) -> None:
        self._timer = self.set_interval(LOOK_S, self.look, pause=True)

    def follow(self, *, seen: bool) -> None:
        """Keep looking while the view is *seen*."""
        if self._timer and seen:
            self._timer.resume()
            self.look()
        elif self._timer:
            self._timer.pause()

    def look(self) -> None:
        """Look again; what is new is brought into view, unless the learner is reading here."""
        if not self.region.area:
            return
        before = self.changes, self._news
        self.changes = self._look()
        self._looks += 1
        self._first_seen = {change: self._first_seen.get(change, self._looks) for change in self.changes}
        self._news = self._news_now()
        if (self.changes, self._news) != before or self._looks == 1:
            self._show(score(before[0]))

    def _show(self, score_before: str) -> None:
        self.redraw()
        if self._looks in self._first_seen.values() and not self.has_focus:
            self._bring_news_into_view()
        if self.score != score_before:
            self.post_message(self.Counted())

    @property
    def score(self) -> str:
        return score(self.changes)

    def begin_again(self) -> None:
        """Another step began: nothing that is shown holds any more."""
        self._first_seen.clear()
        self._looks = 0
        self.look()

    def _news_now(self) -> set[Change]:
        oldest = self._looks - NEWS_LOOKS
        return {change for change, first in self._first_seen.items() if first > max(1, oldest)}

    def _bring_news_into_view(self) -> None:
        width = self.scrollable_content_region.width
        line = line_of_news(self.changes, width, _language_of(self), self._news)
        if line >= 0:
            self.scroll_to_region(Region(0, line, width, 1), animate=False)

    def _picture(self, width: int, height: int) -> list[Line]:
        return changes_picture(self.changes, width, _language_of(self), self._news)


def _language_of(view: LineView) -> Language:
    return cast("LabScreen", view.screen).lab_app.language
