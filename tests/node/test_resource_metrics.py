"""The kubelet's /metrics/resource, in Prometheus' text format under upstream's names."""

from datetime import UTC, datetime
from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families

from kubelab.cluster.node.record import ContainerRecord, PodRecord, Running
from kubelab.cluster.node.resource_metrics import exposition
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Statistics, Usage

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, 0, 1, 0, 500_000, tzinfo=UTC)
POD: Object = {"metadata": {"name": "web", "namespace": "shop", "uid": "u1"}}
RECORD = PodRecord(
    MappingProxyType({"main": ContainerRecord(Running("c1", STARTED)), "waiting": ContainerRecord()}), STARTED
)
USED = Statistics(
    pods={"u1": Usage(cpu_us=2_500_000, memory_working_set_bytes=3 << 20)},
    containers={"c1": Usage(cpu_us=2_000_000, memory_working_set_bytes=2 << 20)},
    machine=Usage(cpu_us=9_000_000, memory_working_set_bytes=8 << 20),
)


def told(text: str) -> dict[str, tuple[dict[str, str], float, float]]:
    """Return labels, value and time of each family's sample; there is one of each here."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len({each.name for each in samples}) == len(samples)
    return {each.name: (dict(each.labels), each.value, float(each.timestamp)) for each in samples}


def test_containers_pods_and_the_node_are_measured_in_seconds_and_bytes() -> None:
    pod, container = {"namespace": "shop", "pod": "web"}, {"container": "main", "namespace": "shop"}
    container |= {"pod": "web"}
    at_s = NOW.timestamp()
    assert told(exposition([(POD, RECORD)], USED, NOW)) == {
        "container_cpu_usage_seconds_total": (container, 2.0, at_s),
        "container_memory_working_set_bytes": (container, 2 << 20, at_s),
        "container_start_time_seconds": (container, STARTED.timestamp(), at_s),
        "node_cpu_usage_seconds_total": ({}, 9.0, at_s),
        "node_memory_working_set_bytes": ({}, 8 << 20, at_s),
        "pod_cpu_usage_seconds_total": (pod, 2.5, at_s),
        "pod_memory_working_set_bytes": (pod, 3 << 20, at_s),
        "resource_scrape_error": ({}, 0.0, at_s),
    }


def test_what_has_gone_meanwhile_is_left_out() -> None:
    gone = exposition([(POD, RECORD)], Statistics({}, {}, Usage()), NOW)
    assert {name.partition("_")[0] for name in told(gone)} == {"node", "resource"}
