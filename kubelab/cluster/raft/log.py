"""A member's log: what is in it, how far it is written, on disk, committed, applied; and its snapshot. Pure.

    base        snapshot      applied    applying     commit   persisted   written       last
     |--------------|------------|----------|-----------|----------|----------|------------|
     dropped        kept for laggards       handed over to apply              handed over to write

`persisted`, `written` and `commit` may stand in any order: a leader's majority may have an entry before its
own disk has (Ongaro's thesis, section 10.2.1). Entries are lost only by `_truncate_from`, which nobody calls
on a leader (leader append-only, figure 3.2).
Source: the thesis, section 3.5 (log replication) and chapter 5 (compaction); etcd/raft, log.go and
log_unstable.go.
"""

from collections.abc import Sequence

from kubelab.cluster.raft.configuration_change import decode_configuration, members
from kubelab.cluster.raft.messages import Configuration, Entry, EntryType, MemberId, Snapshot

ENTRY_OVERHEAD_BYTES = 16  # What an entry takes in a message besides its data, about.


class Log:
    __slots__ = (
        "_base_index",
        "_base_term",
        "_configurations",
        "_entries",
        "_past_members",
        "applied",
        "applying",
        "commit",
        "last_index",
        "pending_snapshot",
        "persisted",
        "snapshot",
        "written",
    )

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry], *, commit: int, applied: int) -> None:
        """Take up what was on disk. *commit* is a hint: a torn tail may have lost what it points at."""
        self.snapshot = snapshot
        self._base_index, self._base_term = snapshot.index, snapshot.term
        self._entries = [entry for entry in entries if entry.index > snapshot.index]
        self._past_members: set[MemberId] = set()
        self._configurations = [(snapshot.index, snapshot.configuration)]
        self._note_configurations(self._entries)
        self.last_index = self._base_index + len(self._entries)
        assert not self._entries or self._entries[0].index == self._base_index + 1, "the log has a gap"
        self.persisted = self.written = self.last_index
        self.commit = max(snapshot.index, min(commit, self.last_index))
        self.applied = self.applying = max(applied, snapshot.index)
        assert self.applied <= self.last_index, "more was applied than is in the log"
        self.commit = max(self.commit, self.applied)
        self.pending_snapshot: Snapshot | None = None

    @property
    def first_index(self) -> int:
        return self._base_index + 1

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self._base_term

    @property
    def configuration(self) -> Configuration:
        """The newest in the log, committed or not (section 4.1)."""
        return self._configurations[-1][1]

    @property
    def configuration_index(self) -> int:
        return self._configurations[-1][0]

    @property
    def previous_configuration(self) -> Configuration:
        return self._configurations[-2 if len(self._configurations) > 1 else -1][1]

    def configuration_at(self, index: int) -> Configuration:
        """Return who belonged when *index* was the last entry."""
        return next(
            (configuration for at, configuration in reversed(self._configurations) if at <= index),
            self._configurations[0][1],
        )

    def has_removed(self, member: MemberId) -> bool:
        """Whether it is committed that *member*, which belonged, does not any more. A new member that still
        catches up finds itself in no configuration either, but never was in one."""
        index, configuration = self._configurations[-1]
        if index > self.commit or configuration.outgoing or member in members(configuration):
            return False
        return member in self._past_members or any(
            member in members(past) for _, past in self._configurations
        )

    def term(self, index: int) -> int | None:
        """Return the term of the entry at *index*, None if it was dropped or is not there yet."""
        if self._base_index < index <= self.last_index:
            return self._entries[index - self._base_index - 1].term
        return self._base_term if index == self._base_index else None

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends with (*index*, *term*) has all that this one may have committed (section
        3.6.1): the later term wins, of two that end with the same term the longer one."""
        return (term, index) >= (self.last_term, self.last_index)

    def between(self, after: int, upto: int) -> tuple[Entry, ...]:
        """Return the entries behind *after* up to *upto*, both included in the log."""
        return tuple(self._entries[after - self._base_index : upto - self._base_index])

    def page(self, after: int, max_bytes: int) -> tuple[Entry, ...]:
        """Return as many entries behind *after* as *max_bytes* hold, one at the least."""
        start = after - self._base_index
        size_bytes = 0
        for position in range(start, len(self._entries)):
            size_bytes += len(self._entries[position].data) + ENTRY_OVERHEAD_BYTES
            if size_bytes > max_bytes and position > start:
                return tuple(self._entries[start:position])
        return tuple(self._entries[start:])

    def tail(self, count: int) -> tuple[Entry, ...]:
        return tuple(self._entries[-count:])

    def append(self, entry: Entry) -> None:
        """Add a leader's new entry."""
        assert entry.index == self.last_index + 1
        self._entries.append(entry)
        self.last_index += 1
        if entry.type is EntryType.CONFIGURATION:
            self._note_configurations((entry,))

    def accept(self, entries: Sequence[Entry]) -> None:
        """Take over a leader's *entries*, which follow on something that agrees: what is there already stays,
        so that a late message takes nothing back; from the first that differs on all is replaced (section
        3.5, AppendEntries' steps 3 and 4)."""
        for position, entry in enumerate(entries):
            if self.term(entry.index) == entry.term:
                continue
            if entry.index <= self.last_index:
                self._truncate_from(entry.index)
            new = entries[position:]
            self._entries.extend(new)
            self.last_index += len(new)
            self._note_configurations(new)
            return

    def _truncate_from(self, index: int) -> None:
        assert index > self.commit, f"entry {index} is committed and would be overwritten"
        del self._entries[index - self._base_index - 1 :]
        self.last_index = index - 1
        self.persisted, self.written = min(self.persisted, index - 1), min(self.written, index - 1)
        while self._configurations[-1][0] >= index:
            self._configurations.pop()

    def _note_configurations(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.type is EntryType.CONFIGURATION:
                self._configurations.append((entry.index, decode_configuration(entry.data)))

    def where_terms_may_agree(self, index: int, term: int) -> tuple[int, int]:
        """Return (index, term) of the last entry, *index* at the latest, whose term is not above *term*: what
        is behind it cannot agree with a log that has *term* there (section 3.5, fast back-up)."""
        while index > self._base_index:
            here = self.term(index)
            if here is not None and here <= term:
                return index, here
            index -= 1
        return index, self.term(index) or 0

    def commit_to(self, index: int) -> bool:
        if index <= self.commit:
            return False
        assert index <= self.last_index, f"entry {index} is committed but the log ends at {self.last_index}"
        self.commit = index
        return True

    def persisted_to(self, index: int, term: int) -> None:
        """Note that the disk has the entries up to *index*, unless another was put in its place meanwhile."""
        if index > self.persisted and self.term(index) == term:
            self.persisted = index

    def take_unwritten(self) -> tuple[Entry, ...]:
        if self.written == self.last_index:
            return ()
        entries = self.between(self.written, self.last_index)
        self.written = self.last_index
        return entries

    def can_apply(self) -> bool:
        """Nothing is applied before the snapshot that it follows on is there."""
        return self.applying < self.commit and self.pending_snapshot is None

    def take_committed(self, max_entries: int) -> tuple[Entry, ...]:
        if not self.can_apply():
            return ()
        upto = min(self.commit, self.applying + max_entries)
        entries = self.between(self.applying, upto)
        self.applying = upto
        return entries

    def applied_to(self, index: int) -> None:
        assert index <= self.applying, f"entry {index} was applied before it was handed over"
        self.applied = max(self.applied, index)

    def compact(self, snapshot: Snapshot, keep_entries: int) -> None:
        """Drop what *snapshot* holds, but for the last *keep_entries*, from which laggards catch up."""
        assert snapshot.index <= self.applied, "a snapshot holds what was not applied"
        if snapshot.index <= self.snapshot.index:
            return
        self.snapshot = snapshot
        base = min(snapshot.index - keep_entries, self.written)
        if base <= self._base_index:
            return
        self._base_term = self._entries[base - self._base_index - 1].term
        del self._entries[: base - self._base_index]
        self._base_index = base
        self._remember_members(base)
        self._configurations = [
            (base, self.configuration_at(base)),
            *(known for known in self._configurations if known[0] > base),
        ]

    def _remember_members(self, upto: int) -> None:
        for index, configuration in self._configurations:
            if index <= upto:
                self._past_members |= members(configuration)

    def restore(self, snapshot: Snapshot) -> None:
        """Replace everything by *snapshot*, of which the disk and the state machine know nothing yet."""
        self._remember_members(self.commit)
        self.snapshot = self.pending_snapshot = snapshot
        self._base_index, self._base_term = snapshot.index, snapshot.term
        self._entries = []
        self._configurations = [(snapshot.index, snapshot.configuration)]
        self.last_index = self.commit = self.written = self.applying = snapshot.index
        self.persisted = min(self.persisted, snapshot.index)

    def snapshot_persisted(self, index: int) -> None:
        if self.pending_snapshot is not None and index == self.pending_snapshot.index:
            self.pending_snapshot = None
            self.applied = max(self.applied, index)
            self.persisted = max(self.persisted, index)
