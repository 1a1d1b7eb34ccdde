"""What a member must do next, as its core says it. Pure.

The core does nothing: whoever drives it takes a `Ready`, sends `messages` at once, writes `hard_state`,
`snapshot` and `entries` to the log in that order, and after the disk has them (one fdatasync for as many
Readies as came meanwhile) calls `persisted` and sends `messages_after_persisting`; it applies `committed` in
order, and calls `applied`. It need not wait for the disk before it takes the next Ready: writes are
pipelined, and a leader's append goes out while its own disk is busy (thesis, section 10.2.1).

In more words: nothing of `messages_after_persisting` goes out before what this Ready *and all before it* had
to write is on disk, also when this one has nothing to write. `persisted(index, term)` names the last of a
Ready's `entries`; without entries there is nothing to call. An entry that comes again makes void, on disk,
all from its index on; a `snapshot` makes void all entries of before it, also those behind its index. It is
written and given to the state machine, then `persisted_snapshot` is called; `committed` is empty until then.
What is `committed` may be applied before the own disk has it, since a majority has. On a start, a log may end
before the hard state's commit (a torn tail). Ticks are the only clock: who was held up ticks for all that
time before `read_at_once`.
Source: etcd, raft/doc.go and raft/node.go (Ready; AsyncStorageWrites).
"""

import msgspec

from kubelab.cluster.raft.messages import Entry, HardState, Message, Snapshot


class ReadState(msgspec.Struct, frozen=True):
    """The read that asked with `context` may be answered once `index` is applied (section 6.4)."""

    index: int
    context: bytes


class Ready(msgspec.Struct, frozen=True):
    """`hard_state` and `snapshot` are None when they are as before. `must_sync`: there is something that an
    answer in `messages_after_persisting` vouches for."""

    hard_state: HardState | None
    snapshot: Snapshot | None
    entries: tuple[Entry, ...]
    messages: tuple[Message, ...]
    messages_after_persisting: tuple[Message, ...]
    committed: tuple[Entry, ...]
    read_states: tuple[ReadState, ...]
    must_sync: bool
