"""What must hold at each moment in a cluster of Raft, whatever happens: checked while a simulation runs.

Source: Ongaro's thesis, figure 3.2 (election safety, leader append-only, log matching, leader completeness,
state machine safety) and section 6.4 (linearizable reads); M. Herlihy, J. Wing, *Linearizability* (1990).
"""

from kubelab.cluster.raft.messages import Entry, MemberId, Message, MessageType
from kubelab.cluster.raft.raft import Raft
from kubelab.cluster.raft.states import Role


class ViolationError(AssertionError):
    """Raft has broken a promise."""


class Invariants:
    """All members' history, as far as the promises need it."""

    def __init__(self) -> None:
        self._leader_of: dict[int, MemberId] = {}
        self._votes: dict[tuple[int, MemberId], MemberId] = {}
        self._entries: dict[tuple[int, int], tuple[Entry, int | None]] = {}
        self._leader_logs: dict[MemberId, tuple[int, int, int | None]] = {}
        self._applied: dict[int, Entry] = {}
        self._acknowledged: dict[MemberId, tuple[int, int]] = {}
        self._committed: dict[int, int] = {}
        """By the term in which a member knew it: the last index that was committed then."""
        self._term_of: dict[int, int] = {}
        self._proposed: dict[bytes, int] = {}
        self._places: dict[bytes, int] = {}

    def proposed(self, raft: Raft, data: bytes) -> None:
        self._proposed[data] = raft.term

    def sent(self, message: Message) -> None:
        """Each member votes for one in a term (section 3.4), also when it was restarted in between."""
        if message.reject:
            return
        if message.type is MessageType.VOTE_ANSWER:
            given = self._votes.setdefault((message.term, message.sender), message.receiver)
            if given != message.receiver:
                raise ViolationError(f"member {message.sender} voted twice in term {message.term}")
        elif message.type is MessageType.APPEND_ANSWER:
            before = self._acknowledged.get(message.sender, (0, 0))
            self._acknowledged[message.sender] = max(before, (message.term, message.index))

    def after_step(self, raft: Raft) -> None:
        term, index = self._acknowledged.get(raft.id, (0, 0))
        if term == raft.term and index > raft._log.last_index:
            raise ViolationError(f"member {raft.id} has lost entry {index}, which it acknowledged")
        if raft.role is Role.LEADER:
            self._check_leader(raft)
        else:
            self._leader_logs.pop(raft.id, None)

    def _check_leader(self, raft: Raft) -> None:
        term, log = raft.term, raft._log
        if self._leader_of.setdefault(term, raft.id) != raft.id:
            raise ViolationError(
                f"election safety: {self._leader_of[term]} and {raft.id} lead in term {term}"
            )
        before = self._leader_logs.get(raft.id)
        if before is None or before[0] != term:
            self._check_completeness(raft)
        elif before[1] > log.last_index or log.term(before[1]) not in (before[2], None):
            raise ViolationError(f"leader append-only: {raft.id} has overwritten its log in term {term}")
        self._leader_logs[raft.id] = (term, log.last_index, log.term(log.last_index))

    def _check_completeness(self, raft: Raft) -> None:
        log = raft._log
        for term, index in self._committed.items():
            if term >= raft.term or index < log.first_index:
                continue
            if log.term(index) != self._term_of[index]:
                raise ViolationError(
                    f"leader completeness: {raft.id} of term {raft.term} lacks committed {index}"
                )

    def appended(self, raft: Raft, entries: tuple[Entry, ...]) -> None:
        """The same index and term is the same entry behind the same log (section 3.5)."""
        previous = raft._log.term(entries[0].index - 1) if entries else None
        for entry in entries:
            self._check_proposal(entry)
            known, known_previous = self._entries.setdefault((entry.index, entry.term), (entry, previous))
            if known != entry or (None not in (previous, known_previous) and known_previous != previous):
                raise ViolationError(f"log matching: entry {entry.index} of term {entry.term} differs")
            previous = entry.term

    def _check_proposal(self, entry: Entry) -> None:
        """Each is appended once, in its own term: whoever sees a later one knows what is lost."""
        if self._proposed.get(entry.data, entry.term) != entry.term:
            raise ViolationError(f"entry {entry.index} of term {entry.term} was proposed in another")
        if entry.data in self._proposed and self._places.setdefault(entry.data, entry.index) != entry.index:
            raise ViolationError(
                f"entry {entry.index} of term {entry.term} is {self._places[entry.data]} again"
            )

    def committed(self, raft: Raft, entry: Entry) -> None:
        """All members apply the same at each index."""
        if self._applied.setdefault(entry.index, entry) != entry:
            raise ViolationError(f"state machine safety: {raft.id} applies another entry {entry.index}")
        self._term_of[entry.index] = entry.term
        self._committed[raft.term] = max(self._committed.get(raft.term, 0), entry.index)


class History:
    """What clients asked for, and when it was answered.

    All operations are ordered by how many writes each has seen, so they are linearizable exactly if none that
    began after another was answered stands before it.
    """

    def __init__(self) -> None:
        self._answered = 0
        self.writes: set[int] = set()
        self.reads = 0

    def invoke(self) -> int:
        """Return what an operation that begins now must see."""
        return self._answered

    def write_answered(self, write: int, position: int, must_see: int) -> None:
        if position <= must_see:
            raise ViolationError(f"linearizability: write {write} stands before one answered earlier")
        self.writes.add(write)
        self._answered = max(self._answered, position)

    def read_answered(self, seen: int, must_see: int, kind: str) -> None:
        if seen < must_see:
            raise ViolationError(f"linearizability: a stale read ({kind}) saw {seen} of {must_see} writes")
        self.reads += 1
        self._answered = max(self._answered, seen)
