"""One scheduling cycle: filter, score, choose; the decision says why.

Source: kubernetes, pkg/scheduler/schedule_one.go (schedulePod, selectHost) and
pkg/scheduler/framework/types.go (FitError.Error).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from kubelab.cluster.objects import Key, Object, key_of
from kubelab.cluster.scheduler.filters import Reasons, reasons_against
from kubelab.cluster.scheduler.nodeinfo import NodeInfo
from kubelab.cluster.scheduler.scores import scores_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out for one node: the reasons against it, or its weighted scores by name."""

    node: str
    reasons: Reasons
    scores: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.scores.values())


@dataclass(frozen=True, slots=True)
class Decision:
    """`node` is "" when there is none; then `message` is upstream's sentence."""

    pod: Key
    node: str
    verdicts: tuple[Verdict, ...]

    @property
    def message(self) -> str:
        if not self.verdicts:
            return "no nodes available to schedule pods"
        counts = Counter(reason for verdict in self.verdicts for reason in verdict.reasons)
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
        return f"0/{len(self.verdicts)} nodes are available: {reasons}."


def decide(pod: Object, infos: Sequence[NodeInfo], random: Random) -> Decision:
    """Return where *pod* goes; *random*, seeded, breaks ties between the best."""
    against = [reasons_against(pod, info) for info in infos]
    feasible = [info for info, reasons in zip(infos, against, strict=True) if not reasons]
    scores = dict(zip((info.name for info in feasible), scores_of(pod, feasible), strict=True))
    verdicts = tuple(
        Verdict(info.name, reasons, scores.get(info.name, {}))
        for info, reasons in zip(infos, against, strict=True)
    )
    return Decision(key_of(pod), _best(verdicts, random), verdicts)


def _best(verdicts: Sequence[Verdict], random: Random) -> str:
    passed = [verdict for verdict in verdicts if not verdict.reasons]
    if not passed:
        return ""
    highest = max(verdict.total for verdict in passed)
    return random.choice([verdict.node for verdict in passed if verdict.total == highest])
