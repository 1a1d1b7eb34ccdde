"""RBAC's rules: whether one allows a request, and what of some rules others do not cover. Pure.

Source: kubernetes, pkg/apis/rbac/v1/evaluation_helpers.go,
staging/src/k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go and
pkg/registry/rbac/validation/policy_compact.go.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.objects import Object

ALL = "*"
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule: of resources (with or without `names`), or of `urls` that are no resources."""

    verbs: Words = ()
    groups: Words = ()
    resources: Words = ()
    names: Words = ()
    urls: Words = ()

    def allows(self, attributes: RequestAttributes) -> bool:
        if attributes.verb not in self.verbs and ALL not in self.verbs:
            return False
        if attributes.path:
            return any(_url_covers(url, attributes.path) for url in self.urls)
        if attributes.group not in self.groups and ALL not in self.groups:
            return False
        if self.names and attributes.name not in self.names:
            return False
        return _has_resource(self.resources, attributes.combined_resource)

    def covers(self, atom: "Rule") -> bool:
        """Whether this rule allows all that *atom* does, which has one word of each kind at most."""
        return (
            (ALL in self.verbs or set(atom.verbs) <= set(self.verbs))
            and (ALL in self.groups or set(atom.groups) <= set(self.groups))
            and (not self.names or (bool(atom.names) and set(atom.names) <= set(self.names)))
            and all(_has_resource(self.resources, resource) for resource in atom.resources)
            and all(any(_url_covers(own, url) for own in self.urls) for url in atom.urls)
        )

    def to_json(self) -> Object:
        lists = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
        }
        return {key: list(words) for key, words in lists.items() if words}

    def __str__(self) -> str:
        """Return the rule as upstream's messages show one: `{APIGroups:[""], Resources:["pods"], ...}`."""
        lists = {
            "APIGroups": self.groups,
            "Resources": self.resources,
            "NonResourceURLs": self.urls,
            "ResourceNames": self.names,
            "Verbs": self.verbs,
        }
        shown = (f"{key}:[{' '.join(map(quoted, words))}]" for key, words in lists.items() if words)
        return "{" + ", ".join(shown) + "}"


FULL_AUTHORITY = (Rule(verbs=(ALL,), groups=(ALL,), resources=(ALL,)), Rule(verbs=(ALL,), urls=(ALL,)))


def from_json(rule: Object) -> Rule:
    return Rule(
        verbs=tuple(rule.get("verbs") or ()),
        groups=tuple(rule.get("apiGroups") or ()),
        resources=tuple(rule.get("resources") or ()),
        names=tuple(rule.get("resourceNames") or ()),
        urls=tuple(rule.get("nonResourceURLs") or ()),
    )


def rules_of(role: Object) -> tuple[Rule, ...]:
    """Return the rules of a Role or ClusterRole."""
    return tuple(from_json(rule) for rule in role.get("rules") or ())


def uncovered(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """Return what *wanted* allows and *owned* does not, in single steps."""
    atoms = (atom for rule in wanted for atom in _atoms(rule))
    return [atom for atom in atoms if not any(rule.covers(atom) for rule in owned)]


def compact(atoms: Iterable[Rule]) -> list[Rule]:
    """Return *atoms* with the verbs of the same resource put together."""
    together: dict[Rule, Words] = {}
    apart: list[Rule] = []
    for atom in atoms:
        if atom.names or atom.urls:
            apart.append(atom)
        else:
            verbless = replace(atom, verbs=())
            together[verbless] = (*together.get(verbless, ()), *atom.verbs)
    return [*apart, *(replace(rule, verbs=verbs) for rule, verbs in together.items())]


def _atoms(rule: Rule) -> Iterator[Rule]:
    for group, resource, verb in product(rule.groups, rule.resources, rule.verbs):
        atom = Rule(verbs=(verb,), groups=(group,), resources=(resource,))
        if rule.names:
            yield from (replace(atom, names=(name,)) for name in rule.names)
        else:
            yield atom
    for url, verb in product(rule.urls, rule.verbs):
        yield Rule(verbs=(verb,), urls=(url,))


def _has_resource(resources: Words, wanted: str) -> bool:
    """Whether *wanted* (`pods` or `pods/log`) is among *resources*, by name, as `*/log` or as `*`."""
    if ALL in resources or wanted in resources:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"{ALL}/{subresource}" in resources


def _url_covers(pattern: str, url: str) -> bool:
    return pattern == url or (pattern.endswith(ALL) and url.startswith(pattern.rstrip(ALL)))
