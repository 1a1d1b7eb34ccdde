"""One step of a Deployment's rollout: which ReplicaSet gets how many replicas next.

Source: kubernetes, pkg/controller/deployment/{rolling,recreate,sync}.go and
pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts, NewRSNewReplicas).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from kubelab.cluster.controllers.replicas import wanted_replicas
from kubelab.cluster.objects import Object, key_of


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the ReplicaSet *name* from *before* to *after* replicas."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a rolling update may exceed the wanted replicas, and fall short of them."""

    max_surge: int
    max_unavailable: int


def bounds_of(deployment: Object) -> Bounds:
    """Resolve numbers and percentages: surge rounds up, unavailable down; both 0 means one unavailable."""
    wanted = wanted_replicas(deployment)
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = ceil(_share(rolling.get("maxSurge", "25%"), wanted))
    unavailable = floor(_share(rolling.get("maxUnavailable", "25%"), wanted))
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(surge, min(unavailable, wanted))


def _share(value: int | str, whole: int) -> Fraction:
    if isinstance(value, str) and value.endswith("%"):
        return Fraction(int(value.removesuffix("%")) * whole, 100)
    return Fraction(int(value))


def is_recreate(deployment: Object) -> bool:
    return (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"


def new_replicas(deployment: Object, all_sets: Iterable[Object]) -> int:
    """Return how many replicas the newest ReplicaSet is created with."""
    if is_recreate(deployment):
        return wanted_replicas(deployment)
    room = wanted_replicas(deployment) + bounds_of(deployment).max_surge - _total(all_sets)
    return max(0, min(room, wanted_replicas(deployment)))


def rolling_steps(deployment: Object, newest: Object, old: Sequence[Object]) -> tuple[Scale, ...]:
    """Return the next changes of a rolling update; what they bring about leads to the step after."""
    return _scale_newest(deployment, newest, old) or _scale_old(deployment, newest, old)


def _scale_newest(deployment: Object, newest: Object, old: Sequence[Object]) -> tuple[Scale, ...]:
    wanted, have = wanted_replicas(deployment), wanted_replicas(newest)
    if have > wanted:
        return (_scale(newest, wanted),)
    room = wanted + bounds_of(deployment).max_surge - have - _total(old)
    grown = have + max(0, min(room, wanted - have))
    return (_scale(newest, grown),) if grown != have else ()


def _scale_old(deployment: Object, newest: Object, old: Sequence[Object]) -> tuple[Scale, ...]:
    """Take unhealthy replicas first: their end makes nothing less available, and they may block the rest."""
    least = wanted_replicas(deployment) - bounds_of(deployment).max_unavailable
    newest_unavailable = wanted_replicas(newest) - available(newest)
    most = _total([newest, *old]) - least - newest_unavailable
    if most <= 0:
        return ()
    sizes = {key_of(each).name: wanted_replicas(each) for each in old}
    for each in (by_age := sorted(old, key=age_of)):
        unhealthy = max(0, sizes[key_of(each).name] - available(each))
        taken = min(most, unhealthy)
        sizes[key_of(each).name] -= taken
        most -= taken
    spare = sum(available(each) for each in [newest, *old]) - least
    for each in by_age:
        taken = min(max(0, spare), sizes[key_of(each).name])
        sizes[key_of(each).name] -= taken
        spare -= taken
    return tuple(
        _scale(each, sizes[key_of(each).name])
        for each in by_age
        if sizes[key_of(each).name] != wanted_replicas(each)
    )


def recreate_steps(
    deployment: Object, newest: Object | None, old: Sequence[Object], *, old_pods: bool
) -> tuple[Scale, ...]:
    """Bring the old ones to zero, wait until their pods are gone (*old_pods*), then scale the newest."""
    down = tuple(_scale(each, 0) for each in old if wanted_replicas(each) > 0)
    if down or old_pods or newest is None:
        return down
    wanted = wanted_replicas(deployment)
    return (_scale(newest, wanted),) if wanted_replicas(newest) != wanted else ()


def surplus_history(deployment: Object, old: Sequence[Object]) -> tuple[Object, ...]:
    """Return the old, empty ReplicaSets beyond revisionHistoryLimit, the oldest revisions first."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    surplus = len(old) - limit
    if surplus <= 0:
        return ()
    by_revision = sorted(old, key=lambda each: (revision_of(each), age_of(each)))
    return tuple(each for each in by_revision[:surplus] if _is_empty(each))


def _is_empty(replica_set: Object) -> bool:
    status, metadata = replica_set.get("status", {}), replica_set["metadata"]
    return (
        wanted_replicas(replica_set) == 0
        and status.get("replicas", 0) == 0
        and metadata.get("generation", 0) <= status.get("observedGeneration", 0)
        and "deletionTimestamp" not in metadata
    )


REVISION = "deployment.kubernetes.io/revision"


def revision_of(obj: Object) -> int:
    """Return the rollout's revision in the annotations; 0 if there is none."""
    try:
        return int((obj["metadata"].get("annotations") or {}).get(REVISION, "0"))
    except ValueError:
        return 0


def _scale(replica_set: Object, after: int) -> Scale:
    return Scale(key_of(replica_set).name, wanted_replicas(replica_set), after)


def _total(sets: Iterable[Object]) -> int:
    return sum(wanted_replicas(each) for each in sets)


def available(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def age_of(replica_set: Object) -> tuple[str, str]:
    return replica_set["metadata"].get("creationTimestamp", ""), key_of(replica_set).name
