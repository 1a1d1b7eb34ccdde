"""Whatever comes over the wire, the server answers, and never with an error of its own (5xx).

A few requests in each run; `make fuzz` sends many.
"""

import pytest
from hostile_requests import Chance, is_wrong, make_objects, requests, send
from served_cluster import Cluster, admin

REQUESTS = 250


@pytest.mark.parametrize("seed", range(1, 4))
async def test_nonsense_is_refused_and_does_no_harm(cluster: Cluster, seed: int) -> None:
    chance = Chance(seed)
    seen: dict[int, int] = {}
    async with admin(cluster) as session:
        await make_objects(session)
        for request in requests(chance, REQUESTS):
            status, answer = await send(session, request)
            seen[status] = seen.get(status, 0) + 1
            assert not is_wrong(status, answer), f"{request}: {answer}"
        async with session.get("/readyz") as response:
            assert response.status == 200
    assert {400, 406, 422} <= seen.keys(), seen
    assert seen.keys() & {200, 201}, seen
