"""The status of a Deployment: counts over its ReplicaSets, and the conditions Available and Progressing.

Source: kubernetes, pkg/controller/deployment/{sync,progress}.go (calculateStatus, syncRolloutStatus) and
pkg/controller/deployment/util/deployment_util.go (DeploymentComplete, DeploymentProgressing,
DeploymentTimedOut, SetDeploymentCondition).
Left out: terminatingReplicas, the conditions of paused and resumed rollouts.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.controllers.replicas import wanted_replicas
from kubelab.cluster.controllers.rollout import bounds_of, is_recreate
from kubelab.cluster.objects import Object, key_of
from kubelab.cluster.pods import condition_of, parse_time

COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"


def status_of(deployment: Object, newest: Object | None, old: Sequence[Object], now: datetime) -> Object:
    sets = [*([newest] if newest else []), *old]
    available = _count(sets, "availableReplicas")
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _count(sets, "replicas"),
        "updatedReplicas": _count([newest] if newest else [], "replicas"),
        "readyReplicas": _count(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(wanted_replicas(each) for each in sets) - available),
    }
    status = {name: value for name, value in status.items() if value}
    written = deployment.get("status", {})
    if "collisionCount" in written:
        status["collisionCount"] = written["collisionCount"]
    conditions = list(written.get("conditions") or ())
    conditions = _set(conditions, _available(deployment, available), now)
    return status | {"conditions": _with_progress(deployment, status, conditions, newest, now)}


def _count(sets: Sequence[Object], field: str) -> int:
    return sum(each.get("status", {}).get(field, 0) for each in sets)


def _available(deployment: Object, available: int) -> Object:
    unavailable = 0 if is_recreate(deployment) else bounds_of(deployment).max_unavailable
    if available >= wanted_replicas(deployment) - unavailable:
        return _condition(
            "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
        )
    message = "Deployment does not have minimum availability."
    return _condition("Available", "False", "MinimumReplicasUnavailable", message)


def _with_progress(
    deployment: Object, status: Object, conditions: list[Object], newest: Object | None, now: datetime
) -> list[Object]:
    conditions = _failures_of(newest, conditions, now)
    if deadline_s(deployment) is None or deployment["spec"].get("paused"):
        return conditions
    current = condition_of(deployment, "Progressing")
    settled = current is not None and current.get("reason") == COMPLETE
    if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    who = f'ReplicaSet "{key_of(newest).name}"' if newest else f'Deployment "{key_of(deployment).name}"'
    if is_complete(deployment, status):
        done = _condition("Progressing", "True", COMPLETE, f"{who} has successfully progressed.")
        return _set(conditions, done, now)
    if has_progressed(deployment.get("status", {}), status):
        moving = _condition("Progressing", "True", "ReplicaSetUpdated", f"{who} is progressing.")
        return _set(conditions, moving, now, touch=True)
    if timed_out(deployment, now):
        late = _condition("Progressing", "False", TIMED_OUT, f"{who} has timed out progressing.")
        return _set(conditions, late, now)
    return conditions


def _failures_of(newest: Object | None, conditions: list[Object], now: datetime) -> list[Object]:
    """Show the newest ReplicaSet's failure to make pods (a refusal, say) as the Deployment's own."""
    failure = condition_of(newest, "ReplicaFailure") if newest else None
    if failure is None:
        return [each for each in conditions if each["type"] != "ReplicaFailure"]
    shown = _condition("ReplicaFailure", failure["status"], failure["reason"], failure.get("message", ""))
    return _set(conditions, shown, now)


def deadline_s(deployment: Object) -> int | None:
    deadline: int | None = deployment["spec"].get("progressDeadlineSeconds")
    return deadline


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all wanted replicas, and no others, are of the newest template and available."""
    wanted = wanted_replicas(deployment)
    counts = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return observed and all(count == wanted for count in counts)


def has_progressed(before: Object, after: Object) -> bool:
    grew = any(
        after.get(name, 0) > before.get(name, 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grew or _outdated(after) < _outdated(before)


def _outdated(status: Object) -> int:
    return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))


def timed_out(deployment: Object, now: datetime) -> bool:
    current, deadline = condition_of(deployment, "Progressing"), deadline_s(deployment)
    if current is None or deadline is None or current.get("reason") == COMPLETE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    return parse_time(current["lastUpdateTime"]) + timedelta(seconds=deadline) < now


def next_deadline_s(deployment: Object, status: Object, now: datetime) -> float | None:
    """Return when to look again whether the rollout is late; None if it is done, or late already."""
    current, deadline = condition_of({"status": status}, "Progressing"), deadline_s(deployment)
    if current is None or deadline is None or is_complete(deployment, status):
        return None
    if current.get("reason") in (COMPLETE, TIMED_OUT):
        return None
    due = parse_time(current["lastUpdateTime"]) + timedelta(seconds=deadline)
    return max(0.0, (due - now).total_seconds()) + 1.0  # A second more: times are written in whole ones.


def created_condition(name: str) -> Object:
    return _condition("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')


def found_condition(name: str) -> Object:
    return _condition("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"')


def with_new_condition(deployment: Object, condition: Object, now: datetime) -> Object:
    """Return the Deployment's status with *condition* set."""
    status: Object = deployment.get("status", {})
    return status | {"conditions": _set(list(status.get("conditions") or ()), condition, now)}


def _condition(type_: str, status: str, reason: str, message: str) -> Object:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def _set(conditions: list[Object], new: Object, now: datetime, *, touch: bool = False) -> list[Object]:
    """Put *new* in its type's place. Same status and reason: nothing changes, unless *touch* says that the
    update time must move; same status alone: the transition time stays."""
    old = next((each for each in conditions if each["type"] == new["type"]), None)
    if old is not None and not touch and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return conditions
    stamp = rfc3339(now)
    kept = old["lastTransitionTime"] if old is not None and old["status"] == new["status"] else stamp
    stamped = new | {"lastUpdateTime": stamp, "lastTransitionTime": kept}
    if old is None:
        return [*conditions, stamped]
    return [stamped if each["type"] == new["type"] else each for each in conditions]
