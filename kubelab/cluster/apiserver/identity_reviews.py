"""TokenReview and SelfSubjectReview: whose a token is, and whose this request.

Source: kubernetes, pkg/registry/authentication/{tokenreview,selfsubjectreview}/rest.go.
"""

from typing import TYPE_CHECKING

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.authentication.jwt import InvalidTokenError
from kubelab.cluster.apiserver.authentication.service_account_tokens import API_AUDIENCES
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.kind import Call
    from kubelab.cluster.apiserver.registry import Registry


async def token_review(registry: "Registry", call: "Call") -> Object:
    review = call.body
    spec = review.get("spec") or {}
    if not (token := spec.get("token")):
        raise refusals.bad_request("token is required for TokenReview in authentication")
    audiences = spec.get("audiences") or API_AUDIENCES
    try:
        found = await registry.access.authenticator.token_of(registry, token, audiences)
    except InvalidTokenError as error:
        return review | {"status": {"user": {}, "error": str(error)}}
    status = {"authenticated": True, "user": found.user.to_json(), "audiences": list(found.audiences)}
    return review | {"status": status}


async def self_subject_review(registry: "Registry", call: "Call") -> Object:
    review = call.body
    now = rfc3339(registry.clock.now())
    metadata = (review.get("metadata") or {}) | {"creationTimestamp": now}
    return review | {"metadata": metadata, "status": {"userInfo": call.caller.user.to_json()}}
