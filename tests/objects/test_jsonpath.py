"""JSONPath against the genuine kubectl, which evaluates a template over a file without a server."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.jsonpath import JsonPath

DOCUMENT = {
    "data": {"a": "bc", "k.8s/x": "dotted"},
    "list": [
        {"n": 1, "s": "a", "deep": {"n": 8}},
        {"n": 22, "s": "b", "t": True},
        {"s": "c )", "t": False, "x": None},
    ],
    "empty": [],
    "none": None,
    "ratio": [{"v": 0.5}, {"v": 1.5}],
    "map": {"k": {"n": 5}, "q": [1, 2, 3, 4]},
}

TABLE = r"""
{@}                         {$.data.a}                  {.data.a}              {.data .a}
{.}                         {.none}                     {.none.a}              {.data.absent.a}
{.data.*}                   {['data']['a']}             {.data['a']}           {.map['k','q']}
{.data.k\.8s/x}             {.data['k\.8s/x']}          {.data['k.8s/x']}      {['map.k.n', 'data.a']}
{.list[*].s}                {.list.*.s}                 {.list[0].s}           {.list[-1].s}
{.list[0,2].s}              {.list[0,-1]['s','n']}      {.list[1:].s}          {.list[:2].s}
{.list[:-1].s}              {.list[-2:].s}              {.list[::2].s}         {.map.q[0:4:3]}
{.map.q[1:1]}               {.map.q[0:4]}               {.list[].s}            {.absent[0].a}
{..n}                       {.map..n}                   {.map..}               {.map...n}
{.list..n}                  {.list[0]..}                {.list[?(@.t)].s}      {.list[?(@.deep.n)].s}
{.list[?(@.s=="a")].n}      {.list[?(@.s=='a')].n}      {.list[?(@.s!="a")].s} {.list[?(@.s>="b")].s}
{.list[?(@.n>1)].s}         {.list[?(@.n<2)].s}         {.list[?(@.n<=1)].s}   {.list[?(@.n==22)].s}
{.list[?(@.t==true)].s}     {.list[?(@.t!=true)].s}     {.list[?("a"==@.s)].n} {.list[?(@.s == "a" )].n}
{.list[?(@.s=="c )")].t}    {.list[?(@.deep.n==8)].s}   {.list[?(@.n>-3)].n}   {.ratio[?(@.v>0.6)].v}
{.list[?(@.s==@.s)].s}      {.list[?(@.x)].s}           {.list[?(@.none)].s}   {.empty[*].a}
""".replace("} ", "}\n")
PATHS = [line.strip() for line in TABLE.splitlines() if line.strip()]

REFUSED_ON_SIGHT = [
    '{.data["a"]}',
    "{.data,.map}",
    "{..*}",
    "{....n}",
    "{.list[x]}",
    '{.list[?(@.s="a")]}',
    '{.list[?(@.s=~"a")]}',
    "{.list[0}",
    '{.list[?(@.s=="a"]}',
    "{end}",
    "{data.a}",
    '{.list[?(@.s=="a)]}',
]

REFUSED_AT_WORK = [
    "{.list[7]}",
    "{.list[-7]}",
    "{.list[2:1]}",
    "{.list[0:9]}",
    "{.empty[0]}",
    "{.data[0]}",
    "{.map.q[0:4:0]}",
    "{.list[0].s[0]}",
    '{.list[?(@.n=="1")].s}',
    "{.list[?(@.n==1.0)].s}",
    "{.list[?(@.t>true)].s}",
    "{.map[?(@.n==5)]}",
    "{.none[?(@.n)]}",
    "{.list[?(@.s==@..n)]}",
]


def kubectl(document: Any, paths: Sequence[str]) -> list[str] | None:
    """Return what kubectl prints for each path; None if it refuses one of them."""
    template = '{"\\n"}'.join(paths)
    command = [bundled_kubectl.path(), "annotate", "--local", "-f", "-", "n=", "-o", f"jsonpath={template}"]
    named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}} | document
    done = subprocess.run(command, input=json.dumps(named), text=True, capture_output=True, check=False)
    return done.stdout.split("\n") if done.returncode == 0 else None


def ours(document: Any, path: str) -> str:
    metadata = {"name": "x", "annotations": {"n": ""}}
    named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata} | document
    return " ".join(map(printed, JsonPath.parse(path).find(named)))


def printed(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def words(text: str) -> list[str]:
    """kubectl visits the members of a mapping in an order that changes from run to run."""
    return sorted(text.split())


def test_the_tables_paths_select_what_kubectl_prints() -> None:
    theirs = kubectl(DOCUMENT, PATHS)
    assert theirs is not None
    assert len(theirs) == len(PATHS)
    for path, text in zip(PATHS, theirs, strict=True):
        assert words(ours(DOCUMENT, path)) == words(text), path


@pytest.mark.parametrize("path", [*REFUSED_ON_SIGHT, "{range .list[*]}", "{.data}{.map}", "name: {.data}"])
def test_what_kubectl_does_not_understand_is_an_authors_error(path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        JsonPath.parse(path)


def test_kubectl_understands_none_of_these_either() -> None:
    assert [path for path in REFUSED_ON_SIGHT if kubectl(DOCUMENT, [path])] == []


def test_where_kubectl_ends_with_an_error_there_is_no_value() -> None:
    for path in REFUSED_AT_WORK:
        assert (path, kubectl(DOCUMENT, [path]), ours(DOCUMENT, path)) == (path, None, "")


keys = st.sampled_from(["a", "b", "c"])
scalars = st.none() | st.booleans() | st.integers(-9, 99) | st.sampled_from(["", "a", "b c", "7", "é"])
documents = st.dictionaries(
    keys,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=12,
    ),
    min_size=1,
)
numbers = st.integers(-3, 3)
bounds = st.none() | numbers
literals = st.sampled_from(['"a"', "'b c'", "7", "0", "true", '"7"', "@.b"])
filters = st.builds(
    lambda key, operator, literal: f"[?(@.{key}{operator}{literal})]",
    keys,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    literals,
)
steps = (
    st.builds(".{}".format, keys)
    | st.builds("..{}".format, keys)
    | st.builds("['{}']".format, keys)
    | st.builds("['{}','{}']".format, keys, keys)
    | st.builds("[{}]".format, numbers)
    | st.builds("[{},{}]".format, numbers, numbers)
    | st.builds(lambda *parts: "[{}:{}]".format(*("" if p is None else p for p in parts)), bounds, bounds)
    | st.builds("[?(@.{})]".format, keys)
    | filters
    | st.sampled_from([".*", "[*]", "[::2]"])
)
paths = st.builds(
    lambda key, rest: "{." + key + "".join(rest) + "}", keys, st.lists(steps, min_size=1, max_size=4)
)


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(documents, st.lists(paths, min_size=25, max_size=40))
def test_any_path_selects_what_kubectl_prints(document: dict[str, Any], drawn: list[str]) -> None:
    found = [path for path in drawn if ours(document, path)]
    theirs = kubectl(document, found) if found else []
    assert theirs is not None, found
    for path, text in zip(found, theirs, strict=True):
        assert words(ours(document, path)) == words(text), path
    for path in [path for path in drawn if path not in found][:4]:
        assert not "".join(kubectl(document, [path]) or ()).strip(), path
