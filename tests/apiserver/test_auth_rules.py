"""RBAC's rules: what one allows, and what of some others do not cover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.rules import (
    FULL_AUTHORITY,
    Rule,
    compact,
    from_json,
    uncovered,
)
from kubelab.cluster.apiserver.caller import User

JANE = User("jane")
WORDS = ("get", "list", "*")
GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "pods/log", "deployments", "deployments/scale", "*/scale", "*/log", "*")
NAMES = ("a", "b")
URLS = ("/healthz", "/healthz/*", "/api/*", "*")


def ask(
    verb: str = "get", group: str = "", resource: str = "pods", sub: str = "", name: str = ""
) -> RequestAttributes:
    return RequestAttributes(JANE, verb, group, resource, sub, "default", name)


@pytest.mark.parametrize(
    ("resources", "asked", "allowed"),
    [
        # pkg/apis/rbac/v1/evaluation_helpers_test.go (TestResourceMatches).
        (("*",), ("foo", ""), True),
        (("*",), ("foo", "bar"), True),
        (("foo", "bar"), ("foo", ""), True),
        (("foo", "bar"), ("baz", ""), False),
        (("foo/bar",), ("foo", "bar"), True),
        (("foo",), ("foo", "bar"), False),
        (("foo/bar",), ("foo", ""), False),
        (("*/scale",), ("foo", "scale"), True),
        (("*/scale",), ("foo", ""), False),
        (("*/scale",), ("scale", ""), False),
        (("foo/*",), ("foo", "bar"), False),
    ],
)
def test_resources_and_their_subresources_are_named_apart(
    resources: tuple[str, ...], asked: tuple[str, str], allowed: bool
) -> None:
    rule = Rule(verbs=("get",), groups=("",), resources=resources)
    assert rule.allows(ask(resource=asked[0], sub=asked[1])) is allowed


def test_a_rule_of_names_allows_nothing_without_a_name() -> None:
    rule = Rule(verbs=("get", "list"), groups=("",), resources=("pods",), names=("a",))
    assert rule.allows(ask(name="a"))
    assert not rule.allows(ask(name="b"))
    assert not rule.allows(ask("list"))


@pytest.mark.parametrize(
    ("url", "path", "allowed"),
    [
        ("*", "/anything", True),
        ("/api", "/api", True),
        ("/api", "/api/v1", False),
        ("/api/*", "/api/v1", True),
        ("/api/*", "/api", False),
        ("/ap*", "/apis", True),
    ],
)
def test_a_star_ends_the_path_of_a_rule(url: str, path: str, allowed: bool) -> None:
    rule = Rule(verbs=("get",), urls=(url,))
    assert rule.allows(RequestAttributes(JANE, "get", path=path)) is allowed


def test_rules_of_resources_and_of_paths_do_not_allow_each_other() -> None:
    of_all, of_paths = FULL_AUTHORITY
    assert not of_all.allows(RequestAttributes(JANE, "get", path="/metrics"))
    assert not of_paths.allows(ask())


def test_what_is_missing_is_told_by_resource() -> None:
    owned = [Rule(verbs=("get",), groups=("",), resources=("pods",))]
    wanted = [Rule(verbs=("get", "list", "watch"), groups=("",), resources=("pods",), names=())]
    assert [str(rule) for rule in compact(uncovered(owned, wanted))] == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}'
    ]


def test_a_rule_of_names_does_not_cover_one_without() -> None:
    named = Rule(verbs=("get",), groups=("",), resources=("secrets",), names=("a",))
    free = Rule(verbs=("get",), groups=("",), resources=("secrets",))
    assert uncovered([named], [free]) == [free]
    assert uncovered([free], [named]) == []


def words(choices: tuple[str, ...], *, least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(choices), min_size=least, max_size=3, unique=True).map(tuple)


of_resources = st.builds(
    Rule,
    verbs=words(WORDS, least=1),
    groups=words(GROUPS, least=1),
    resources=words(RESOURCES, least=1),
    names=words(NAMES),
)
of_urls = st.builds(Rule, verbs=words(WORDS, least=1), urls=words(URLS, least=1))
rules = st.lists(st.one_of(of_resources, of_urls), max_size=4)
asked = st.one_of(
    st.builds(
        ask,
        st.sampled_from(("get", "list", "delete")),
        st.sampled_from(("", "apps", "batch")),
        st.sampled_from(("pods", "deployments", "jobs")),
        st.sampled_from(("", "log", "scale", "status")),
        st.sampled_from(("", "a", "b", "c")),
    ),
    st.sampled_from(("/healthz", "/healthz/ping", "/api/v1", "/metrics")).map(
        lambda path: RequestAttributes(JANE, "get", path=path)
    ),
)


@given(rules, rules, asked)
def test_who_covers_rules_may_do_all_that_they_allow(
    owned: list[Rule], wanted: list[Rule], request: RequestAttributes
) -> None:
    if uncovered(owned, wanted):
        return
    if any(rule.allows(request) for rule in wanted):
        assert any(rule.allows(request) for rule in owned)


@given(rules, rules)
def test_with_what_is_missing_nothing_is_missing(owned: list[Rule], wanted: list[Rule]) -> None:
    missing = uncovered(owned, wanted)
    assert uncovered([*owned, *missing], wanted) == []
    assert uncovered([*owned, *compact(missing)], wanted) == []


@given(rules)
def test_full_authority_covers_everything(wanted: list[Rule]) -> None:
    assert uncovered(FULL_AUTHORITY, wanted) == []


@given(rules)
def test_a_rule_comes_back_from_its_json(some: list[Rule]) -> None:
    assert [from_json(rule.to_json()) for rule in some] == some
