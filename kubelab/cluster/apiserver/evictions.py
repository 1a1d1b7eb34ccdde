"""Evictions: a pod is asked to go, unless a PodDisruptionBudget needs it where it is.

Source: kubernetes, pkg/registry/core/pod/storage/eviction.go;
https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/.
Left out: asking again, for up to ten seconds, when others write the same budget: here nobody needs to wait.
"""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kubelab.cluster import selectors
from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.deletion import DeleteOptions
from kubelab.cluster.apiserver.kind import Call
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import PODDISRUPTIONBUDGETS, Object, labels_of
from kubelab.cluster.pods import condition_of, is_ready, with_condition

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.registry import Registry

EVICTED: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_DISRUPTED_MAX = 2000
_RETRY_AFTER_S = 10
_ATTEMPTS_MAX = 20
_WOULD_VIOLATE = "Cannot evict pod as it would violate the pod's disruption budget."
_CAUSE = "DisruptionBudget"


async def evict(registry: "Registry", call: Call) -> Object:
    """Delete the pod that *call* names, if its budget can spare it."""
    options = _options(call)
    if (call.body.get("metadata") or {}).get("name", call.name) != call.name:
        raise refusals.bad_request("name in URL does not match name in Eviction object")
    attempts = 1 if options.resource_version else _ATTEMPTS_MAX
    while True:
        attempts -= 1
        pod = (await registry.get(call.kind, call.namespace, call.name)).object
        try:
            await _evict(registry, call, pod, options)
        except ApiError as error:
            if error.reason != "Conflict" or not attempts:
                raise
        else:
            return EVICTED


def _options(call: Call) -> DeleteOptions:
    given = call.body.get("deleteOptions") or {}
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        grace_period_s=given.get("gracePeriodSeconds"),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        propagation=given.get("propagationPolicy"),
        dry_run=call.dry_run or bool(given.get("dryRun")),
    )


async def _evict(registry: "Registry", call: Call, pod: Object, options: DeleteOptions) -> None:
    """Evict *pod* as it is now; raises ApiError 409 when it, or its budget, has changed meanwhile."""
    budget = None if is_spared(pod) else await _budget_of(registry, pod)
    exact = options
    if budget is not None and not may_go_unready(pod, budget):
        await _spend(registry, pod, budget, dry_run=options.dry_run)
    elif options.resource_version is None and must_stay_so(pod, budget):
        exact = replace(options, resource_version=pod["metadata"]["resourceVersion"])
    try:
        await registry.delete(call.kind, call.namespace, call.name, exact, caller=call.caller)
    except ApiError as error:
        if error.reason == "Conflict" and budget is not None and exact is not options:
            raise _being_processed(budget["metadata"]["name"]) from error
        raise


def is_spared(pod: Object) -> bool:
    """Tell whether no budget counts *pod*: it has ended, not begun, or is going."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in {"Succeeded", "Failed", "Pending"} or "deletionTimestamp" in pod["metadata"]


def must_stay_so(pod: Object, budget: Object | None) -> bool:
    """Tell whether the decision holds only for *pod* as it is: it must not become ready meanwhile."""
    if budget is not None:
        return True
    pending = (pod.get("status") or {}).get("phase") == "Pending"
    return pending and "deletionTimestamp" not in pod["metadata"]


def may_go_unready(pod: Object, budget: Object) -> bool:
    """Tell whether *pod*, not being ready, may go without being counted (KEP-3017)."""
    if is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy", 0)
    return bool(desired) and status.get("currentHealthy", 0) >= desired


async def _budget_of(registry: "Registry", pod: Object) -> Object | None:
    kind = registry.kinds.get(PODDISRUPTIONBUDGETS)
    if kind is None:
        return None
    page = await registry.list(kind, pod["metadata"]["namespace"])
    budgets = [version.object for version in page.versions if _selects(version.object, pod)]
    if len(budgets) > 1:
        what = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        raise ApiError(500, "", what)
    return budgets[0] if budgets else None


def _selects(budget: Object, pod: Object) -> bool:
    """Tell whether *budget* is about *pod*; one that selects nothing, or cannot be understood, is not."""
    try:
        selector = selectors.label_selector(budget["spec"].get("selector"))
    except selectors.SelectorError:
        return False
    return bool(selector) and selector.matches(labels_of(pod))


async def _spend(registry: "Registry", pod: Object, budget: Object, *, dry_run: bool) -> None:
    """Note in the budget's status that *pod* goes; raises ApiError 429 when it cannot be spared."""
    now, name = registry.clock.now(), pod["metadata"]["name"]
    kind, metadata = registry.kinds[PODDISRUPTIONBUDGETS], budget["metadata"]
    await registry.change(
        kind,
        metadata["namespace"],
        metadata["name"],
        lambda old: spent(old, name, now),
        subresource="status",
        dry_run=dry_run,
    )


def spent(budget: Object, pod_name: str, now: datetime) -> Object:
    """Return *budget* with one disruption less allowed, *pod_name*'s."""
    metadata, status = budget["metadata"], dict(budget.get("status") or {})
    name = metadata["name"]
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        raise _being_processed(name)
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.get("disruptedPods") or {}
    if allowed < 0:
        raise _forbidden(name, "pdb disruptions allowed is negative")
    if len(disrupted) > _DISRUPTED_MAX:
        too_big = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise _forbidden(name, too_big)
    if not allowed:
        raise _too_many(_why_not(budget), 0)
    status["disruptionsAllowed"] = allowed - 1
    status["disruptedPods"] = disrupted | {pod_name: rfc3339(now)}
    if allowed == 1:
        status["conditions"] = with_condition(status.get("conditions") or (), _insufficient(budget), now)
    return budget | {"status": status}


def _insufficient(budget: Object) -> Object:
    """Return the condition of a budget that has nothing left to spend."""
    return {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": (budget.get("status") or {}).get("observedGeneration", 0),
        "reason": "InsufficientPods",
        "message": "",
    }


def _why_not(budget: Object) -> str:
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    condition = condition_of(budget, "DisruptionAllowed") or {}
    message, reason = condition.get("message", ""), condition.get("reason", "")
    refused = f"The disruption budget {name} does not allow evicting pods currently"
    told = condition.get("status") == "False" and bool(message)
    if told and reason == "SyncFailed":
        return f"{refused} because it failed sync: {message}"
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    return f"{refused} ({reason}): {message}" if told else refused


def _too_many(cause: str, retry_after_s: int) -> ApiError:
    details: dict[str, Any] = {"causes": [{"reason": _CAUSE, "message": cause}]}
    if retry_after_s:
        details["retryAfterSeconds"] = retry_after_s
    return ApiError(429, "TooManyRequests", _WOULD_VIOLATE, details)


def _being_processed(name: str) -> ApiError:
    return _too_many(f"The disruption budget {name} is still being processed by the server.", _RETRY_AFTER_S)


def _forbidden(name: str, why: str) -> ApiError:
    return refusals.forbidden(PODDISRUPTIONBUDGETS, name, why)
