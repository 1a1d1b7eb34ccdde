"""SubjectAccessReviews and their kin: may this user do that, may I, what may I at all.

Source: kubernetes, pkg/registry/authorization/{subjectaccessreview,localsubjectaccessreview,
selfsubjectaccessreview,selfsubjectrulesreview}/rest.go, pkg/registry/authorization/util/helpers.go and
pkg/apis/authorization/validation/validation.go.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.caller import User, node_name
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, required
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.kind import Call
    from kubelab.cluster.apiserver.registry import Registry

_EXACTLY_ONE = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
_NOT_BOTH = "cannot be specified in combination with resourceAttributes"
_SOMEBODY = "at least one of user or group must be specified"


async def subject(registry: "Registry", call: "Call") -> Object:
    review = call.body
    _check(review, (*_subject_errors(review["spec"]), *_metadata_errors(review)))
    return _answered(registry, _subject_of(review["spec"]), review)


async def local_subject(registry: "Registry", call: "Call") -> Object:
    """As `subject`, within the namespace of the request: so a namespace's admin may ask."""
    review = call.body
    namespace = (review.get("metadata") or {}).get("namespace", "")
    spec = review["spec"]
    given = (spec.get("resourceAttributes") or {}).get("namespace", "")
    if given != namespace:
        message = f"spec.resourceAttributes.namespace must match namespace: {namespace}"
        raise refusals.bad_request(message)
    _check(review, (*_subject_errors(spec), *_local_errors(spec)))
    return _answered(registry, _subject_of(spec), review)


async def self_subject(registry: "Registry", call: "Call") -> Object:
    review = call.body
    _check(review, (*_attribute_errors(review["spec"]), *_metadata_errors(review)))
    return _answered(registry, call.caller.user, review)


async def self_subject_rules(registry: "Registry", call: "Call") -> Object:
    """What the caller may do in a namespace, as far as RBAC says."""
    review = call.body
    namespace = (review.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise refusals.bad_request("no namespace on request")
    rules = registry.access.authorizer.policy.rules_for(call.caller.user, namespace)
    is_node = node_name(call.caller.user) is not None
    status: Object = {
        "resourceRules": [rule.to_json() for rule in rules if rule.resources],
        "nonResourceRules": [rule.to_json() for rule in rules if rule.urls],
        "incomplete": is_node,
    }
    if is_node:
        status["evaluationError"] = "node authorizer does not support user rule resolution"
    return review | {"status": status}


def _answered(registry: "Registry", user: User, review: Object) -> Object:
    decision = registry.access.authorizer.authorize(_asked(user, review["spec"]))
    status: Object = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return review | {"status": status}


def _asked(user: User, spec: Object) -> RequestAttributes:
    if path := spec.get("nonResourceAttributes"):
        return RequestAttributes(user, path.get("verb", ""), path=path.get("path", ""))
    of = spec["resourceAttributes"]
    keys = ("verb", "group", "resource", "subresource", "namespace", "name")
    words = {key: of.get(key, "") for key in keys}
    return RequestAttributes(user, **words, field_selector=_selector(of.get("fieldSelector") or {}))


def _selector(selector: Object) -> str:
    """Return the selector as text; what is more than `field = value` is left out, which asks for more."""
    if raw := selector.get("rawSelector"):
        return str(raw)
    return ",".join(
        f"{each['key']}={each['values'][0]}"
        for each in selector.get("requirements") or ()
        if each.get("operator") == "In" and len(each.get("values") or ()) == 1
    )


def _subject_of(spec: Object) -> User:
    extra = {key.lower(): tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _subject_errors(spec: Object) -> Iterator[FieldError]:
    yield from _attribute_errors(spec)
    if not spec.get("user") and not spec.get("groups"):
        yield required("spec.user", _SOMEBODY)


def _attribute_errors(spec: Object) -> Iterator[FieldError]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        yield invalid_value("spec.nonResourceAttributes", path, _NOT_BOTH)
    if resource is None and path is None:
        yield required("spec.resourceAttributes", _EXACTLY_ONE)


def _metadata_errors(review: Object) -> Iterator[FieldError]:
    metadata = {key: value for key, value in (review.get("metadata") or {}).items() if value}
    metadata.pop("managedFields", None)
    if metadata:
        yield invalid_value("metadata", metadata, "must be empty")


def _local_errors(spec: Object) -> Iterator[FieldError]:
    if (path := spec.get("nonResourceAttributes")) is not None:
        yield invalid_value("spec.nonResourceAttributes", path, "disallowed on this kind of request")


def _check(review: Object, errors: tuple[FieldError, ...]) -> None:
    if errors:
        raise _invalid(review["kind"], errors)


def _invalid(kind: str, errors: tuple[FieldError, ...]) -> ApiError:
    resource = Resource("authorization.k8s.io", "v1", f"{kind.lower()}s", kind, namespaced=False)
    return refusals.invalid(resource, "", list(errors))
