"""Other people's clients work unmodified: the script of each runs against the served cluster."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from served_cluster import Cluster, serving

HERE = Path(__file__).parent
BOATS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {masts: {type: integer}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serving(tmp_path) as cluster:
        yield cluster


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes_asyncio", "kr8s", "lightkube"])
async def test_a_clients_users_get_what_they_ask_for(cluster: Cluster, name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / f"use_{name}.py")),
        env=dict(cluster.environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1:] == ["well"], out.decode()


async def test_an_operator_of_kopf_reconciles(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=BOATS)
    await cluster.ok("wait", "crd/boats.example.com", "--for=condition=Established")
    async with operator(cluster):
        await cluster.ok("create", "-f", "-", stdin=boat(2))
        told = "--for=jsonpath={.status.build.log}=ana-log"
        await cluster.ok("wait", "boat/ana", told, "--timeout=50s")
        assert await masts(cluster) == "2"
        owner = "jsonpath={.metadata.ownerReferences[0].kind}"
        assert await cluster.ok("get", "cm", "ana-log", "-o", owner) == "Boat"
        await cluster.ok("apply", "-f", "-", stdin=boat(3))
        await cluster.ok("wait", "cm/ana-log", "--for=jsonpath={.data.masts}=3", "--timeout=50s")


def boat(masts: int) -> str:
    return f"{{apiVersion: example.com/v1, kind: Boat, metadata: {{name: ana}}, spec: {{masts: {masts}}}}}"


async def masts(cluster: Cluster) -> str:
    return await cluster.ok("get", "cm", "ana-log", "-o", "jsonpath={.data.masts}")


@contextlib.asynccontextmanager
async def operator(cluster: Cluster) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kopf", "run", "--namespace=default", "--standalone"),
        str(HERE / "operator_for_kopf.py"),
        env=dict(cluster.environment),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
