"""The API server's compactor: history is kept for a while, so that watches can be resumed, and not for ever.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/storage/etcd3/compact.go.
Left out: the election among several API servers of the one that compacts; a second one here does no harm.
"""

from contextlib import suppress

from kubelab.cluster.clock import Clock
from kubelab.cluster.store.protocol import CompactedError, Store

INTERVAL_S = 300.0  # As upstream: what is between five and ten minutes old goes.


async def keep_compacted(store: Store, clock: Clock, *, interval_s: float = INTERVAL_S) -> None:
    """Until cancelled, compact every *interval_s* at the revision of one interval before."""
    before = store.revision
    while True:
        await clock.sleep(interval_s)
        with suppress(CompactedError):  # Nothing was written, or another one did it.
            await store.compact(before)
        before = store.revision
