"""What is read quickly is what is read slowly: a decoder and a schema beside their quick twins."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from api_manifests import pod
from hypothesis import example, given
from hypothesis import strategies as st

from kubelab.cluster.apiserver import fitting, schema, unique_keys
from kubelab.cluster.apiserver.kinds import KINDS
from kubelab.cluster.objects import Object

POD = "k8s.io/api/core/v1.Pod"
KEYS = st.sampled_from(["a", "b", '"', '":', "\\", "a:", "ñ"])
QUOTE, ESCAPED = '\\"', "\\u0022"
SPACES = st.sampled_from(["", " ", "\n"])
SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(['":', '"', 'x":y', "\u00f1"])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Return the text of an object in which keys may come twice, spaced and escaped in some way."""
    members = draw(st.lists(st.tuples(KEYS, inner), max_size=4))
    shown = [f"{_key(draw, key)}{draw(SPACES)}:{draw(SPACES)}{value}" for key, value in members]
    return "{" + f"{draw(SPACES)},".join(shown) + "}"


def _key(draw: st.DrawFn, key: str) -> str:
    text = json.dumps(key, ensure_ascii=draw(st.booleans()))
    return f'"{text[1:-1].replace(QUOTE, ESCAPED)}"' if draw(st.booleans()) else text


def _lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")


TEXTS = st.recursive(SCALARS.map(json.dumps), lambda inner: objects(inner) | _lists(inner), max_leaves=12)


@given(TEXTS)
def test_a_key_that_comes_twice_is_never_overlooked(text: str) -> None:
    slowly = schema.parse_json(text.encode())
    quickly = unique_keys.decoded(text.encode())
    if any(schema.all_duplicates(slowly)):
        assert quickly is None
    assert quickly is None or quickly == slowly


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_clients_send_is_read_quickly(separators: tuple[str, str]) -> None:
    obj = pod(nodeSelector={"a/b": 'x":y'})
    assert unique_keys.decoded(json.dumps(obj, separators=separators).encode()) == obj


def values(of: Any) -> st.SearchStrategy[Any]:
    """Return what may stand where *of* stands: right, nearly right and quite wrong."""
    odd = st.sampled_from([None, True, 1, 1.0, -1, 1 << 40, "", "1000m", "0.5", [], {}, [None], {"x": None}])
    return st.just(of) | odd


@st.composite
def bodies(draw: st.DrawFn) -> Object:
    """Return a pod in which some parts were replaced or added."""
    body: Object = copy.deepcopy(WHOLE)
    places = list(_places(body))
    for holder, key in draw(st.lists(st.sampled_from(places), max_size=2)):
        holder[key] = draw(values(holder[key]))
    if draw(st.booleans()):
        holder, _ = draw(st.sampled_from([each for each in places if isinstance(each[0], dict)]))
        holder["unheardOf"] = 1
    return body


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


CONTAINER: Object = {
    "name": "web",
    "image": "kubelab/web:1",
    "args": ["-v"],
    "env": [{"name": "A", "value": "b"}],
    "ports": [{"containerPort": 8080}],
    "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}},
    "livenessProbe": {"httpGet": {"port": "http"}},
    "tty": True,
}
WHOLE: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "labels": {"app": "web"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"fieldsV1": {"f:spec": {}}}],
    },
    "spec": {"containers": [CONTAINER], "tolerations": [{"tolerationSeconds": 300}]},
}


@example(WHOLE | {"metadata": {"managedFields": [{"fieldsV1": None}]}})
@given(bodies())
def test_what_fits_quickly_fits_slowly_and_alike(body: Object) -> None:
    try:
        slowly, problems = schema.bundled().fitted(POD, copy.deepcopy(body))
    except schema.MismatchError:
        slowly, problems = None, ["it does not fit"]
    quickly = fitting.bundled().fitted(POD, copy.deepcopy(body))
    assert quickly is None or (quickly == slowly and not problems)


def test_a_body_without_oddities_is_fitted_quickly() -> None:
    quickly = fitting.bundled().fitted(POD, copy.deepcopy(WHOLE))
    assert quickly is not None
    assert quickly["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "512Mi"}


def test_every_kind_has_its_functions() -> None:
    for kind in KINDS:
        body: Object = {"kind": kind.resource.kind, "metadata": {"name": "a"}}
        assert fitting.bundled().fitted(kind.go_type, dict(body)) == body
