"""Send the API server what it must refuse or bear, for as long as is wanted: `make fuzz`; --seed as it began.

In turns requests that schemathesis makes of the served OpenAPI documents, and objects, patches and selectors
with parts exchanged for nonsense.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path[:0] = [str(Path(__file__).parents[1])]  # What the tests of all areas share.

from hostile_requests import Chance, is_wrong, make_objects, requests, send  # noqa: E402
from openapi_fuzz import Fuzzer  # noqa: E402
from served_cluster import Cluster, admin, serving  # noqa: E402

EXAMPLES = 15  # Of an operation, that fit its document, and as many that do not.
HOSTILE_REQUESTS = 200
_MEBIBYTE = 1024 * 1024


class Run:
    """What is sent until the time is over; `wrong` counts what was found, by operation and first line."""

    def __init__(self, cluster: Cluster, seed: int, ends_s: float) -> None:
        self._cluster = cluster
        self._seed = seed
        self._ends_s = ends_s
        self.sent = 0
        self.wrong: Counter[tuple[str, str]] = Counter()

    async def until_the_end(self) -> None:
        fuzzer = Fuzzer(self._cluster)
        async with admin(self._cluster) as session:
            await make_objects(session)
        operations = await asyncio.to_thread(fuzzer.operations)
        random.Random(self._seed).shuffle(operations)
        while time.monotonic() < self._ends_s:
            for operation in operations:
                if time.monotonic() > self._ends_s:
                    break
                for finding in await asyncio.to_thread(fuzzer.findings, operation, self._seed, EXAMPLES):
                    self._tell(finding.operation, finding.why, finding.request)
                await self._hostile()
            self._seed += 1
        self.sent += fuzzer.sent

    async def _hostile(self) -> None:
        self._seed += 1
        async with admin(self._cluster) as session:
            for request in requests(Chance(self._seed), HOSTILE_REQUESTS):
                self.sent += 1
                status, answer = await send(session, request)
                if is_wrong(status, answer):
                    self._tell(f"{request.method} {request.path.partition('?')[0]}", answer, str(request))
            await make_objects(session)

    def _tell(self, operation: str, why: str, request: str) -> None:
        self.wrong[operation, why.partition("\n")[0][:80]] += 1
        if self.wrong[operation, why.partition("\n")[0][:80]] == 1:
            print(f"{operation}\n{why}\n{request}\n", flush=True)


async def run(minutes: float, seed: int) -> int:
    with tempfile.TemporaryDirectory() as home:
        async with serving(Path(home)) as cluster:
            one = Run(cluster, seed, time.monotonic() + minutes * 60)
            await one.until_the_end()
    mebibytes = psutil.Process().memory_info().rss // _MEBIBYTE
    print(f"{one.sent} requests from seed {seed}, {mebibytes} MiB at the end: {len(one.wrong)} findings")
    return len(one.wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    options = parser.parse_args()
    return 1 if asyncio.run(run(options.minutes, options.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
