"""Changes of the membership that a leader has proposed, and who waits for them.

Source: etcd, server/etcdserver/server.go (configure), whose errors these are.
"""

import asyncio
import secrets

from kubelab.cluster.raft.configuration_change import (
    ConfigurationChange,
    ConfigurationChangeError,
    LearnerNotReadyError,
    context_of,
    decode_configuration,
)
from kubelab.cluster.raft.messages import Entry
from kubelab.cluster.raft.raft import ProposalDroppedError, Raft
from kubelab.cluster.store.service import MemberError, NoLeaderError, StoreTimeoutError


class Changes:
    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[asyncio.Future[int], int]] = {}

    def propose(self, raft: Raft, change: ConfigurationChange) -> "asyncio.Future[int]":
        """Return what will be the index of the entry with which the change is complete.

        Raises:
            MemberError: it is not allowed, or not now.
            NoLeaderError: this member leads no more.
        """
        context = secrets.token_bytes(8)
        try:
            raft.propose_configuration(_with_context(change, context))
        except LearnerNotReadyError as error:
            words = "can only promote a learner member which is in sync with leader"
            raise MemberError(f"etcdserver: {words}") from error
        except ConfigurationChangeError as error:
            raise MemberError(f"etcdserver: {error}") from error
        except ProposalDroppedError:
            raise NoLeaderError from None
        committed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[context] = (committed, raft.term)
        return committed

    def applied(self, entry: Entry) -> None:
        if decode_configuration(entry.data).outgoing:
            return  # Joint: the entry with which it is left follows.
        committed, _ = self._waiting.pop(context_of(entry.data), (None, 0))
        if committed is not None and not committed.done():
            committed.set_result(entry.index)

    def give_up_before(self, term: int) -> None:
        for context in [context for context, (_, proposed) in self._waiting.items() if proposed < term]:
            committed, _ = self._waiting.pop(context)
            if not committed.done():
                committed.set_exception(StoreTimeoutError())

    def end(self) -> None:
        self.give_up_before(1 << 64)


def _with_context(change: ConfigurationChange, context: bytes) -> ConfigurationChange:
    return ConfigurationChange(change.voters, change.learners, change.removed, context)
