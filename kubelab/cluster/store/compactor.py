"""The API server's compactor: history is kept for a while, so that watches can be resumed, and not for ever.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/storage/etcd3/compact.go.
Left out: the election among several API servers of the one that compacts; a second one here does no harm.
"""

import logging
from contextlib import suppress

from kubelab.cluster.clock import Clock
from kubelab.cluster.store.requests import Compaction
from kubelab.cluster.store.service import CompactedError, FutureRevisionError, KeyValueService, StoreError

INTERVAL_S = 300.0  # As upstream: what is between five and ten minutes old goes.

logger = logging.getLogger(__name__)


async def keep_compacted(service: KeyValueService, clock: Clock, *, interval_s: float = INTERVAL_S) -> None:
    """Until cancelled, compact every *interval_s* at the revision of one interval before."""
    before = service.revision
    while True:
        await clock.sleep(interval_s)
        now = service.revision
        try:
            await _compact(service, before)
        except StoreError as error:
            logger.warning("the store was not compacted (%s); trying again in %g s", error, interval_s)
        before = now


async def _compact(service: KeyValueService, revision: int) -> None:
    with suppress(CompactedError, FutureRevisionError):  # Nothing was written, or another one did it.
        await service.compact(Compaction(revision))
