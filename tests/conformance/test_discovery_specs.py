"""What tells clients which groups, versions and resources there are.

Source: kubernetes, test/e2e/apimachinery/{aggregated_discovery,discovery,server_version}.go.
Left out: the groups that this server does not have (webhooks, aggregated API servers, storage).
"""

from spec_client import Client
from spec_definitions import ANYTHING, GROUP, definition, established, version

from kubelab.cluster.objects import Object

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
EXPECTED = {
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apps", "v1", "deployments"),
    ("authentication.k8s.io", "v1", "tokenreviews"),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "jobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
}


def found(document: Object) -> set[tuple[str, str, str]]:
    return {
        (group["metadata"].get("name", ""), version["version"], resource["resource"])
        for group in document["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }


async def test_one_document_tells_of_all_groups(client: Client) -> None:
    """AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers; should support
    aggregated discovery interface."""
    aggregated = client.speaking(AGGREGATED)
    assert found(await aggregated.get("/apis")) >= EXPECTED
    assert ("", "v1", "namespaces") in found(await aggregated.get("/api"))


async def test_a_custom_resource_comes_into_it(client: Client) -> None:
    """AggregatedDiscovery should support raw aggregated discovery request for CRDs; should support aggregated
    discovery interface for CRDs."""
    await established(client, definition(version("v1beta1", ANYTHING), plural="testcrds", scope="Namespaced"))
    aggregated = client.speaking(AGGREGATED)
    await aggregated.until("/apis", lambda answer: (GROUP, "v1beta1", "testcrds") in found(answer.body))


async def test_each_group_has_its_preferred_version_and_resources(client: Client) -> None:
    """Discovery should locate the groupVersion and a resource within each APIGroup; should validate
    PreferredVersion for each APIGroup."""
    for group in (await client.get("/apis"))["groups"]:
        versions = [each["groupVersion"] for each in group["versions"]]
        assert group["preferredVersion"]["groupVersion"] in versions
        assert await client.get(f"/apis/{group['name']}") == {"kind": "APIGroup", "apiVersion": "v1"} | group
        for group_version in versions:
            resources = await client.get(f"/apis/{group_version}")
            assert (resources["kind"], resources["groupVersion"]) == ("APIResourceList", group_version)
            assert resources["resources"][0]["name"]


async def test_the_servers_version_is_of_numbers(client: Client) -> None:
    """server version should find the server version."""
    told = await client.get("/version")
    assert told["major"].isdecimal()
    assert told["minor"].isdecimal()
