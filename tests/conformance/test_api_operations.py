"""The life of an object of each kind, as upstream's specs of "API operations" and "lifecycle" have it.

Source: kubernetes, test/e2e/{apps,auth,common/node,network,scheduling,instrumentation,apimachinery}/*.go.
Left out: what runs (pods' containers), and kinds that this server does not have.
"""

from typing import Any

import pytest
from spec_client import Client
from spec_objects import SUBJECTS, Subject

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
LABELS = {"special-label": "e2e-unique"}
SELECTOR = "special-label=e2e-unique"


def annotated(obj: Object, key: str) -> Object:
    metadata = obj["metadata"]
    return obj | {"metadata": metadata | {"annotations": (metadata.get("annotations") or {}) | {key: "true"}}}


def annotations(obj: Object) -> Any:
    return obj["metadata"].get("annotations") or {}


async def is_discovered(client: Client, subject: Subject) -> bool:
    """Look for the resource where upstream's specs do: among the groups, in its group, in its version."""
    group, _, version = subject.group_version.rpartition("/")
    if group:
        groups = (await client.get("/apis"))["groups"]
        assert subject.group_version in {
            each["groupVersion"] for found in groups if found["name"] == group for each in found["versions"]
        }
        of_group = (await client.get(f"/apis/{group}"))["versions"]
        assert version in {each["version"] for each in of_group}
    root = f"/apis/{subject.group_version}" if group else f"/api/{version}"
    resources = {each["name"]: each for each in (await client.get(root))["resources"]}
    return set(resources[subject.plural]["verbs"]) >= VERBS


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.spec)
async def test_a_kind_has_all_verbs(client: Client, subject: Subject, form: str) -> None:
    """Discovered, created, read, listed, watched, patched, updated, deleted: alone and with its like."""
    assert await is_discovered(client, subject)
    typed, collection, everywhere = client.speaking(form), subject.path(), subject.path(namespace="")
    created = await typed.create(collection, subject.made("test-api", LABELS))
    path = subject.path(name="test-api")
    assert (await typed.get(path))["metadata"]["uid"] == created["metadata"]["uid"]
    listed = await typed.get(collection, labelSelector=SELECTOR)
    assert len(listed["items"]) == len(await typed.items(everywhere, SELECTOR)) == 1
    since = listed["metadata"]["resourceVersion"]
    async with (
        client.watch(collection, since, labelSelector=SELECTOR) as watch,
        client.watch(everywhere, since, labelSelector=SELECTOR) as cluster_wide,
    ):
        patched = await typed.patch(path, {"metadata": {"annotations": {"patched": "true"}}})
        assert annotations(patched)["patched"] == "true"
        assert int(patched["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
        updated = await typed.update(path, annotated(await typed.get(path), "updated"))
        assert annotations(updated).keys() >= {"patched", "updated"}
        for each in (watch, cluster_wide):
            assert await each.until("MODIFIED", lambda obj: "patched" in annotations(obj))
            assert await each.until("MODIFIED", lambda obj: "updated" in annotations(obj))
        await typed.create(collection, subject.made("for-removal", LABELS))
        await typed.delete(subject.path(name="for-removal"), propagationPolicy="Background")
        assert await typed.is_gone(subject.path(name="for-removal"))
        await typed.delete(collection, selector=SELECTOR, propagationPolicy="Background")
        assert await typed.items(collection, SELECTOR) == []
        for each in (watch, cluster_wide):
            assert await each.until("DELETED", lambda obj: obj["metadata"]["name"] == "test-api")
