"""Whatever comes over the wire, the server answers, and never with an error of its own (5xx).

Requests are drawn from a seed: bodies with parts exchanged for nonsense, patches of every sort, selectors and
queries, broken JSON, deep and wide documents. KUBELAB_FUZZ_REQUESTS and KUBELAB_FUZZ_SEED make a longer run.
"""

import json
import os
import random
from collections.abc import Iterator
from typing import Any

import kind_manifests
import pytest
from api_manifests import configmap, deployment, pod
from served_cluster import Cluster, admin

from kubelab.cluster.objects import Object

REQUESTS = int(os.environ.get("KUBELAB_FUZZ_REQUESTS", "250"))
SEED = int(os.environ.get("KUBELAB_FUZZ_SEED", "1"))
PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
NONSENSE: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**63,
        1e300,
        "",
        "a",
        "é\u0000",
        "x" * 5000,
        "$patch",
        "10.0.0.0/33",
        "-5%",
        "1e9999",
    ),
    *(
        [],
        {},
        [None],
        [[]],
        {"": {}},
        [{"name": "a"}, {"name": "a"}],
        {"$patch": "replace"},
        {"a": {"b": {"c": 1}}},
    ),
)
KINDS: dict[str, Object] = {
    "api/v1/namespaces/default/pods": pod(),
    "api/v1/namespaces/default/configmaps": configmap(),
    "api/v1/namespaces/default/services": {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
    "apis/apps/v1/namespaces/default/deployments": deployment(),
    "apis/apps/v1/namespaces/default/statefulsets": kind_manifests.workload(serviceName="s"),
    "apis/batch/v1/namespaces/default/jobs": kind_manifests.job(),
    "apis/batch/v1/namespaces/default/cronjobs": kind_manifests.cronjob(),
    "apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers": kind_manifests.autoscaler(),
    "apis/networking.k8s.io/v1/namespaces/default/networkpolicies": kind_manifests.network_policy(),
    "apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings": kind_manifests.role_binding(),
}
SELECTORS = (
    "a=b",
    "a in (b",
    "!a",
    "a,,b",
    "=",
    "a notin ()",
    "metadata.name=a",
    "x=" + "y" * 500,
    "é",
    "a==b==c",
)


class Chance(random.Random):
    def garbled(self, value: Any, depth: int = 0) -> Any:
        """Return *value* with a part of it, here or below, exchanged for nonsense or taken away."""
        if depth and self.random() < 0.25:
            return self.choice(NONSENSE)
        if isinstance(value, dict) and value:
            key = self.choice(sorted(value))
            changed = value | {key: self.garbled(value[key], depth + 1)}
            return (
                changed if self.random() < 0.9 else {each: changed[each] for each in changed if each != key}
            )
        if isinstance(value, list) and value:
            index = self.randrange(len(value))
            return [*value[:index], self.garbled(value[index], depth + 1), *value[index + 1 :]]
        return self.choice(NONSENSE)

    def pointer(self, value: Any) -> str:
        """Return a JSON pointer into *value*, or past it."""
        parts = []
        while isinstance(value, dict) and value and self.random() < 0.8:
            parts.append(self.choice(sorted(value)))
            value = value[parts[-1]]
        return "".join(f"/{part}" for part in (*parts, *self.choice(((), ("-",), ("7",), ("~2",), ("",)))))

    def patch(self, sort: str, obj: Object) -> Any:
        if sort != "json-patch+json":
            return self.garbled(obj)
        operations = ("add", "remove", "replace", "move", "copy", "test", "dance")
        return [
            {
                "op": self.choice(operations),
                "path": self.pointer(obj),
                "from": self.pointer(obj),
                "value": self.choice(NONSENSE),
            }
            for _ in range(self.randint(0, 3))
        ]

    def body(self, value: Any) -> bytes:
        """Return *value* as JSON, seldom damaged or endless."""
        encoded = json.dumps(value).encode()
        damage = self.random()
        if damage < 0.05:
            return encoded[: self.randrange(len(encoded) + 1)]
        if damage < 0.08:
            return b'{"a":' * self.choice((50, 5000, 100_000)) + b"1"
        return encoded if damage < 0.97 else bytes(self.choices(range(256), k=60))

    def query(self) -> str:
        options = (
            "dryRun=All",
            "dryRun=No",
            "fieldValidation=Strict",
            "fieldValidation=x",
            "force=maybe",
            "pretty",
        )
        options += (
            "limit=-1",
            "limit=2",
            "continue=x",
            "resourceVersion=x",
            "resourceVersion=99999",
            "watch=0",
        )
        options += (
            "fieldManager=" + "m" * 200,
            "timeout=1h",
            "resourceVersionMatch=Exact",
            "propagationPolicy=X",
        )
        selectors = (f"{name}={self.choice(SELECTORS)}" for name in ("labelSelector", "fieldSelector"))
        return "&".join(self.sample([*options, *selectors], self.choice((0, 0, 1, 2))))


def requests(chance: Chance) -> Iterator[tuple[str, str, bytes, str]]:
    """Yield method, path, body and content type."""
    for _ in range(REQUESTS):
        path, obj = chance.choice(list(KINDS.items()))
        name = obj["metadata"]["name"]
        one = chance.choice(
            (f"{path}/{name}", f"{path}/{name}", f"{path}/{name}/status", f"{path}/{name}/scale")
        )
        query = chance.query()
        yaml = chance.random() < 0.1
        match chance.choice(("POST", "POST", "PUT", "PATCH", "PATCH", "PATCH", "GET", "DELETE")):
            case "POST":
                kind = "application/yaml" if yaml else "application/json"
                yield "POST", f"/{path}?{query}", chance.body(chance.garbled(obj)), kind
            case "PUT":
                yield "PUT", f"/{one}?{query}", chance.body(chance.garbled(obj)), "application/json"
            case "PATCH":
                sort = chance.choice(PATCHES)
                query += "&fieldManager=me" if sort == PATCHES[-1] else ""
                yield "PATCH", f"/{one}?{query}", chance.body(chance.patch(sort, obj)), f"application/{sort}"
            case "DELETE":
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": "x"}}
                yield "DELETE", f"/{one}?{query}", chance.body(chance.garbled(options)), "application/json"
            case _:
                yield "GET", f"/{chance.choice((path, one))}?{query}", b"", ""


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
async def test_nonsense_is_refused_and_does_no_harm(cluster: Cluster, seed: int) -> None:
    chance = Chance(seed)
    seen: dict[int, int] = {}
    async with admin(cluster) as session:
        for path, obj in KINDS.items():
            async with session.post(f"/{path}", json=obj) as response:
                assert response.status == 201, await response.text()
        for method, path, body, kind in requests(chance):
            headers = {"Content-Type": kind} if kind else {}
            async with session.request(method, path, data=body, headers=headers) as response:
                seen[response.status] = seen.get(response.status, 0) + 1
                answer = await response.text()
                # Upstream's answer to a resource version of the future is 504, and no time-out.
                of_the_future = response.status == 504 and "Too large resource version" in answer
                assert response.status < 500 or of_the_future, f"{method} {path} {body!r}: {answer}"
        async with session.get("/readyz") as response:
            assert response.status == 200
    assert {400, 422} <= seen.keys(), seen
    assert seen.keys() & {200, 201}, seen
