"""What a Deployment's change of size means in the midst of a rollout: each ReplicaSet gets its share of it.

A ReplicaSet's annotations tell for which size of the Deployment it was scaled: so a change is noticed, and so
its share is known. A paused Deployment is scaled in the same way.
Source: kubernetes, pkg/controller/deployment/sync.go (isScalingEvent, scale) and util/deployment_util.go
(FindActiveOrLatest, IsSaturated, GetProportion);
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import floor

from kubelab.cluster.controllers.replicas import wanted_replicas
from kubelab.cluster.controllers.rollout import Scale, age_of, available, bounds_of, is_recreate
from kubelab.cluster.objects import Object, key_of

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"


def size_annotations(deployment: Object) -> dict[str, str]:
    """Return what a ReplicaSet bears that is scaled for *deployment* now."""
    wanted = wanted_replicas(deployment)
    surge = 0 if is_recreate(deployment) else bounds_of(deployment).max_surge
    return {DESIRED: str(wanted), MAX: str(wanted + surge)}


def is_resized(deployment: Object, sets: Sequence[Object]) -> bool:
    """Whether one of *sets* that has pods was scaled for another size of *deployment*."""
    sizes = {_annotation(each, DESIRED) for each in _active(sets)}
    return bool(sizes - {None, wanted_replicas(deployment)})


def resizing_steps(deployment: Object, newest: Object | None, old: Sequence[Object]) -> tuple[Scale, ...]:
    """Return the changes that follow *deployment*'s size; one of no replicas renews the annotations alone."""
    sets = [*([newest] if newest else ()), *sorted(old, key=age_of, reverse=True)]
    active = _active(sets)
    if len(active) < 2:
        sizes = _sizes_of_one(deployment, active or sets[:1])
    elif newest is not None and _is_saturated(deployment, newest):
        sizes = {key_of(each).name: 0 for each in _active(old)}
    elif is_recreate(deployment):
        return ()
    else:
        sizes = _shares(deployment, active)
    return tuple(
        Scale(name, wanted_replicas(each), sizes[name])
        for each in sets
        if (name := key_of(each).name) in sizes and _differs(deployment, each, sizes[name])
    )


def _sizes_of_one(deployment: Object, one: Sequence[Object]) -> dict[str, int]:
    return {key_of(each).name: wanted_replicas(deployment) for each in one}


def _shares(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Deal out what there is to add or to take, the largest first, which also gets what rounding leaves."""
    wanted = wanted_replicas(deployment)
    most = wanted + bounds_of(deployment).max_surge if wanted else 0
    left = most - sum(wanted_replicas(each) for each in active)
    bounded = min if left > 0 else max
    # Of those of one size the newest grows first, and the oldest shrinks first.
    by_age = sorted(active, key=age_of, reverse=left > 0)
    by_size = sorted(by_age, key=wanted_replicas, reverse=True)
    sizes = {key_of(each).name: wanted_replicas(each) for each in by_size}
    for each in by_size if left else ():
        change = bounded(_share(deployment, each, most), left)
        sizes[key_of(each).name] += change
        left -= change
    largest = key_of(by_size[0]).name
    sizes[largest] = max(0, sizes[largest] + left)
    return sizes


def _share(deployment: Object, replica_set: Object, most: int) -> int:
    """Return by how much *replica_set* would change if it kept its part of all."""
    replicas = wanted_replicas(replica_set)
    before = _annotation(replica_set, MAX) or int(deployment.get("status", {}).get("replicas", 0))
    if not most or not before:
        return -replicas if not most else 0
    return floor(Fraction(replicas * most, before) + Fraction(1, 2)) - replicas


def _is_saturated(deployment: Object, newest: Object) -> bool:
    wanted = wanted_replicas(deployment)
    return {_annotation(newest, DESIRED), wanted_replicas(newest), available(newest)} == {wanted}


def _differs(deployment: Object, replica_set: Object, size: int) -> bool:
    annotations = replica_set["metadata"].get("annotations") or {}
    is_told = size_annotations(deployment).items() <= annotations.items()
    return size != wanted_replicas(replica_set) or not is_told


def _active(sets: Sequence[Object]) -> list[Object]:
    return [each for each in sets if wanted_replicas(each) > 0]


def _annotation(replica_set: Object, name: str) -> int | None:
    """Return the number there; None if there is none."""
    try:
        return int((replica_set["metadata"].get("annotations") or {})[name])
    except (KeyError, ValueError):
        return None
