"""Server-side apply by the real server: what the genuine kubectl and other clients see of it.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import pytest
from served_cluster import Cluster

from kubelab.cluster.apiserver import pki
from kubelab.cluster.objects import CLUSTERROLES, CONFIGMAPS, DEPLOYMENTS, PODS, Object

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: front, image: kubelab/shell, env: [{name: MODE, value: a}], ports: [{containerPort: 80}]}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: one, b: two}\n"
APPLY = "application/apply-patch+yaml"
PATH = "/api/v1/namespaces/default/configmaps/settings"

Patch = Callable[..., Awaitable[tuple[int, Object]]]


@pytest.fixture
async def patch(cluster: Cluster) -> AsyncIterator[Patch]:
    """Send an applied configuration as `manager`; return the answer's status and body."""
    tls = pki.client_context(cluster.authority.certificate_path, cluster.authority.admin())
    connector, base = aiohttp.TCPConnector(ssl=tls), f"https://127.0.0.1:{cluster.port}"
    async with aiohttp.ClientSession(base, connector=connector) as session:

        async def send(
            sent: Object | str, path: str = PATH, *, content_type: str = APPLY, **query: str
        ) -> tuple[int, Object]:
            body, headers = (
                sent if isinstance(sent, str) else json.dumps(sent),
                {"Content-Type": content_type},
            )
            async with session.patch(path, params=query, data=body, headers=headers) as response:
                return response.status, await response.json()

        yield send


def config(data: Mapping[str, str], **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def owned(obj: Object, manager: str, operation: str = "Apply") -> Object:
    """Return the FieldsV1 of the only entry of *manager*."""
    entries = obj["metadata"]["managedFields"]
    found = [each for each in entries if (each["manager"], each["operation"]) == (manager, operation)]
    assert len(found) == 1, entries
    fields: Object = found[0]["fieldsV1"]
    return fields


async def test_kubectl_applies_and_is_told_of_conflicts(cluster: Cluster) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert await cluster.ok(*apply, stdin=DEPLOYMENT) == "deployment.apps/shop serverside-applied\n"
    deployment = await cluster.api.get(DEPLOYMENTS, "default", "shop")
    template = owned(deployment, "kubectl")["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert template['k:{"name":"front"}']["f:ports"] == {
        'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
    }

    await cluster.ok("scale", "deployment", "shop", "--replicas=5")
    told = await cluster.refused(*apply, stdin=DEPLOYMENT)
    assert told.startswith(
        'error: Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" '
        "using apps/v1: .spec.replicas\n"
    )
    assert (await cluster.api.get(DEPLOYMENTS, "default", "shop"))["spec"]["replicas"] == 5

    await cluster.ok(*apply, "--force-conflicts", stdin=DEPLOYMENT)
    await cluster.ok(*apply, stdin=DEPLOYMENT.replace("labels: {tier: front}", "labels: {zone: a}"))
    deployment = await cluster.api.get(DEPLOYMENTS, "default", "shop")
    assert (deployment["spec"]["replicas"], deployment["metadata"]["labels"]) == (2, {"zone": "a"})
    assert {entry["manager"] for entry in deployment["metadata"]["managedFields"]} == {"kubectl"}


async def test_kubectl_moves_an_object_from_client_side_to_server_side_apply(cluster: Cluster) -> None:
    """It rewrites the owners itself, and only the first time."""
    await cluster.ok("apply", "-f", "-", stdin=CONFIG)
    before = await cluster.api.get(CONFIGMAPS, "default", "settings")
    assert set(owned(before, "kubectl-client-side-apply", "Update")) == {"f:data", "f:metadata"}

    server_side = ("apply", "--server-side", "-f", "-")
    await cluster.ok(*server_side, stdin=CONFIG.replace(", b: two", ""))
    moved = await cluster.api.get(CONFIGMAPS, "default", "settings")
    assert moved["data"] == {"a": "one"}
    assert owned(moved, "kubectl") == {"f:data": {"f:a": {}}}
    noted = moved["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(noted)["data"] == {"a": "one"}

    await cluster.ok(*server_side, stdin=CONFIG.replace(", b: two", ""))
    again = await cluster.api.get(CONFIGMAPS, "default", "settings")
    assert again["metadata"]["resourceVersion"] == moved["metadata"]["resourceVersion"]
    assert await cluster.ok("apply", "-f", "-", stdin=CONFIG) == "configmap/settings configured\n"
    assert await cluster.ok("apply", "-f", "-", stdin=CONFIG) == "configmap/settings unchanged\n"


async def test_owners_are_shown_when_asked_for(cluster: Cluster) -> None:
    await cluster.ok("run", "web", "--image=kubelab/shell")
    assert "managedFields" not in await cluster.ok("get", "pod", "web", "-o", "yaml")
    shown = json.loads(await cluster.ok("get", "pod", "web", "-o", "json", "--show-managed-fields"))
    container = {".", "f:image", "f:imagePullPolicy", "f:name", "f:resources"}
    container |= {"f:terminationMessagePath", "f:terminationMessagePolicy"}
    fields = owned(shown, "kubectl-run", "Update")
    assert fields["f:metadata"] == {"f:labels": {".": {}, "f:run": {}}}
    assert set(fields["f:spec"]["f:containers"]['k:{"name":"web"}']) == container


async def test_an_object_is_made_when_there_is_none(cluster: Cluster, patch: Patch) -> None:
    status, created = await patch(config({"a": "1"}), fieldManager="one")
    assert (status, created["data"]) == (201, {"a": "1"})
    entry = created["metadata"]["managedFields"][0]
    assert list(entry) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == (
        "one",
        "Apply",
        {"f:data": {"f:a": {}}},
    )
    status, again = await patch(config({"a": "1"}), fieldManager="one")
    assert (status, again["metadata"]["resourceVersion"]) == (200, created["metadata"]["resourceVersion"])


async def test_a_conflict_names_each_field_and_its_manager(cluster: Cluster, patch: Patch) -> None:
    await patch(config({"a": "1", "b": "1"}), fieldManager="one")
    status, refusal = await patch(config({"a": "2", "b": "2"}), fieldManager="two")
    assert (status, refusal["reason"], refusal["message"]) == (
        409,
        "Conflict",
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b',
    )
    assert refusal["details"] == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": f".data.{key}"}
            for key in "ab"
        ]
    }
    status, forced = await patch(config({"a": "2"}), fieldManager="two", force="true")
    assert (forced["data"], owned(forced, "one")) == ({"a": "2", "b": "1"}, {"f:data": {"f:b": {}}})


INVALID_OPTIONS = 'PatchOptions.meta.k8s.io "" is invalid: '
NOT_TYPED = "failed to create typed patch object (default/settings; v1, Kind=ConfigMap)"
UNFULFILLED = 'Operation cannot be fulfilled on configmaps "settings"'
NO_SUCH_UID = "uid mismatch: the provided object specified uid x, and no existing object was found"
REFUSED: tuple[tuple[Object | str, Mapping[str, str], int, str], ...] = (
    (config({}), {}, 422, INVALID_OPTIONS + "fieldManager: Required value: is required for apply patch"),
    (
        config({}),
        {"fieldManager": "a" * 129},
        422,
        INVALID_OPTIONS + "fieldManager: Too long: may not be more than 128 bytes",
    ),
    ("{}", {"fieldManager": "a"}, 400, "invalid object type: /, Kind="),
    (config({}) | {"kind": "Pod"}, {"fieldManager": "a"}, 400, "invalid object type: /v1, Kind=Pod"),
    (config({}, managedFields=[]), {"fieldManager": "a"}, 400, "metadata.managedFields must be nil"),
    (
        config({}, namespace="default") | {"date": 1},
        {"fieldManager": "a"},
        500,
        f"{NOT_TYPED}: .date: field not declared in schema",
    ),
    (
        config({}, uid="x"),
        {"fieldManager": "a"},
        409,
        f"{UNFULFILLED}: {NO_SUCH_UID}",
    ),
)


async def test_what_cannot_be_applied_is_refused(patch: Patch) -> None:
    for sent, query, status, message in REFUSED:
        code, refusal = await patch(sent, **query)
        assert (code, refusal["code"], refusal["message"]) == (status, status, message)


async def test_a_dry_run_changes_nothing(cluster: Cluster, patch: Patch) -> None:
    await patch(config({"a": "1"}), fieldManager="one")
    status, shown = await patch(config({"a": "2"}), fieldManager="one", dryRun="All")
    assert (status, shown["data"]) == (200, {"a": "2"})
    assert (await cluster.api.get(CONFIGMAPS, "default", "settings"))["data"] == {"a": "1"}


async def test_many_appliers_at_once_share_one_object(cluster: Cluster, patch: Patch) -> None:
    names = [f"m{number}" for number in range(8)]
    await asyncio.gather(*(patch(config({name: "1"}), fieldManager=name) for name in names))
    stored = await cluster.api.get(CONFIGMAPS, "default", "settings")
    assert stored["data"] == dict.fromkeys(names, "1")
    assert all(owned(stored, name) == {"f:data": {f"f:{name}": {}}} for name in names)


async def test_status_and_scale_are_applied_as_parts(cluster: Cluster, patch: Patch) -> None:
    await cluster.ok("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    path = "/apis/apps/v1/namespaces/default/deployments/shop"
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 9}}
    status, applied = await patch(
        whole | {"status": {"observedGeneration": 1}}, f"{path}/status", fieldManager="watcher"
    )
    assert (status, applied["status"], applied["spec"]["replicas"]) == (200, {"observedGeneration": 1}, 2)
    assert owned(applied, "watcher") == {"f:status": {"f:observedGeneration": {}}}

    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
    status, refusal = await patch(scale, f"{path}/scale", fieldManager="scaler")
    assert (status, refusal["details"]["causes"][0]["field"]) == (409, ".spec.replicas")
    status, scaled = await patch(scale, f"{path}/scale", fieldManager="scaler", force="true")
    assert (status, scaled["kind"], scaled["spec"]) == (200, "Scale", {"replicas": 4})
    deployment = await cluster.api.get(DEPLOYMENTS, "default", "shop")
    assert owned(deployment, "scaler") == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owned(deployment, "kubectl")["f:spec"]


async def test_a_client_that_empties_the_owners_starts_anew(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=CONFIG)
    reset = '{"metadata":{"managedFields":[{}]}}'
    await cluster.ok("patch", "configmap", "settings", "--type=merge", "-p", reset)
    assert "managedFields" not in (await cluster.api.get(CONFIGMAPS, "default", "settings"))["metadata"]
    told = await cluster.refused("apply", "--server-side", "-f", "-", stdin=CONFIG.replace("one", "uno"))
    assert 'conflict with "before-first-apply" using v1: .data.a' in told


async def test_a_force_that_is_no_apply_is_refused(cluster: Cluster, patch: Patch) -> None:
    await patch(config({"a": "1"}), fieldManager="one")
    status, refusal = await patch({}, content_type="application/merge-patch+json", force="true")
    why = "force: Forbidden: may not be specified for non-apply patch"
    assert (status, refusal["message"]) == (422, INVALID_OPTIONS + why)


async def test_controllers_and_users_own_what_they_wrote(cluster: Cluster) -> None:
    await cluster.ok("run", "web", "--image=kubelab/shell")
    pod = await cluster.api.get(PODS, "default", "web")
    await cluster.api.update(PODS, pod | {"status": {"phase": "Running"}}, subresource="status")
    await cluster.ok("label", "pod", "web", "tier=front")
    entries = (await cluster.api.get(PODS, "default", "web"))["metadata"]["managedFields"]
    owners = {(entry["manager"], entry.get("subresource", "")): entry["fieldsV1"] for entry in entries}
    assert owners[("kube-apiserver", "status")] == {"f:status": {"f:phase": {}}}
    assert owners[("kubectl-label", "")] == {"f:metadata": {"f:labels": {"f:tier": {}}}}


async def test_the_server_keeps_the_owners_of_a_client_that_sends_none(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=CONFIG)
    await cluster.ok("replace", "-f", "-", stdin=CONFIG.replace("two", "three"))
    stored = await cluster.api.get(CONFIGMAPS, "default", "settings")
    assert owned(stored, "kubectl-create", "Update") == {"f:data": {".": {}, "f:a": {}}}
    assert owned(stored, "kubectl-replace", "Update") == {"f:data": {"f:b": {}}}


CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
                },
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "count": {"type": "integer"},
                                    "tags": {
                                        "type": "array",
                                        "items": {"type": "string"},
                                        "x-kubernetes-list-type": "set",
                                    },
                                },
                            },
                            "status": {"type": "object", "properties": {"count": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}


async def test_custom_resources_merge_as_their_schema_says(cluster: Cluster, patch: Patch) -> None:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.example.org"
    status, _ = await patch(CRD, definitions, fieldManager="one")
    assert status == 201
    await cluster.ok("wait", "--for=condition=Established", "crd/gadgets.example.org", "--timeout=40s")

    path = "/apis/example.org/v1/namespaces/default/gadgets/a"
    gadget = {"apiVersion": "example.org/v1", "kind": "Gadget"}
    await patch(gadget | {"spec": {"count": 1, "tags": ["a", "b"]}}, path, fieldManager="one")
    status, shared = await patch(gadget | {"spec": {"tags": ["c"]}}, path, fieldManager="two")
    assert (status, shared["spec"]) == (200, {"count": 1, "tags": ["a", "b", "c"]})
    status, less = await patch(gadget | {"spec": {"count": 1, "tags": ["b"]}}, path, fieldManager="one")
    assert less["spec"]["tags"] == ["b", "c"]
    assert owned(less, "two") == {"f:spec": {"f:tags": {'v:"c"': {}}}}

    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 3}}
    status, refusal = await patch(scale, f"{path}/scale", fieldManager="two")
    assert (status, refusal["details"]["causes"][0]["field"]) == (409, ".spec.count")
    status, scaled = await patch(scale, f"{path}/scale", fieldManager="two", force="true")
    assert (status, scaled["spec"]) == (200, {"replicas": 3})


async def test_who_may_only_patch_applies_no_new_objects(cluster: Cluster, patch: Patch) -> None:
    """As upstream, to apply what is not there needs the verb create, too."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
    await cluster.api.create(
        CLUSTERROLES,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "patcher"},
            "rules": [rule],
        },
    )
    await cluster.ok("create", "clusterrolebinding", "p", "--clusterrole=patcher", "--user=someone")
    manifest = ("apply", "--server-side", "--as=someone", "-f", "-")
    told = await cluster.refused(*manifest, stdin=CONFIG)
    assert 'User "someone" cannot create resource "configmaps"' in told
    await patch(config({"a": "one", "b": "two"}), fieldManager="one")
    await cluster.ok(*manifest, stdin=CONFIG)


TWICE = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: one\n  a: two\n"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{below}, *{below}]\n"
    for below, name in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True)
)


async def test_keys_that_come_twice_are_told_by_their_line(patch: Patch) -> None:
    told = 'error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: key "a" already set in map'
    status, refusal = await patch(TWICE, fieldManager="one", fieldValidation="Strict")
    assert (status, refusal["message"]) == (400, f"error strict decoding patch: {told}")
    for body in (TWICE, '{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "one", "a": "two"}}'):
        status, applied = await patch(body, fieldManager="one", fieldValidation="Warn", force="true")
        assert (status in {200, 201}, applied["data"]) == (True, {"a": "two"})


async def test_bodies_that_grow_or_nest_beyond_measure_are_refused(patch: Patch) -> None:
    status, refusal = await patch(BOMB, fieldManager="one")
    assert (status, "excessive aliasing" in refusal["message"]) == (400, True)
    status, refusal = await patch("a: &a [*a]\n", fieldManager="one")
    assert (status, "contains itself" in refusal["message"]) == (400, True)
    status, refusal = await patch("[" * 200_000, fieldManager="one")
    assert (status, "exceeded max depth" in refusal["message"]) == (400, True)
    deep = '{"apiVersion": "v1", "kind": "ConfigMap", "data": ' + '{"a": ' * 900 + "1" + "}" * 901
    for body in (deep, "[" * 5000, '{"a": ' * 5000, "- a", "\t"):
        status, refusal = await patch(body, fieldManager="one")
        assert status in {400, 500}
        assert refusal["kind"] == "Status"
