"""The `token` subresource of service accounts: a new token, for a time, for somebody, bound to something.

Source: kubernetes, pkg/registry/core/serviceaccount/storage/token.go and
pkg/apis/authentication/validation/validation.go. A kubelet's tokens of 3607 s for the API server live for a
year, and are told apart when they are used after that hour, as `--service-account-extend-token-expiration`
has it.
Left out: a bound on the expiration by configuration (`--service-account-max-token-expiration`).
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.authentication.claims import Bound, claims_of
from kubelab.cluster.apiserver.authentication.service_account_tokens import API_AUDIENCES
from kubelab.cluster.apiserver.fields import FieldError, invalid_value
from kubelab.cluster.apiserver.kind import Action, Call
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NODES, PODS, SECRETS, Object, Resource, uid_of

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.registry import Registry

DEFAULT_S = 3600
MIN_S = 600
MAX_S = 1 << 32
WARN_AFTER_S = 3607
EXTENDED_S = 365 * 24 * 3600
_TOKEN_REQUESTS = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest", namespaced=True)
_BINDABLE = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


async def request_token(registry: "Registry", call: Call) -> Object:
    """Return the request in *call* with its token."""
    request = _with_defaults(call)
    spec = request["spec"]
    account = (await registry.get(call.kind, call.namespace, call.name)).object
    if errors := list(_errors(request, call)):
        raise refusals.invalid(_TOKEN_REQUESTS, call.name, errors)
    now = registry.clock.now()
    bound = await _bound(registry, call, spec["boundObjectRef"]) if spec.get("boundObjectRef") else Bound()
    extended = bool(bound.pod) and spec["expirationSeconds"] == WARN_AFTER_S and _for_us(spec["audiences"])
    claims = claims_of(
        account,
        spec["audiences"],
        bound,
        now,
        token_id=str(uuid.uuid4()),
        expiration_s=EXTENDED_S if extended else spec["expirationSeconds"],
        warn_after_s=WARN_AFTER_S if extended else 0,
    )
    expires = claims["iat"] + spec["expirationSeconds"]
    status = {
        "token": registry.access.key.sign(claims),
        "expirationTimestamp": rfc3339(datetime.fromtimestamp(expires, UTC)),
    }
    metadata = request["metadata"] | {"creationTimestamp": rfc3339(now)}
    return request | {"metadata": metadata, "status": status}


ACTION = Action(
    "authentication.k8s.io/v1", "TokenRequest", "k8s.io/api/authentication/v1.TokenRequest", request_token
)


def _with_defaults(call: Call) -> Object:
    metadata = {"name": call.name, "namespace": call.namespace} | _set_ones(call.body.get("metadata"))
    spec = {"audiences": list(API_AUDIENCES), "expirationSeconds": DEFAULT_S} | _set_ones(
        call.body.get("spec")
    )
    return call.body | {"metadata": metadata, "spec": spec}


def _set_ones(obj: Object | None) -> Object:
    return {key: value for key, value in (obj or {}).items() if value not in (None, "", [])}


def _errors(request: Object, call: Call) -> Iterator[FieldError]:
    metadata, expiration_s = request["metadata"], request["spec"]["expirationSeconds"]
    if metadata["name"] != call.name:
        must = "must match the service account name if specified"
        yield invalid_value("metadata.name", metadata["name"], must)
    if metadata["namespace"] != call.namespace:
        must = "must match the service account namespace if specified"
        yield invalid_value("metadata.namespace", metadata["namespace"], must)
    if expiration_s < MIN_S:
        must = "may not specify a duration less than 10 minutes"
        yield invalid_value("spec.expirationSeconds", expiration_s, must)
    if expiration_s > MAX_S:
        must = "may not specify a duration larger than 2^32 seconds"
        yield invalid_value("spec.expirationSeconds", expiration_s, must)


async def _bound(registry: "Registry", call: Call, reference: Object) -> Bound:
    """Return what the token is to be bound to; a pod brings its node along."""
    kind, name = reference.get("kind", ""), reference.get("name", "")
    if reference.get("apiVersion", "v1") != "v1" or kind not in _BINDABLE:
        group, _, version = reference.get("apiVersion", "").rpartition("/")
        raise refusals.bad_request(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
    namespace = "" if kind == "Node" else call.namespace
    obj = (await registry.get(registry.kinds[_BINDABLE[kind]], namespace, name)).object
    if kind == "Pod":
        _check_account(call.name, obj["spec"].get("serviceAccountName", ""))
    if (uid := reference.get("uid")) and uid != uid_of(obj):
        raise _other_uid(kind, name, uid)
    if kind == "Pod":
        return Bound(pod=obj, node=await _node(registry, obj["spec"].get("nodeName", "")))
    return Bound(node=obj) if kind == "Node" else Bound(secret=obj)


def _check_account(account: str, of_pod: str) -> None:
    if account != of_pod:
        raise refusals.bad_request(
            f"cannot bind token for serviceaccount {quoted(account)} to pod running with different "
            "serviceaccount name."
        )


def _other_uid(kind: str, name: str, uid: str) -> ApiError:
    why = (
        f"the UID in the bound object reference ({uid}) does not match the UID in record. The object might "
        "have been deleted and then recreated"
    )
    return refusals.conflict(Resource("", "v1", kind, kind, namespaced=True), name, why)


async def _node(registry: "Registry", name: str) -> Object | None:
    if not name:
        return None
    try:
        return (await registry.get(registry.kinds[NODES], "", name)).object
    except ApiError as refusal:
        if refusal.is_not_found:
            return None
        raise


def _for_us(audiences: list[str]) -> bool:
    return set(audiences) <= set(API_AUDIENCES)
