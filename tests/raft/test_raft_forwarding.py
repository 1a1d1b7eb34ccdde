"""What a follower hands on to its leader: taken once, whatever the network does to it."""

from hypothesis import given
from hypothesis import strategies as st
from raft_cluster import ELECTION_TICKS, Cluster

from kubelab.cluster.raft.forwarding import Inbox, Outbox
from kubelab.cluster.raft.messages import Entry, Message, MessageType

FOLLOWER = 3


def led() -> Cluster:
    """A cluster that member 1 leads."""
    cluster = Cluster(3)
    cluster.tick(ELECTION_TICKS)
    cluster.transcript()
    return cluster


def is_proposal(message: Message) -> bool:
    return message.type is MessageType.PROPOSE


def proposal(*data: bytes, term: int = 1, number: int = 0, life: int = 0) -> Message:
    entries = tuple(Entry(0, 0, each) for each in data)
    return Message(MessageType.PROPOSE, FOLLOWER, 1, term, number, entries=entries, life=life)


def test_what_was_lost_on_its_way_is_sent_again_while_the_leader_stays() -> None:
    cluster = led()
    with cluster.losing(is_proposal):
        cluster.propose(FOLLOWER, b"a")
        cluster.propose(FOLLOWER, b"b")
    cluster.propose(FOLLOWER, b"c")
    assert cluster.applied[1] == []
    cluster.tick(ELECTION_TICKS + 1)
    assert cluster.applied[1] == [b"a", b"b", b"c"]
    assert cluster.leader == 1
    cluster.transcript()
    cluster.tick(3 * ELECTION_TICKS)
    assert cluster.transcript() == "", "what has arrived is not sent again"


def test_a_leader_takes_each_once_and_in_order() -> None:
    cluster = led()
    for number, data in enumerate([b"a", b"b", b"c"]):
        for _ in range(2):
            cluster[1].step(proposal(data, number=number, life=7))
            cluster[1].step(proposal(b"a", life=7))
    cluster[1].step(proposal(b"e", number=4, life=7))
    cluster.settle()
    assert cluster.applied[1] == [b"a", b"b", b"c"]
    cluster[1].step(proposal(b"c", b"d", b"e", number=2, life=7))
    cluster.settle()
    assert cluster.applied[1] == [b"a", b"b", b"c", b"d", b"e"]


def test_a_follower_that_was_started_again_begins_anew() -> None:
    cluster = led()
    for data in (b"a", b"b"):
        cluster.propose(FOLLOWER, data)
    cluster.options["life"] = 1
    cluster.start(FOLLOWER)
    cluster.tick()
    cluster.propose(FOLLOWER, b"c")
    assert cluster.applied[1] == [b"a", b"b", b"c"]
    cluster[1].step(proposal(b"a"))
    cluster.settle()
    assert cluster.applied[1] == [b"a", b"b", b"c"], "what is late from its earlier life"


def test_what_was_asked_of_a_leader_is_not_handed_on_to_the_next() -> None:
    """Its proposer takes it for lost once that one's first entry is applied, and asks again."""
    cluster = led()
    cluster[FOLLOWER].propose(b"a")
    cluster[FOLLOWER].step(Message(MessageType.APPEND, 2, FOLLOWER, 2, 1, 1, entries=(Entry(2, 2),)))
    assert not any(map(is_proposal, cluster[FOLLOWER].ready().messages))
    assert cluster[FOLLOWER].leader == 2


def test_what_was_proposed_in_another_term_is_not_taken() -> None:
    cluster = led()
    for term in (0, 2):
        cluster[1].step(proposal(b"a", term=term))
        cluster.settle()
    assert cluster.transcript() == ""
    cluster[1].step(proposal(b"a"))
    cluster.settle()
    assert cluster.applied[1] == [b"a"]


def test_what_a_leader_has_no_room_for_is_sent_again() -> None:
    cluster = Cluster(3, max_uncommitted_entries=2)
    cluster.tick(ELECTION_TICKS)
    for data in (b"a", b"b", b"c"):
        cluster[FOLLOWER].propose(data)
    cluster.settle()
    cluster.tick(ELECTION_TICKS + 1)
    assert cluster.applied[1] == [b"a", b"b", b"c"]


def test_much_goes_out_in_several_messages() -> None:
    outbox = Outbox()
    for size in (3, 3, 9, 1, 1):
        outbox.add(Entry(0, 0, bytes(size)), 0)
    taken = []
    while outbox.is_due:
        number, entries = outbox.take(6)
        taken.append((number, [len(entry.data) for entry in entries]))
    assert taken == [(0, [3, 3]), (2, [9]), (3, [1, 1])]


@given(st.lists(st.tuples(st.sampled_from(["add", "send", "hear", "lose"]), st.integers(0, 9)), max_size=60))
def test_whatever_is_lost_late_or_doubled_each_is_taken_once_and_in_order(
    acts: list[tuple[str, int]],
) -> None:
    outbox, inbox, taken = Outbox(), Inbox(), list[bytes]()
    on_the_way, confirmations = list[Message](), [0]
    added = ticks = 0

    def deliver(message: Message) -> None:
        for entry in inbox.new(message):
            taken.append(entry.data)
            inbox.take(message)
        confirmations.append(inbox.count(FOLLOWER)[1])

    def send() -> None:
        while outbox.is_due:
            number, entries = outbox.take(2)
            on_the_way.append(proposal(*(entry.data for entry in entries), number=number))

    for act, which in acts:
        ticks += 1
        if act == "add":
            outbox.add(Entry(0, 0, b"%d" % added), ticks)
            added += 1
        elif act == "send":
            send()
        elif act == "hear":
            outbox.confirmed(confirmations[which % len(confirmations)], ticks, 3)
        elif on_the_way:
            message = on_the_way[which % len(on_the_way)]
            deliver(message)  # And it stays on its way: it may come again, or be lost for good.
    assert taken == [b"%d" % number for number in range(len(taken))]
    for _ in range(2):  # Now all goes well.
        ticks += 4
        outbox.confirmed(inbox.count(FOLLOWER)[1], ticks, 3)
        on_the_way.clear()
        send()
        for message in on_the_way:
            deliver(message)
    assert taken == [b"%d" % number for number in range(added)]
    outbox.confirmed(inbox.count(FOLLOWER)[1], ticks, 3)
    assert not outbox.is_due


def test_a_leader_that_is_deposed_forgets_what_it_has_taken() -> None:
    """The next one begins to count anew, as its followers do."""
    cluster = led()
    cluster.propose(FOLLOWER, b"a")
    cluster.elect(2)
    cluster.propose(FOLLOWER, b"b")
    assert cluster.leader == 2
    assert cluster.applied[1] == [b"a", b"b"]
