"""What is answered at once is what would have been answered else: same words, same rights, same order."""

import asyncio
import json

import pytest
from api_manifests import pod
from served_cluster import Cluster, admin, client

from kubelab.cluster.apiserver.pki import KeyPair, client_context
from kubelab.cluster.objects import PODS

POD = "/api/v1/namespaces/default/pods/web"
UNUSED_OPTION = "?pretty=false"  # Whoever asks with options is answered the usual way.


async def raw(cluster: Cluster, pair: KeyPair, *pieces: bytes) -> bytes:
    """Send *pieces* one after another; return all that comes until the server closes."""
    tls = client_context(cluster.authority.certificate_path, pair)
    reader, writer = await asyncio.open_connection("localhost", cluster.port, ssl=tls)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    return answer


def get(path: str, *headers: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    return "\r\n".join(lines).encode()


LAST = "Connection: close"


async def test_the_answer_is_the_usual_one(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    answers = []
    async with admin(cluster) as session:
        for path in (POD, f"{POD}{UNUSED_OPTION}"):
            async with session.get(path) as response:
                headers = {name: value for name, value in response.headers.items() if name != "Date"}
                answers.append((response.status, headers, await response.read()))
    assert answers[0] == answers[1]
    noted = [(each.verb, each.name, each.code, each.bytes_sent) for each in cluster.requests.recent]
    assert noted[-2] == noted[-1] == ("get", "web", 200, len(answers[0][2]))
    assert cluster.requests.recent[-2].uri == POD


async def test_the_newest_version_is_what_is_read(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    async with admin(cluster) as session:
        for value in ("one", "two"):
            await cluster.api.patch(PODS, "default", "web", {"metadata": {"labels": {"n": value}}})
            async with session.get(POD) as response:
                assert (await response.json())["metadata"]["labels"]["n"] == value


@pytest.mark.parametrize("suffix", ["", UNUSED_OPTION])
async def test_who_may_not_is_refused(cluster: Cluster, suffix: str) -> None:
    await cluster.api.create(PODS, pod())
    pair = cluster.authority.issue("stranger", "mallory")
    async with client(cluster, pair) as session, session.get(f"{POD}{suffix}") as response:
        assert response.status == 403
    async with client(cluster) as session, session.get(f"{POD}{suffix}") as response:
        assert response.status == 401


async def test_whoever_acts_as_somebody_else_has_their_rights(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    headers = {"Impersonate-User": "mallory"}
    async with admin(cluster) as session, session.get(POD, headers=headers) as response:
        assert response.status == 403
        assert "mallory" in (await response.json())["message"]


async def test_a_kubelet_reads_the_pods_of_its_node_alone(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod(nodeName="minion-1"))
    statuses = []
    for node in ("minion-1", "minion-2"):
        async with (
            client(cluster, cluster.authority.kubelet(node)) as session,
            session.get(POD) as response,
        ):
            statuses.append(response.status)
    assert statuses == [200, 403]


async def test_what_is_not_there_is_not_found(cluster: Cluster) -> None:
    async with admin(cluster) as session, session.get(POD) as response:
        assert response.status == 404


async def test_requests_that_come_together_are_answered_in_their_order(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod("a"))
    await cluster.api.create(PODS, pod("b"))
    root = "/api/v1/namespaces/default/pods"
    paths = (f"{root}/a", f"{root}?limit=1", f"{root}/b", f"{root}/a{UNUSED_OPTION}")
    together = b"".join(map(get, paths)) + get(f"{root}/b", LAST)
    answer = await raw(cluster, cluster.authority.admin(), together)
    bodies = [json.loads(each.partition(b"\r\n\r\n")[2]) for each in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert [each["metadata"].get("name", each["kind"]) for each in bodies] == ["a", "PodList", "b", "a", "b"]


async def test_a_request_may_come_in_pieces(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    whole = get(POD)
    answer = await raw(cluster, cluster.authority.admin(), whole[:30], whole[30:], get(POD, LAST))
    assert answer.count(b"HTTP/1.1 200") == 2


async def test_nonsense_is_answered_with_400(cluster: Cluster) -> None:
    answer = await raw(cluster, cluster.authority.admin(), get(POD), b"GET nonsense\r\n\r\n")
    assert b"HTTP/1.0 400" in answer or b"HTTP/1.1 400" in answer
