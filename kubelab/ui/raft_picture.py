"""The store's members as a picture: who leads, whose log has what, who hears whom. Pure.

Each member is a box where there is room, else a line. A log is drawn as its last entries, two columns each:
the last digit of the entry's term, and a line through those that the member knows to be committed. The same
entry is in the same column for all, so that what one lacks, or has otherwise than another, is seen.
Source of the words: Ongaro's thesis, figures 3.1 and 3.6 (logs as rows of terms).
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from kubelab.cluster.lab.snapshot import LogEntryView, RaftView, StoreView
from kubelab.language import Language, Text
from kubelab.ui import words
from kubelab.ui.picture import TERM_TONES, Line, Span, Tone, beside, box, fitted, width_of

BOX_COLUMNS_MIN = 36
BOX_ROWS_MIN = 7
BOX_ROWS_MAX = 12
ENTRY_COLUMNS = 2
ENTRIES_MAX = 16
WORDS_COLUMNS_MIN = 20
COMMITTED, UNCOMMITTED, NOT_SHOWN = "━", "┄", "─"
HEARD, CUT, NOT_EXPECTED = "●", "✗", "·"

_SIGNS: dict[str, Span] = {
    "leader": ("★", "good"),
    "follower": ("○", "plain"),
    "pre-candidate": ("◔", "busy"),
    "candidate": ("◐", "busy"),
    "learner": ("◇", "mark"),
    "stopped": ("‖", "busy"),
    "dead": ("✗", "bad"),
}
_STALE_LEADER: Span = "☆", "busy"
_NONE: Line = (("–", "muted"),)


def tells(store: StoreView) -> bool:
    """Return whether there are several members to look at, of which one tells how it is."""
    return len(store.names) > 1 and bool(store.members)


def raft_picture(
    store: StoreView | None, width: int, height: int, language: Language, news: Collection[Text] = ()
) -> list[Line]:
    """Return *store* as boxes if they fit, as a table if not; the last *news* where rows are left, or where
    the legend is if none are."""
    if store is None or not store.names:
        return [fitted(((words.NOTHING_YET.in_(language), "muted"),), width)]
    bands = -(-len(store.names) // max(1, width // BOX_COLUMNS_MIN))
    told = min(len(news), max(0, height - 2 - bands * BOX_ROWS_MIN))
    rows = min(BOX_ROWS_MAX, (height - 2 - told) // bands)
    if rows >= BOX_ROWS_MIN:
        lines = [_summary(store, language), *_boxes(store, width, rows, bands, language)]
    else:
        lines = [_summary(store, language), *_table(store, width, language)]
    lines += _footer(store, height - len(lines), language, news)
    return [fitted(line, width) for line in lines]


def _footer(store: StoreView, rows: int, language: Language, news: Collection[Text]) -> Iterator[Line]:
    """Yield the last *news*, and the legend below if there is room for both."""
    if rows < 1:
        return
    told = list(islice(news, max(0, len(news) - max(1, rows - 1)), None))
    yield from (((each.in_(language), "mark"),) for each in told)
    if len(told) < rows and store.engine == "raft":  # Else there are no logs to explain.
        yield _legend(store, language)


# The line above.


def _summary(store: StoreView, language: Language) -> Line:
    return (
        (words.TERM_OF.format(n=store.term).in_(language), "strong"),
        (" · ", "muted"),
        _leader(store, language),
        (" · ", "muted"),
        _quorum(store, language),
        *(() if store.engine == "raft" else ((f" · {store.engine}", "muted"),)),
        *_stale_leaders(store, language),
    )


def _leader(store: StoreView, language: Language) -> Span:
    if store.leader:
        return words.LEADS.format(name=f"★ {store.leader}").in_(language), "good"
    return f"✗ {words.NO_LEADER.in_(language)}", "bad"


def _stale_leaders(store: StoreView, language: Language) -> Iterator[Span]:
    for member in store.members:
        if _is_stale(member, store):
            said = words.STILL_LEADS.format(name=f"☆ {member.name}", n=member.term)
            yield f" · {said.in_(language)}", "busy"


def _quorum(store: StoreView, language: Language) -> Span:
    """Count whom the leader hears; without one, who is alive."""
    count, voters = len(store.members), [name for name in store.names if _role(store, name) != "learner"]
    needed = len(voters) // 2 + 1
    leader = _member(store, store.leader)
    if leader is None:
        alive = words.ALIVE.format(n=count, count=len(voters), needed=needed).in_(language)
        return alive, "busy" if count >= needed else "bad"
    count = sum(name == leader.name or name in leader.heard for name in voters)
    sign, said = ("✓", words.QUORUM) if count >= needed else ("✗", words.NO_QUORUM)
    numbers = said.format(n=count, count=len(voters), needed=needed)
    return f"{sign} {numbers.in_(language)}", "good" if count >= needed else "bad"


# A line for each member.


def _table(store: StoreView, width: int, language: Language) -> list[Line]:
    left = [
        _column(words.MEMBER, [_title(store, name) for name in store.names], language),
        _role_column(store, language),
        _column(words.TERM, [_number(store, name, "term") for name in store.names], language),
        _column(words.VOTE, [_vote(store, name) for name in store.names], language),
        _column(words.COMMIT, [_number(store, name, "commit") for name in store.names], language),
        _column(words.APPLIED, [_number(store, name, "applied") for name in store.names], language),
    ]
    hears = _hears_column(store, language)
    room = width - sum(width_of(column[0]) + 1 for column in (*left, hears))
    entries = min(ENTRIES_MAX, _longest_tail(store), max(0, room // ENTRY_COLUMNS))
    log = _column(words.LOG, [_log(store, name, entries, language) for name in store.names], language)
    columns = [*left, [fitted(cell, entries * ENTRY_COLUMNS) for cell in log], hears]
    left_over = room - entries * ENTRY_COLUMNS - 2
    if left_over >= WORDS_COLUMNS_MIN:
        columns.append([fitted(cell, left_over) for cell in _last_words(store, language)])
    return beside([columns[0], *map(_with_gap, columns[1:])])


def _column(heading: Text, cells: Sequence[Line], language: Language) -> list[Line]:
    head: Line = ((heading.in_(language), "muted"),)
    wide = max(map(width_of, (head, *cells)))
    return [fitted(cell, wide) for cell in (head, *cells)]


def _with_gap(column: Sequence[Line]) -> list[Line]:
    return [((" ", "plain"), *cell) for cell in column]


def _role_column(store: StoreView, language: Language) -> list[Line]:
    """As wide as the longest role: columns stand still during an election."""
    wide = max(len(word.in_(language)) for word in words.ROLES.values())
    column = _column(words.ROLE, [_role_word(store, name, language) for name in store.names], language)
    return [fitted(cell, wide) for cell in column]


def _hears_column(store: StoreView, language: Language) -> list[Line]:
    """A column for each member that may be heard, by its number."""
    head: Line = tuple((f" {_label(name)}", "muted") for name in store.names)
    rows = [tuple(_ear(store, name, other) for other in store.names) for name in store.names]
    return [(("←", "muted"), *head), *(((" ", "plain"), *row) for row in rows)]


def _ear(store: StoreView, name: str, other: str) -> Span:
    sign, tone = _link(store, name, other)
    return sign.rjust(len(_label(other)) + 1), tone


def _number(store: StoreView, name: str, field: str) -> Line:
    member = _member(store, name)
    if member is None:
        return _NONE
    value: int = getattr(member, field)
    return ((str(value), _term_tone(value) if field == "term" else "plain"),)


def _vote(store: StoreView, name: str) -> Line:
    member = _member(store, name)
    return (("→ ", "muted"), (_label(member.vote), "plain")) if member and member.vote else _NONE


def _last_words(store: StoreView, language: Language) -> Iterator[Line]:
    yield ((words.LAST_ENTRY.in_(language), "muted"),)
    for member in (_member(store, name) for name in store.names):
        yield ((member.tail[-1].words, "muted"),) if member and member.tail else ()


# A box for each member.


def _boxes(store: StoreView, width: int, rows: int, bands: int, language: Language) -> list[Line]:
    lines: list[Line] = []
    per_row = -(-len(store.names) // bands)
    for start in range(0, len(store.names), per_row):
        band = store.names[start : start + per_row]
        widths = [width // per_row + (i < width % per_row) for i in range(len(band))]
        lines += beside(
            _box(store, name, columns, rows, language) for name, columns in zip(band, widths, strict=True)
        )
    return lines


def _box(store: StoreView, name: str, columns: int, rows: int, language: Language) -> list[Line]:
    title = (*_title(store, name), (" · ", "muted"), *_role_word(store, name, language))
    tone = _sign(store, name)[1]
    body = list(_body(store, name, columns - 4, rows - 2, language))
    return box(title, body, columns, rows, "muted" if tone == "plain" else tone)


def _body(store: StoreView, name: str, width: int, rows: int, language: Language) -> Iterator[Line]:
    member = _member(store, name)
    if member is None:
        said = words.IS_STOPPED if name in store.stopped else words.IS_DEAD
        yield ((said.in_(language), "muted"),)
        yield _log(store, name, 0, language)
        return
    yield (
        (words.TERM_OF.format(n=member.term).in_(language), _term_tone(member.term)),
        (" · ", "muted"),
        (_voted(member, language) if store.engine == "raft" else _size(member), "plain"),
    )
    yield (
        (words.COMMIT_OF.format(n=member.commit).in_(language), "plain"),
        (" · ", "muted"),
        (words.APPLIED_OF.format(n=member.applied).in_(language), "plain"),
    )
    entries = min(ENTRIES_MAX, _longest_tail(store), width // ENTRY_COLUMNS)
    yield _log(store, name, entries, language)
    yield ((words.HEARS.in_(language), "muted"), *_heard(store, name, width))
    for entry in member.tail[max(0, len(member.tail) - (rows - 4)) :]:
        yield _entry_line(entry, member)


def _voted(member: RaftView, language: Language) -> str:
    return (words.VOTED.format(name=member.vote) if member.vote else words.NOT_VOTED).in_(language)


def _size(member: RaftView) -> str:
    """A real etcd tells how large its database is, and not its vote."""
    return f"db {member.db_size_bytes / 1000:,.0f} kB".replace(",", "\u202f")


def _heard(store: StoreView, name: str, width: int) -> Iterator[Span]:
    others = [other for other in store.names if other != name]
    called = str if sum(len(other) + 4 for other in others) + 6 <= width else _label
    for other in others:
        sign, tone = _link(store, name, other)
        yield f"  {sign} ", tone
        yield called(other), "plain" if sign != NOT_EXPECTED else "muted"


def _entry_line(entry: LogEntryView, member: RaftView) -> Line:
    tone: Tone = "muted" if entry.index > member.commit else "plain"
    return (*_cell(entry, member), (f" {entry.index} ", "muted"), (entry.words, tone))


# What both show.


def _legend(store: StoreView, language: Language) -> Line:
    said = words.RAFT_LEGEND.format(digit=store.term % 10, n=store.term)
    return ((said.in_(language), "muted"),)


def _title(store: StoreView, name: str) -> Line:
    sign, tone = _sign(store, name)
    return ((f"{sign} ", tone), (name, "strong"))


def _role_word(store: StoreView, name: str, language: Language) -> Line:
    return ((words.ROLES[_role(store, name)].in_(language), _sign(store, name)[1]),)


def _sign(store: StoreView, name: str) -> Span:
    member = _member(store, name)
    return _STALE_LEADER if member and _is_stale(member, store) else _SIGNS[_role(store, name)]


def _role(store: StoreView, name: str) -> str:
    if member := _member(store, name):
        return member.role
    return "stopped" if name in store.stopped else "dead"


def _is_stale(member: RaftView, store: StoreView) -> bool:
    return member.role == "leader" and member.name != store.leader


def _link(store: StoreView, name: str, other: str) -> Span:
    """Return whether *name* hears *other*. Followers have nothing to say to one another."""
    member = _member(store, name)
    if member is None or name == other:
        return " ", "plain"
    if other in member.heard:
        return HEARD, "good"
    expects = other == member.leader or member.role in ("leader", "pre-candidate", "candidate")
    return (CUT, "bad") if expects else (NOT_EXPECTED, "muted")


def _log(store: StoreView, name: str, entries: int, language: Language) -> Line:
    """Return the last *entries* places of the longest log, as far as *name* has them."""
    member, end = _member(store, name), max((each.last_index for each in store.members), default=0)
    last = member.last_index if member else _known_match(store, name)
    if last is None:
        return ()
    if last <= end - entries or member is None:
        return ((words.LACKS.format(n=end - last).in_(language), "busy"),) if end > last else ()
    tail = {entry.index: entry for entry in member.tail}
    spans: list[Span] = []
    for index in range(max(1, end - entries + 1), last + 1):
        spans += _cell(tail[index], member) if index in tail else ((NOT_SHOWN * ENTRY_COLUMNS, "muted"),)
    return tuple(spans)


def _cell(entry: LogEntryView, member: RaftView) -> Line:
    tone = _term_tone(entry.term)
    if entry.index <= member.commit:
        return ((f"{entry.term % 10}{COMMITTED}", tone),)
    return ((str(entry.term % 10), tone), (UNCOMMITTED, "muted"))


def _known_match(store: StoreView, name: str) -> int | None:
    """Return how far the leader knows the log of a member that does not tell."""
    leader = _member(store, store.leader)
    return dict(leader.match).get(name) or None if leader else None


def _longest_tail(store: StoreView) -> int:
    return max((len(member.tail) for member in store.members), default=0)


def _term_tone(term: int) -> Tone:
    return TERM_TONES[term % len(TERM_TONES)]


def _member(store: StoreView, name: str) -> RaftView | None:
    return next((member for member in store.members if member.name == name), None)


def _label(name: str) -> str:
    """Return what a member is called in a column: the number of master-2."""
    return name.rpartition("-")[2] or name
