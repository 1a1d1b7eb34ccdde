"""What happened in the store between two pictures of it: elections last milliseconds, pictures are four a
second. Pure."""

from collections.abc import Iterator

from kubelab.cluster.lab.snapshot import RaftView, StoreView
from kubelab.language import Text
from kubelab.ui import words

BEHIND_ENTRIES = 10  # Whoever lacked so many is worth a word when it has caught up.


def raft_news(before: StoreView, after: StoreView) -> Iterator[Text]:
    """Yield a sentence for each thing that is otherwise, causes before their effects."""
    yield from _comings_and_goings(before, after)
    yield from _leadership(before, after)
    yield from _hearing(before, after)
    earlier = {member.name: member for member in before.members}
    for member in after.members:
        if member.name in earlier:
            yield from _log(earlier[member.name], member, before, after)


def _comings_and_goings(before: StoreView, after: StoreView) -> Iterator[Text]:
    for name in after.names:
        was, now = _state(before, name), _state(after, name)
        if was != now:
            yield _STATES[now].format(name=name)


def _state(store: StoreView, name: str) -> str:
    if any(member.name == name for member in store.members):
        return "running"
    return "stopped" if name in store.stopped else "dead"


_STATES = {"running": words.NEWS_BACK, "stopped": words.NEWS_STOPPED, "dead": words.NEWS_DEAD}


def _leadership(before: StoreView, after: StoreView) -> Iterator[Text]:
    if before.leader and before.leader != after.leader:
        yield words.NEWS_NO_LEADER.format(name=before.leader)
    if after.leader and (before.leader, before.term) != (after.leader, after.term):
        voters = [each.name for each in after.members if _voted_for(each, after.leader, after.term)]
        named = Text(*(_list(voters, words.AND.in_(language)) for language in ("es", "en")))
        if voters:
            yield _in_both(words.NEWS_LEADER, n=after.term, name=after.leader, voters=named)
        else:  # A real etcd tells no votes.
            yield words.NEWS_LEADS.format(n=after.term, name=after.leader)
    elif after.term > before.term:
        yield words.NEWS_TERM.format(before=before.term, n=after.term)


def _voted_for(member: RaftView, leader: str, term: int) -> bool:
    return member.vote == leader and member.term == term


def _hearing(before: StoreView, after: StoreView) -> Iterator[Text]:
    """Tell of links of one leader; what is dead has been told of."""
    was, now = _leader(before), _leader(after)
    if was is None or now is None or was.name != now.name:
        return
    for member in after.members:
        if member.name in was.heard and member.name not in now.heard:
            yield words.NEWS_CUT.format(name=member.name)
        elif member.name in now.heard and member.name not in was.heard and _is_in(before, member.name):
            yield words.NEWS_HEARD.format(name=member.name)


def _log(was: RaftView, now: RaftView, before: StoreView, after: StoreView) -> Iterator[Text]:
    old = {entry.index: entry.term for entry in was.tail}
    replaced = [entry for entry in now.tail if old.get(entry.index, entry.term) != entry.term]
    if replaced:
        first = replaced[0]
        yield words.NEWS_TRUNCATED.format(name=now.name, before=old[first.index], n=first.term)
    if _behind(was, before) >= BEHIND_ENTRIES and _behind(now, after) == 0:
        yield words.NEWS_CAUGHT_UP.format(name=now.name)


def _behind(member: RaftView, store: StoreView) -> int:
    """Return how much is committed, as anybody knows, that *member* does not have."""
    return max(0, max(each.commit for each in store.members) - member.last_index)


def _leader(store: StoreView) -> RaftView | None:
    return next((member for member in store.members if member.name == store.leader), None)


def _is_in(store: StoreView, name: str) -> bool:
    return any(member.name == name for member in store.members)


def _list(names: list[str], last: str) -> str:
    return last.join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _in_both(text: Text, *, voters: Text, **values: object) -> Text:
    return Text(text.es.format(voters=voters.es, **values), text.en.format(voters=voters.en, **values))
