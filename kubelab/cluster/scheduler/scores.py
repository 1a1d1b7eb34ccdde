"""How well the nodes that can take a pod suit it: each score is 0 to 100, and the weighted sum decides.

Source: kubernetes, pkg/scheduler/framework/plugins/noderesources/{least_allocated,balanced_allocation}.go,
tainttoleration/taint_toleration.go, nodeaffinity/node_affinity.go, helper/normalize_score.go; the weights are
those of pkg/scheduler/apis/config/v1/default_plugins.go.
Left out: ImageLocality, PodTopologySpread, InterPodAffinity.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.objects import Object
from kubelab.cluster.pods import pod_requests
from kubelab.cluster.scheduler.affinity import has_preferences, preference
from kubelab.cluster.scheduler.nodeinfo import NodeInfo, scored_requests
from kubelab.cluster.scheduler.taints import untolerated

SCORE_MAX = 100
RESOURCES = ("cpu", "memory")


def least_allocated(pod: Object, info: NodeInfo) -> int:
    """Return the mean share of cpu and memory that would stay free."""
    wanted, free = scored_requests(pod), []
    for name in RESOURCES:
        capacity = info.allocatable.get(name, 0)
        if capacity:
            requested = info.scored.get(name, 0) + wanted[name]
            free.append(max(0, capacity - requested) * SCORE_MAX // capacity)
    return sum(free) // len(free) if free else 0


def balanced_allocation(pod: Object, info: NodeInfo) -> int:
    """Return how close the used shares of cpu and memory would be to each other: (1 - deviation) * 100."""
    wanted = pod_requests(pod)
    fractions = [
        min(1.0, (info.requested.get(name, 0) + wanted.get(name, 0)) / capacity)
        for name in RESOURCES
        if (capacity := info.allocatable.get(name, 0))
    ]
    deviation = abs(fractions[0] - fractions[1]) / 2 if len(fractions) == len(RESOURCES) else 0.0
    return int((1 - deviation) * SCORE_MAX)


def intolerable_preferences(pod: Object, info: NodeInfo) -> int:
    return len(untolerated(pod, info.node, ("PreferNoSchedule",)))


def normalized(raw: Sequence[int], *, reverse: bool) -> list[int]:
    """Stretch *raw* to 0..100 by its maximum; reversed, the lowest raw score is the best."""
    highest = max(raw, default=0)
    if highest == 0:
        return [SCORE_MAX if reverse else score for score in raw]
    scaled = [score * SCORE_MAX // highest for score in raw]
    return [SCORE_MAX - score for score in scaled] if reverse else scaled


def _preference(pod: Object, info: NodeInfo) -> int:
    return preference(pod, info.node)


@dataclass(frozen=True, slots=True)
class Score:
    """`applies` leaves a score out for pods that it says nothing about."""

    of: Callable[[Object, NodeInfo], int]
    weight: int
    applies: Callable[[Object], bool] = lambda _pod: True
    normalize: Callable[[Sequence[int]], list[int]] = list


def _requests_something(pod: Object) -> bool:
    return any(pod_requests(pod).get(name) for name in RESOURCES)


SCORES: Mapping[str, Score] = {
    "TaintToleration": Score(intolerable_preferences, 3, normalize=lambda raw: normalized(raw, reverse=True)),
    "NodeAffinity": Score(_preference, 2, has_preferences, lambda raw: normalized(raw, reverse=False)),
    "NodeResourcesFit": Score(least_allocated, 1),
    # Upstream skips it for pods without requests, lest they all gather on one node (issue 129138).
    "NodeResourcesBalancedAllocation": Score(balanced_allocation, 1, _requests_something),
}


def scores_of(pod: Object, infos: Sequence[NodeInfo]) -> list[dict[str, int]]:
    """Return the weighted scores by name, one dict for each of *infos*."""
    table: list[dict[str, int]] = [{} for _ in infos]
    for name, score in SCORES.items():
        if score.applies(pod):
            for row, value in zip(table, score.normalize([score.of(pod, i) for i in infos]), strict=True):
                row[name] = value * score.weight
    return table
