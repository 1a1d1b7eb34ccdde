"""How a member of the store is, for people: `MemberView` with names for numbers and words for requests."""

from kubelab.cluster.lab.snapshot import LogEntryView, RaftView
from kubelab.cluster.raft.messages import Entry, EntryType
from kubelab.cluster.store.member_proposals import ID_BYTES
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.requests import DeleteRange, Put, Txn, Write, decode

TAIL_ENTRIES = 10
HEARD_TICKS = 10  # One election's time-out: whoever was silent longer may have died.
WORDS_MAX = 60


def picture(view: MemberView) -> RaftView:
    raft, names = view.raft, view.name_by_id
    peers = [member for member in names if member != view.id]
    heard = dict(raft.heard_ticks)
    return RaftView(
        name=view.name,
        role="learner" if raft.is_learner else raft.role.value,
        term=raft.term,
        vote=names.get(raft.vote, ""),
        leader=names.get(raft.leader, ""),
        commit=raft.commit,
        applied=view.applied_index,
        persisted=raft.persisted,
        last_index=raft.last_index,
        snapshot_index=raft.snapshot_index,
        heard=tuple(names[peer] for peer in peers if heard.get(peer, HEARD_TICKS + 1) <= HEARD_TICKS),
        match=tuple((names.get(each.member, ""), each.match) for each in raft.progress),
        tail=tuple(map(_entry, raft.log_tail[-TAIL_ENTRIES:])),
    )


def _entry(entry: Entry) -> LogEntryView:
    return LogEntryView(entry.index, entry.term, _words(entry)[:WORDS_MAX])


def _words(entry: Entry) -> str:
    if entry.type is EntryType.CONFIGURATION:
        return "configuration"
    if not entry.data:
        return "no-op"  # A new leader's first entry (thesis, section 6.4).
    request = decode(entry.data[ID_BYTES:])
    return f"{type(request).__name__} {_key(request)}".rstrip()


def _key(request: Write) -> str:
    """Return the first key that *request* writes."""
    if isinstance(request, Put | DeleteRange):
        return request.key.decode(errors="replace")
    if isinstance(request, Txn):
        writes = (each for each in request.success if isinstance(each, Put | DeleteRange))
        return next((each.key.decode(errors="replace") for each in writes), "")
    return ""
