"""Custom resources, and the documents that tell of them, through HTTPS and the genuine kubectl."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yaml
from crontab import COLUMNS, GROUP, NAME, SUBRESOURCES, crontab, definition, version
from served_cluster import Cluster, admin

from kubelab.cluster.apiserver import documents, openapi, openapi_v2
from kubelab.cluster.apiserver.crd.definition import DEFINITIONS
from kubelab.cluster.apiserver.kinds import KINDS
from kubelab.cluster.objects import Object, Resource

OLD = version("v1beta1", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, storage=False)
CRD = definition(
    version(additionalPrinterColumns=COLUMNS, subresources=SUBRESOURCES), OLD | {"deprecated": True}
)
CRONTABS = Resource(GROUP, "v1", "crontabs", "CronTab", namespaced=True)
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


def written(*objects: Object) -> str:
    return "---\n".join(yaml.safe_dump(each) for each in objects)


async def test_kubectl_works_with_custom_resources(cluster: Cluster) -> None:
    """One server for all: create, wait, apply, get, explain, patch, scale, and away again."""
    assert await cluster.ok("create", "-f", "-", stdin=written(CRD)) == (
        f"customresourcedefinition.apiextensions.k8s.io/{NAME} created\n"
    )
    await cluster.ok("wait", "--for=condition=established", f"crd/{NAME}", "--timeout=40s")
    first = written(crontab(cronSpec="* * * * */5", image="a"))
    assert await cluster.ok("apply", "-f", "-", stdin=first) == f"crontab.{GROUP}/my created\n"
    again = first.replace("image: a", "image: b")
    assert await cluster.ok("apply", "-f", "-", stdin=again) == f"crontab.{GROUP}/my configured\n"
    everything = (await cluster.ok("get", "all")).splitlines()
    assert everything[-2].split() == ["NAME", "SPEC", "REPLICAS", "AGE"]
    assert everything[-1].startswith(f"crontab.{GROUP}/my ")
    wide = (await cluster.ok("get", "ct", "-o", "wide")).splitlines()
    assert wide[0].split() == ["NAME", "SPEC", "REPLICAS", "IMAGE", "AGE"]
    assert wide[1].split()[:-1] == ["my", "*", "*", "*", "*", "*/5", "1", "b"]
    explained = await cluster.ok("explain", "ct.spec.image")
    assert "FIELD: image <string>" in explained
    assert "What runs." in explained
    unknown = first.replace("image: a", "colour: red")
    assert 'unknown field "spec.colour"' in await cluster.refused("apply", "-f", "-", stdin=unknown)
    wrong = first.replace("image: a", "image: 3")
    told = await cluster.refused("apply", "--validate=false", "-f", "-", stdin=wrong)
    assert 'spec.image: Invalid value: "integer": spec.image in body must be of type string' in told
    await cluster.ok("patch", "ct", "my", "--type=merge", "-p", '{"spec":{"image":"c"}}')
    assert await cluster.ok("scale", "ct/my", "--replicas=3") == f"crontab.{GROUP}/my scaled\n"
    old = await cluster.kubectl(
        "get", f"crontabs.v1beta1.{GROUP}", "my", "-o", "jsonpath={.apiVersion}{.spec}"
    )
    shown = '{"cronSpec":"* * * * */5","image":"c","replicas":3}'
    assert old.out == f"{GROUP}/v1beta1{shown}"
    assert old.err == f"Warning: {GROUP}/v1beta1 CronTab is deprecated; use {GROUP}/v1 CronTab\n"
    strategic = await cluster.refused("patch", "ct", "my", "-p", "{}")
    assert (
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml" in strategic
    )
    await cluster.ok("delete", "crd", NAME, "--timeout=40s")
    assert "server doesn't have a resource type" in await cluster.refused(
        "get", "ct", "--cache-dir", str(cluster.home / "fresh")
    )


async def test_a_watch_ends_with_its_kind(cluster: Cluster) -> None:
    await cluster.api.create(DEFINITIONS, CRD)
    await cluster.ok("wait", "--for=condition=established", f"crd/{NAME}", "--timeout=40s")
    await cluster.api.create(CRONTABS, crontab(cronSpec="* * * * */5"))
    url = f"/apis/{GROUP}/v1/crontabs?watch=1&allowWatchBookmarks=true"
    async with admin(cluster) as session, session.get(url) as response:
        here = cluster.api.watch(CRONTABS, resource_version="0")
        async with here as events:
            await cluster.api.delete(DEFINITIONS, "", NAME)
            told = [json.loads(line)["type"] async for line in response.content]
            assert [event.type async for event in events][-1:] == ["DELETED"]
    assert (told[0], told[-1]) == ("ADDED", "DELETED")


async def test_old_clients_explain_by_the_second_version(cluster: Cluster) -> None:
    await cluster.api.create(DEFINITIONS, CRD)
    await cluster.ok("wait", "--for=condition=established", f"crd/{NAME}", "--timeout=40s")
    for path, word in (
        ("ct.spec.image", "What runs."),
        ("pod.spec.containers.image", "Container image name"),
    ):
        assert word in await cluster.ok("explain", path, "--output", "plaintext-openapiv2")


# Documents


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    admin = cluster.authority.admin()
    context = ssl.create_default_context(cafile=str(cluster.authority.certificate_path))
    context.load_cert_chain(admin.certificate, admin.key)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(f"https://127.0.0.1:{cluster.port}", connector=connector) as session:
        yield session


async def test_who_has_a_document_is_not_sent_it_again(client: aiohttp.ClientSession) -> None:
    for path, accept in (
        ("/apis", AGGREGATED.format("v2")),
        ("/openapi/v2", PROTOBUF),
        ("/openapi/v3/apis/apps/v1", "*/*"),
    ):
        async with client.get(path, headers={"Accept": accept}) as answer:
            assert answer.status == 200
            headers = {"Accept": accept, "If-None-Match": answer.headers["ETag"]}
        async with client.get(path, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (304, b"")


async def test_old_clients_are_told_nothing_of_a_kind_that_takes_any_field(
    cluster: Cluster, client: aiohttp.ClientSession
) -> None:
    """As builder.go's buildKubeNative has it: kubectl up to 1.26 would call all else unknown."""
    await cluster.api.create(DEFINITIONS, CRD)
    name = ".".join([*reversed(GROUP.split(".")), "v1beta1", "CronTab"])
    told = {"group": GROUP, "version": "v1beta1", "kind": "CronTab"}
    async with asyncio.timeout(20):
        definitions: Object = {}
        while name not in definitions:
            async with client.get("/openapi/v2") as answer:
                definitions = (await answer.json())["definitions"]
    assert definitions[name] == {"type": "object", "x-kubernetes-group-version-kind": [told]}


async def test_a_document_is_at_its_hash(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi/v3") as answer:
        url = (await answer.json())["paths"]["api/v1"]["serverRelativeURL"]
    async with client.get(url) as answer:
        assert answer.headers["Cache-Control"].startswith("public, immutable")
    async with client.get("/openapi/v3/api/v1?hash=OLD", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (301, url)


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_groups_come_in_upstreams_order(version: str) -> None:
    document = documents.at(KINDS, "/apis", AGGREGATED.format(version))
    assert document is not None
    assert document.media_type == AGGREGATED.format(version)
    told = json.loads(document.body)
    assert told["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    names = [each["metadata"]["name"] for each in told["items"]]
    assert (
        names.index("apps") < names.index("rbac.authorization.k8s.io") < names.index("apiextensions.k8s.io")
    )
    versions = {each["metadata"]["name"]: [v["version"] for v in each["versions"]] for each in told["items"]}
    assert versions["autoscaling"] == ["v2", "v1"]


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def test_documents_refer_to_what_they_have_and_name_each_operation_once() -> None:
    for made, prefix in (
        (openapi.made(KINDS), "#/components/schemas/"),
        (openapi_v2.made(KINDS), "#/definitions/"),
    ):
        schemas = made["components"]["schemas"] if "components" in made else made["definitions"]
        assert {each.removeprefix(prefix) for each in references(made)} <= schemas.keys()
        operations = [
            each["operationId"]
            for item in made["paths"].values()
            for key, each in item.items()
            if key != "parameters"
        ]
        assert len(operations) == len(set(operations))
    assert "listCoreV1PodForAllNamespaces" in operations
    assert "replaceAppsV1NamespacedDeploymentScale" in operations


def test_every_kind_has_its_paths_and_its_schema() -> None:
    made = openapi.made(KINDS)
    told = {
        (each["group"], each["version"], each["kind"])
        for schema in made["components"]["schemas"].values()
        for each in schema.get("x-kubernetes-group-version-kind", ())
    }
    assert {(k.resource.group, k.resource.version, k.resource.kind) for k in KINDS} <= told
    containers = made["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
