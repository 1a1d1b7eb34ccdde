from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodes_and_pods import make_node, make_pod

from kubelab.cluster.objects import Object
from kubelab.cluster.scheduler.decision import decide
from kubelab.cluster.scheduler.filters import reasons_against
from kubelab.cluster.scheduler.nodeinfo import NodeInfo, node_info
from kubelab.cluster.scheduler.scores import balanced_allocation, least_allocated, normalized, scores_of

GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
SSD_TERM = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}


def required(*terms: Any) -> dict[str, Any]:
    selector = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


@pytest.mark.parametrize(
    ("pod", "node", "reason"),
    [
        (make_pod(cpu="3"), make_node("n"), "Insufficient cpu"),
        (make_pod(memory="3Gi"), make_node("n"), "Insufficient memory"),
        (make_pod(), make_node("n", pods="0"), "Too many pods"),
        (make_pod(), make_node("n", unschedulable=True), "node(s) were unschedulable"),
        (make_pod(), make_node("n", taints=[GPU]), "node(s) had untolerated taint(s)"),
        (
            make_pod(nodeSelector={"disk": "ssd"}),
            make_node("n"),
            "node(s) didn't match Pod's node affinity/selector",
        ),
        (
            make_pod(affinity=required(SSD_TERM)),
            make_node("n", labels={"disk": "hdd"}),
            "node(s) didn't match Pod's node affinity/selector",
        ),
        (make_pod(nodeName="m"), make_node("n"), "node(s) didn't match the requested node name"),
    ],
)
def test_a_node_that_cannot_take_the_pod_is_told_why(pod: Object, node: Object, reason: str) -> None:
    assert reasons_against(pod, NodeInfo(node)) == (reason,)


@pytest.mark.parametrize(
    ("pod", "node"),
    [
        (make_pod(cpu="2", memory="2Gi"), make_node("n")),
        (make_pod(tolerations=[{"key": "gpu", "value": "yes"}]), make_node("n", taints=[GPU])),
        (make_pod(tolerations=[{"operator": "Exists"}]), make_node("n", taints=[GPU], unschedulable=True)),
        (make_pod(nodeSelector={"disk": "ssd"}), make_node("n", labels={"disk": "ssd"})),
        (make_pod(affinity=required({}, SSD_TERM)), make_node("n", labels={"disk": "ssd"})),
        (make_pod(), make_node("n", taints=[GPU | {"effect": "PreferNoSchedule"}])),
    ],
)
def test_a_node_that_can_take_the_pod_passes(pod: Object, node: Object) -> None:
    assert reasons_against(pod, NodeInfo(node)) == ()


def test_a_host_port_is_taken_once() -> None:
    info = node_info(make_node("n"), [make_pod("a", host_port=80)])
    assert reasons_against(make_pod("b", host_port=80), info) != ()
    assert reasons_against(make_pod("b", host_port=81), info) == ()


def test_least_allocated_is_the_mean_free_share() -> None:
    """(2000m - 500m) * 100 / 2000m = 75 of cpu, (2Gi - 1Gi) * 100 / 2Gi = 50 of memory: 62."""
    assert least_allocated(make_pod(cpu="500m", memory="1Gi"), NodeInfo(make_node("n"))) == 62


def test_balanced_allocation_falls_with_the_difference_of_the_shares() -> None:
    """Shares 0.25 and 0.5: deviation 0.125, so 87; equal shares get 100."""
    node = NodeInfo(make_node("n"))
    assert balanced_allocation(make_pod(cpu="500m", memory="1Gi"), node) == 87
    assert balanced_allocation(make_pod(cpu="1", memory="1Gi"), node) == 100


def test_a_pod_without_requests_is_not_scored_for_balance() -> None:
    (scores,) = scores_of(make_pod(), [NodeInfo(make_node("n"))])
    assert set(scores) == {"TaintToleration", "NodeResourcesFit"}


def test_a_node_to_be_avoided_comes_second() -> None:
    avoided = make_node("a", taints=[GPU | {"effect": "PreferNoSchedule"}])
    assert decide(make_pod(), [NodeInfo(avoided), NodeInfo(make_node("b"))], Random(1)).node == "b"


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_normalized_scores_lie_between_0_and_100_and_keep_their_order(raw: list[int]) -> None:
    for reverse in (False, True):
        scores = normalized(raw, reverse=reverse)
        assert all(0 <= score <= 100 for score in scores)
        pairs = sorted(zip(raw, scores, strict=True), key=lambda pair: (pair[0], pair[1]), reverse=reverse)
        assert [score for _, score in pairs] == sorted(scores)


def test_the_refusal_counts_the_reasons_in_upstreams_words() -> None:
    infos = [NodeInfo(make_node("a", taints=[GPU])), NodeInfo(make_node("b")), NodeInfo(make_node("c"))]
    decision = decide(make_pod(cpu="4", memory="4Gi"), infos, Random(1))
    assert decision.message == (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), "
        "2 Insufficient cpu, 2 Insufficient memory."
    )
    assert decide(make_pod(), [], Random(1)).message == "no nodes available to schedule pods"


def test_a_tie_is_broken_the_same_way_for_the_same_seed() -> None:
    infos = [NodeInfo(make_node(name)) for name in "abcdef"]
    picks = [[decide(make_pod(), infos, random).node for _ in range(8)] for random in (Random(7), Random(7))]
    assert picks[0] == picks[1]
    assert len(set(picks[0])) > 1
