"""What changed since the step began, as a picture: by machine and kind, the newest last. Pure."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len, chop_cells

from kubelab.language import Language
from kubelab.lessons.change import About, Change, Sign
from kubelab.ui import words
from kubelab.ui.picture import Line, Tone, fitted

_KINDS = list(About)
_TONES: dict[Sign, Tone] = {Sign.NEW: "good", Sign.GONE: "bad", Sign.OTHER: "busy"}
_INDENT = 2
NEWS = "◂"


def changes_picture(
    changes: Sequence[Change], width: int, language: Language, news: Collection[Change] = ()
) -> list[Line]:
    """Return the lines; those of *news*, the changes that came just now, are marked."""
    if not changes:
        return [fitted(((words.NOTHING_CHANGED.in_(language), "muted"),), width)]
    return [line for line, _ in _lines(changes, width, language, news)]


def line_of_news(changes: Sequence[Change], width: int, language: Language, news: Collection[Change]) -> int:
    """Return the number of the last line that tells of *news*, to be brought into view; -1 if none does."""
    told = [change in news for _, change in _lines(changes, width, language, news)]
    return max((number for number, is_news in enumerate(told) if is_news), default=-1)


def score(changes: Sequence[Change]) -> str:
    """Return how many things are new, gone and otherwise: "+3 -1 ~2"; nothing for none."""
    signs = [change.sign for change in changes]
    return " ".join(f"{sign}{signs.count(sign)}" for sign in Sign if sign in signs)


def _lines(
    changes: Sequence[Change], width: int, language: Language, news: Collection[Change]
) -> Iterator[tuple[Line, Change | None]]:
    for (place, about), group in groupby(sorted(changes, key=_group), key=lambda change: _group(change)):
        where = place or words.CLUSTER.in_(language)
        heading: Line = ((where, "strong"), (f" · {words.KINDS[_KINDS[about]].in_(language)}", "muted"))
        yield fitted(heading, width), None
        for change in group:
            yield from ((line, change) for line in _change(change, width, language, change in news))


def _group(change: Change) -> tuple[str, int]:
    """The cluster first, then machine by machine. Sorting is stable: what came last stays last."""
    return change.place, _KINDS.index(change.about)


def _change(change: Change, width: int, language: Language, is_news: bool) -> Iterator[Line]:
    sign = f"{'':{_INDENT}}{words.SIGNS[change.sign].in_(language)} "
    text = change.what.in_(language) + (f" {NEWS}" if is_news else "")
    first, *rest = _wrapped(text, max(1, width - cell_len(sign)))
    yield fitted(((sign, _TONES[change.sign]), (first, "strong" if is_news else "plain")), width)
    for line in rest:
        yield fitted(((" " * cell_len(sign), "plain"), (line, "strong" if is_news else "plain")), width)


def _wrapped(text: str, width: int) -> list[str]:
    """Return *text* in lines of at most *width* columns, broken between words where they fit."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines[-1:] = [*filter(None, lines[-1:]), *chop_cells(word, width)]
    return lines
