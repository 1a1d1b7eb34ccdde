"""What the API server does by itself outlives a store that cannot answer for a while: it has no leader, or no
majority, and may have one again.

Source: kubernetes, staging/src/k8s.io/client-go/tools/cache/reflector.go, which tries again as well.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError

RETRY_S = 1.0
GONE = 410

logger = logging.getLogger(__name__)
T = TypeVar("T")


async def persistently(clock: Clock, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what *attempt* does; begin it again as long as it is refused. *what* is for the log.

    A watch that has fallen behind (410 Gone) is begun again at once.
    """
    while True:
        try:
            return await attempt()
        except ApiError as refusal:
            if refusal.code != GONE:
                logger.warning("%s: %s; trying again in %g s", what, refusal.message, RETRY_S)
                await clock.sleep(RETRY_S)
