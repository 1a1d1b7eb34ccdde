"""Which form and media type an Accept header gets, and what YAML answers look like."""

import pytest
import yaml
from api_manifests import configmap
from served_cluster import Cluster, admin

from kubelab.cluster.apiserver import yaml_encoding
from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF, YAML, Accepted, Form, accepted, of_document
from kubelab.cluster.errors import ApiError

TABLE = "as=Table;v=v1;g=meta.k8s.io"
OLD_TABLE = "as=Table;v=v1beta1;g=meta.k8s.io"
METADATA = "as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "gets"),
    [
        ("", Accepted()),
        ("*/*", Accepted()),
        ("application/*;q=0.1", Accepted()),
        (f"{JSON};{TABLE},{JSON}", Accepted(Form.TABLE)),
        (f"{JSON};{OLD_TABLE},{JSON}", Accepted(Form.TABLE, meta_version="meta.k8s.io/v1beta1")),
        (f"{JSON};as=Table;v=v1alpha1;g=meta.k8s.io,{JSON}", Accepted()),
        (f"{PROTOBUF};{METADATA},{JSON};{METADATA},{JSON}", Accepted(Form.PARTIAL)),
        (f"{PROTOBUF};{METADATA},{JSON}", Accepted(Form.PARTIAL, PROTOBUF)),
        (f"{PROTOBUF};{TABLE},{JSON};{TABLE}", Accepted(Form.TABLE)),
        (f"{JSON};q=0.8,{YAML};q=0.9", Accepted(Form.OBJECT, YAML)),
        (f"text/html,{JSON};q=0,{YAML}", Accepted(Form.OBJECT, YAML)),
        (f"{PROTOBUF}, */*", Accepted()),
        (f"{JSON};stream=watch;charset=utf-8", Accepted()),
    ],
)
def test_what_is_liked_best_is_had_and_json_of_equals(accept: str, gets: Accepted) -> None:
    assert accepted(accept) == gets


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", f"{PROTOBUF};{TABLE}", f"{JSON};stream=x"])
def test_what_there_is_not_is_refused_with_what_there_is(accept: str) -> None:
    with pytest.raises(ApiError, match=f"are accepted: {JSON}, {YAML}, {PROTOBUF}") as refused:
        accepted(accept)
    assert refused.value.code == 406


def test_a_watch_is_no_yaml() -> None:
    with pytest.raises(ApiError, match=r"application/json;stream=watch, .*protobuf;stream=watch"):
        accepted(YAML, stream=True)


@pytest.mark.parametrize(("accept", "gets"), [("text/html", JSON), (YAML, YAML), (f"{PROTOBUF},*/*", JSON)])
def test_a_refusal_comes_even_to_whom_nothing_suits(accept: str, gets: str) -> None:
    assert of_document(accept) == gets


@pytest.mark.parametrize(
    "text", ["1e3", "0o17", "1_000", "2026-01-01", "yes", "No", "~", "", "=", ".5", "0x1", "a: b"]
)
def test_text_that_a_reader_of_yaml_may_mistake_is_quoted(text: str) -> None:
    assert yaml_encoding.as_yaml({"a": text, text: 1}).count(b'"') >= 4


async def test_yaml_is_to_be_had(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    wanted = {"Accept": YAML}
    async with admin(cluster) as session:
        async with session.post(path, json=configmap(b="2", a="1e3"), headers=wanted) as response:
            assert response.headers["Content-Type"] == YAML
            text = await response.text()
            assert text.startswith('apiVersion: v1\ndata:\n  a: "1e3"\n  b: "2"\nkind: ConfigMap\n')
        async with session.get(f"{path}/settings") as response:
            assert yaml.safe_load(text) == await response.json()
        async with session.put(f"{path}/settings", data=text, headers={"Content-Type": YAML}) as response:
            assert response.status == 200, await response.text()


async def test_nothing_is_done_for_whom_no_answer_suits(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    async with admin(cluster) as session:
        async with session.post(path, json=configmap(), headers={"Accept": "text/html"}) as response:
            assert response.status == 406
        async with session.get(f"{path}/settings") as response:
            assert response.status == 404
