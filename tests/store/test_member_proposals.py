"""What becomes of proposals whose leader goes."""

import pytest

from kubelab.cluster.store.member_proposals import Proposal, Proposals
from kubelab.cluster.store.requests import LeaseRevoke, Put
from kubelab.cluster.store.service import NoLeaderError, StoreTimeoutError


def _proposed(proposals: Proposals, term: int, *, is_dispensable: bool = False) -> Proposal:
    """What was handed to Raft in *term*."""
    request = LeaseRevoke(1) if is_dispensable else Put(b"key")
    proposal = proposals.add(request, 10.0, is_dispensable=is_dispensable)
    proposal.term = term
    return proposal


async def test_what_a_leader_took_with_it_is_kept_for_the_next() -> None:
    proposals = Proposals(0)
    lost, new = _proposed(proposals, 1), _proposed(proposals, 2)
    proposals.put_off_before(2)
    assert proposals.take_put_off() == [lost]
    assert not new.answered.done()
    assert (lost.term, new.term) == (0, 2)
    assert proposals.pop(lost.id) is lost


async def test_what_has_gone_to_no_leader_was_surely_not_done() -> None:
    proposals = Proposals(0)
    lost, new = _proposed(proposals, 1), _proposed(proposals, 2)
    proposals.put_off_before(2)
    proposals.expire(10.0)
    with pytest.raises(NoLeaderError):
        await lost.answered
    with pytest.raises(StoreTimeoutError):
        await new.answered
    assert proposals.take_put_off() == []


async def test_the_end_of_a_lease_is_not_for_the_next_leader_who_lets_it_begin_anew() -> None:
    proposals = Proposals(0)
    revocation = _proposed(proposals, 1, is_dispensable=True)
    proposals.put_off_before(2)
    assert proposals.take_put_off() == []
    assert proposals.pop(revocation.id) is None
    with pytest.raises(NoLeaderError):
        await revocation.answered


async def test_what_a_snapshot_may_hold_is_not_proposed_anew() -> None:
    proposals = Proposals(0)
    held, new, put_off = (_proposed(proposals, term) for term in (2, 3, 1))
    proposals.put_off(put_off)
    proposals.give_up_until(2)
    with pytest.raises(StoreTimeoutError):
        await held.answered
    assert not new.answered.done()
    assert proposals.take_put_off() == [put_off]
