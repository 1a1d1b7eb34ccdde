"""Forms of answers and of patches: tables, streamed lists, unknown fields; and how long to wait for them.

Source: kubernetes, test/e2e/apimachinery/{table_conversion,watchlist,request_timeout}.go (of which only the
406 for what has no metadata is of the conformance suite), test/e2e/apps/{deployment,statefulset}.go.
"""

import pytest
from spec_client import STRATEGIC, Client
from spec_objects import DEPLOYMENTS, NODES, POD_SPEC, PODS, STATEFULSETS, SUBJECTS, Subject

TABLE = "application/json;as=Table;v={};g=meta.k8s.io"
BOTH = ["v1", "v1beta1"]
SECRETS = "/api/v1/namespaces/default/secrets"
STREAMED = {
    "watch": "true",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


@pytest.mark.parametrize("version", BOTH)
async def test_a_pod_is_a_row(client: Client, version: str) -> None:
    """Servers with support for Table transformation should return pod details."""
    await client.create(PODS.path(), PODS.made("pod-1", {}) | {"spec": POD_SPEC | {"restartPolicy": "Never"}})
    table = await client.speaking(TABLE.format(version)).get(PODS.path(name="pod-1"))
    assert (table["kind"], table["apiVersion"]) == ("Table", f"meta.k8s.io/{version}")
    (row,) = table["rows"]
    assert (table["columnDefinitions"][0]["name"], row["cells"][0]) == ("Name", "pod-1")
    assert len(row["cells"]) == len(table["columnDefinitions"]) > 2


@pytest.mark.parametrize("version", BOTH)
async def test_rows_come_in_pages(client: Client, version: str) -> None:
    """Servers with support for Table transformation should return chunks of table results for list calls."""
    subject = next(each for each in SUBJECTS if each.plural == "podtemplates")
    for number in range(5):
        await client.create(subject.path(), subject.made(f"template-{number:04}", {}))
    tables = client.speaking(TABLE.format(version))
    first = await tables.get(subject.path(), limit="2")
    assert [row["cells"][0] for row in first["rows"]] == ["template-0000", "template-0001"]
    assert first["metadata"]["resourceVersion"]
    rest = await tables.get(subject.path(), **{"continue": first["metadata"]["continue"]})
    assert rest["rows"][0]["cells"][0] == "template-0002"


async def test_nodes_are_rows(client: Client) -> None:
    """Servers with support for Table transformation should return generic metadata details across all
    namespaces for nodes."""
    await client.create(NODES.path(), NODES.made("node-1", {}))
    table = await client.speaking(TABLE.format("v1beta1")).get(NODES.path())
    assert table["metadata"]["resourceVersion"]
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"]) >= 2


async def test_a_review_is_no_row(client: Client) -> None:
    """Servers with support for Table transformation should return a 406 for a backend which does not
    implement metadata."""
    attributes = {"path": "/", "verb": "get"}
    review = {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"nonResourceAttributes": attributes},
    }
    answer = await client.speaking(TABLE.format("v1")).ask(
        "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, "application/json"
    )
    assert answer.status == 406


async def test_a_streamed_list_has_no_rows(client: Client) -> None:
    """API Streaming (aka. WatchList) doesn't support receiving resources as Tables."""
    answer = await client.speaking(TABLE.format("v1")).ask("GET", SECRETS, **STREAMED)
    assert (answer.status, answer.body["reason"]) == (406, "NotAcceptable")


async def test_a_streamed_list_comes_as_objects_to_who_takes_both(client: Client) -> None:
    """API Streaming (aka. WatchList) falls backs to supported content type when when receiving resources as
    Tables was requested; should be requested by informers when WatchListClient is enabled."""
    subject = next(each for each in SUBJECTS if each.plural == "secrets")
    created = [
        await client.create(SECRETS, subject.made(f"secret-{number}", {"watchlist": "true"}))
        for number in range(1, 6)
    ]
    accept = f"{TABLE.format('v1')},application/json"
    query = {key: value for key, value in STREAMED.items() if key not in {"watch", "allowWatchBookmarks"}}
    async with client.watch(SECRETS, "", accept=accept, labelSelector="watchlist=true", **query) as watch:
        assert [await watch.until("ADDED") for _ in created] == created
        end = await watch.until("BOOKMARK")
        assert end["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        changed = await client.update(f"{SECRETS}/secret-1", created[0] | {"stringData": {"foo": "bar"}})
        assert await watch.until("MODIFIED") == changed


@pytest.mark.parametrize("path", ["/version", "/api/v1/namespaces"])
@pytest.mark.parametrize(("timeout", "status"), [("invalid", 400), ("3m", 200), ("0s", 200)])
async def test_who_says_how_long_he_waits_says_it_well(
    client: Client, path: str, timeout: str, status: int
) -> None:
    """Server request timeout should return HTTP status code 400 if the user specifies an invalid timeout in
    the request URL; the request should be served with a default timeout if the specified timeout in the
    request URL exceeds maximum allowed; default timeout should be used if the specified timeout in the
    request URL is 0s."""
    answer = await client.ask("GET", path, timeout=timeout)
    assert answer.status == status
    assert status == 200 or "invalid timeout specified in the request URL" in answer.body["message"]


@pytest.mark.parametrize("subject", [DEPLOYMENTS, STATEFULSETS], ids=lambda each: each.kind)
async def test_a_patch_may_name_a_field_that_is_none(client: Client, subject: Subject) -> None:
    """Deployment should run the lifecycle of a Deployment; StatefulSet should list, patch and delete a
    collection of StatefulSets: they send a field with a capital, which is told of and dropped."""
    path = subject.path(name="test")
    await client.create(subject.path(), subject.made("test", {}))
    template = {
        "spec": {"TerminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "kubelab/web"}]}
    }
    payload = {
        "metadata": {"labels": {"test": "patched"}},
        "spec": {"replicas": 2, "template": template},
    }
    spec = (await client.patch(path, payload, STRATEGIC))["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (spec["replicas"], container["image"]) == (2, "kubelab/web")
