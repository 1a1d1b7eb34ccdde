"""A short way to write RBAC rules down: words with spaces between them. Pure.

Source: kubernetes, pkg/apis/rbac/v1/helpers.go (the rule builder, which sorts).
"""

from kubelab.cluster.apiserver.authorization.rules import Rule

READ = "get list watch"
WRITE = "create delete deletecollection patch update"


def rule(verbs: str, groups: str, resources: str, names: str = "") -> Rule:
    """Return a rule of words with spaces between them; the group "core" is the one without a name."""
    return Rule(
        verbs=_sorted(verbs),
        groups=tuple(sorted("" if group == "core" else group for group in groups.split())),
        resources=_sorted(resources),
        names=_sorted(names),
    )


def urls(*paths: str) -> Rule:
    return Rule(verbs=("get",), urls=tuple(sorted(paths)))


def _sorted(words: str) -> tuple[str, ...]:
    return tuple(sorted(words.split()))


EVENTS = rule("create patch update", "core events.k8s.io", "events")
REVIEW_TOKENS = rule("create", "authentication.k8s.io", "tokenreviews")
REVIEW_ACCESS = rule("create", "authorization.k8s.io", "subjectaccessreviews")
