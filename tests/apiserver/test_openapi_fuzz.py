"""What schemathesis makes of the served OpenAPI documents gets an answer, and none of 5xx.

A few operations in each run; `make fuzz` asks all of them, for as long as is wanted.
"""

import asyncio

import pytest
from openapi_fuzz import Finding, Fuzzer
from served_cluster import Cluster

SEED = 1
EXAMPLES = 10
DOCUMENT = "apis/coordination.k8s.io/v1"  # One of the smallest.
METHODS = ("post", "patch")


@pytest.mark.timeout(180)  # 3 s of a processor, which may be shared with many.
async def test_what_is_made_of_a_document_is_answered(cluster: Cluster) -> None:
    fuzzer = Fuzzer(cluster)

    def ask() -> list[Finding]:
        fuzzer.restore()
        operations = [each for each in fuzzer.operations(DOCUMENT) if each.method in METHODS]
        assert len(operations) == len(METHODS)
        return [finding for each in operations for finding in fuzzer.findings(each, SEED, EXAMPLES)]

    assert not await asyncio.to_thread(ask)
    assert fuzzer.sent > len(METHODS) * EXAMPLES, fuzzer.answers
