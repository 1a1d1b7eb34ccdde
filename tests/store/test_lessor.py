"""When leases end, on the leader's clock."""

import pytest

from kubelab.cluster.store.lessor import EXPIRED_MAX, EXPIRED_RETRY_S, Lessor
from kubelab.cluster.store.requests import LeaseGrant, LeaseRevoke, Put
from kubelab.cluster.store.service import LeaseNotFoundError


def _leading(*leases: tuple[int, int], now_s: float = 0.0) -> Lessor:
    lessor = Lessor()
    lessor.promote(leases, now_s)
    return lessor


def test_a_lease_is_over_when_its_time_is_and_then_it_cannot_be_renewed() -> None:
    lessor = _leading()
    lessor.applied(LeaseGrant(10, 7), 100.0)
    lessor.applied(Put(b"a", lease=7), 100.0)
    assert (lessor.expired(109.9), lessor.next_expiry_s()) == ((), 110.0)
    assert lessor.remaining_s(7, 100.5) == 10
    assert lessor.expired(110.0) == (7,)
    assert lessor.remaining_s(7, 111.0) == 0
    with pytest.raises(LeaseNotFoundError):
        lessor.renew(7, 110.0)
    lessor.applied(LeaseRevoke(7), 110.1)
    assert lessor.remaining_s(7, 111.0) == -1
    assert lessor.next_expiry_s() is None


def test_renewing_begins_the_whole_time_anew() -> None:
    lessor = _leading((7, 10))
    assert lessor.renew(7, 9.0) == 10
    assert lessor.expired(18.9) == ()
    assert lessor.expired(19.0) == (7,)
    with pytest.raises(LeaseNotFoundError):
        lessor.renew(8, 0.0)


def test_a_revocation_that_came_to_nothing_is_asked_for_again() -> None:
    lessor = _leading((7, 10))
    assert lessor.expired(10.0) == (7,)
    assert lessor.expired(10.0 + EXPIRED_RETRY_S - 0.1) == ()
    assert lessor.expired(10.0 + EXPIRED_RETRY_S) == (7,)


def test_a_new_leader_lets_all_leases_live_for_their_whole_time() -> None:
    lessor = _leading((7, 10), (8, 5), now_s=1000.0)
    assert lessor.expired(1005.0) == (8,)
    assert lessor.expired(1010.0) == (8, 7)
    lessor.demote()
    assert (lessor.is_primary, lessor.expired(2000.0), lessor.remaining_s(7, 0.0)) == (False, (), -1)
    lessor.applied(LeaseGrant(10, 9), 2000.0)
    assert lessor.remaining_s(9, 2000.0) == -1


def test_the_granted_time_counts_and_not_the_one_asked_for() -> None:
    lessor = _leading()
    lessor.applied(LeaseGrant(1, 7), 0.0, granted_ttl_s=2)
    assert lessor.expired(1.5) == ()
    assert lessor.renew(7, 1.5) == 2


def test_many_leases_are_revoked_in_portions() -> None:
    lessor = _leading(*((lease, 10) for lease in range(1, EXPIRED_MAX + 11)))
    assert len(lessor.expired(10.0)) == EXPIRED_MAX
    assert len(lessor.expired(10.0)) == 10
