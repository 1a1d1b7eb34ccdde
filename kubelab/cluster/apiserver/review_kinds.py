"""The kinds that are questions: who is this token's, may this user do that, who am I; and a pod's binding.

Nothing of them is kept; the answer to a creation is the whole of it.
Source: kubernetes, pkg/registry/{authentication,authorization}.
"""

from kubelab.cluster.apiserver import access_reviews, bindings, columns, identity_reviews
from kubelab.cluster.apiserver.kind import Act, Kind
from kubelab.cluster.objects import Resource

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


def _kind(group: str, name: str, review: Act, *, namespaced: bool = False) -> Kind:
    plural = f"{name.lower()}s"
    return Kind(
        Resource(group, "v1", plural, name, namespaced=namespaced),
        f"k8s.io/api/{group.removesuffix('.k8s.io')}/v1.{name}",
        name.lower(),
        columns.NAME_AND_AGE,
        columns.name_and_age,
        review=review,
    )


_BINDINGS = Kind(
    Resource("", "v1", "bindings", "Binding", namespaced=True),
    "k8s.io/api/core/v1.Binding",
    "binding",
    columns.NAME_AND_AGE,
    columns.name_and_age,
    review=bindings.bind,
)
KINDS = (
    _BINDINGS,
    _kind(AUTHENTICATION, "TokenReview", identity_reviews.token_review),
    _kind(AUTHENTICATION, "SelfSubjectReview", identity_reviews.self_subject_review),
    _kind(AUTHORIZATION, "SubjectAccessReview", access_reviews.subject),
    _kind(AUTHORIZATION, "LocalSubjectAccessReview", access_reviews.local_subject, namespaced=True),
    _kind(AUTHORIZATION, "SelfSubjectAccessReview", access_reviews.self_subject),
    _kind(AUTHORIZATION, "SelfSubjectRulesReview", access_reviews.self_subject_rules),
)
