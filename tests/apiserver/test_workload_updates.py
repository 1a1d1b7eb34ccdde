"""What the server makes of workloads: defaults, selectors, generations; what may change; statuses."""

from typing import Any

import creations
import pytest
from creations import UID, causes_of_update, created, updated
from kind_manifests import autoscaler, changed, cluster_wide, cronjob, job, named, template, workload

from kubelab.cluster.apiserver.deletion import DeleteOptions, delete
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    CONTROLLERREVISIONS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    HORIZONTALPODAUTOSCALERS,
    JOBS,
    PODDISRUPTIONBUDGETS,
    PRIORITYCLASSES,
    REPLICASETS,
    STATEFULSETS,
    Object,
    Resource,
)

BATCH = "batch.kubernetes.io"
NOW = "2026-01-01T12:00:00Z"


def spec_of(resource: Resource, obj: Object) -> Object:
    spec: Object = created(resource, obj)["spec"]
    return {key: value for key, value in spec.items() if key not in {"template", "jobTemplate", "selector"}}


@pytest.mark.parametrize(
    ("resource", "obj", "defaults"),
    [
        (REPLICASETS, workload(), {"replicas": 1}),
        (
            DEPLOYMENTS,
            workload(),
            {
                "replicas": 1,
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
                },
            },
        ),
        (
            STATEFULSETS,
            workload(),
            {
                "replicas": 1,
                "revisionHistoryLimit": 10,
                "podManagementPolicy": "OrderedReady",
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            },
        ),
        (
            DAEMONSETS,
            workload(),
            {
                "revisionHistoryLimit": 10,
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
                },
            },
        ),
        (
            JOBS,
            job(),
            {
                "completions": 1,
                "parallelism": 1,
                "backoffLimit": 6,
                "completionMode": "NonIndexed",
                "suspend": False,
                "manualSelector": False,
                "podReplacementPolicy": "TerminatingOrFailed",
            },
        ),
        (
            CRONJOBS,
            cronjob(),
            {
                "schedule": "*/5 * * * *",
                "concurrencyPolicy": "Allow",
                "suspend": False,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 1,
            },
        ),
    ],
)
def test_what_is_not_said_is_as_upstream_has_it(resource: Resource, obj: Object, defaults: Object) -> None:
    assert spec_of(resource, obj) == defaults


def test_a_parallel_job_need_not_say_how_often_it_must_succeed() -> None:
    assert "completions" not in spec_of(JOBS, job(parallelism=3))


def test_failures_that_count_by_index_leave_the_whole_without_a_limit() -> None:
    indexed = job(completionMode="Indexed", completions=3, backoffLimitPerIndex=1)
    assert spec_of(JOBS, indexed)["backoffLimit"] == 2**31 - 1


def test_an_autoscaler_watches_the_cpu_and_fills_the_behavior_that_it_has() -> None:
    spec = created(HORIZONTALPODAUTOSCALERS, autoscaler(behavior={"scaleDown": {"selectPolicy": "Min"}}))[
        "spec"
    ]
    target = {"type": "Utilization", "averageUtilization": 80}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert spec["behavior"]["scaleDown"] == {
        "selectPolicy": "Min",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    assert [each["type"] for each in spec["behavior"]["scaleUp"]["policies"]] == ["Pods", "Percent"]


def test_a_jobs_pods_are_told_from_all_others_by_its_uid() -> None:
    made = created(JOBS, job(template=changed(template(restartPolicy="Never"), "metadata.labels", {})))
    labels = {
        "job-name": "shop",
        f"{BATCH}/job-name": "shop",
        "controller-uid": UID,
        f"{BATCH}/controller-uid": UID,
    }
    assert made["spec"]["selector"] == {"matchLabels": {f"{BATCH}/controller-uid": UID}}
    assert made["spec"]["template"]["metadata"]["labels"] == labels
    assert made["metadata"]["labels"] == labels


def test_who_selects_by_hand_keeps_his_labels() -> None:
    made = created(JOBS, job(manualSelector=True, selector={"matchLabels": {"app": "shop"}}))
    assert made["spec"]["selector"] == {"matchLabels": {"app": "shop"}}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "shop"}


def test_a_claims_template_says_what_it_is() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    (claim,) = created(STATEFULSETS, workload(volumeClaimTemplates=claims))["spec"]["volumeClaimTemplates"]
    assert (claim["kind"], claim["status"], claim["spec"]["volumeMode"]) == (
        "PersistentVolumeClaim",
        {"phase": "Pending"},
        "Filesystem",
    )


# What may change


@pytest.mark.parametrize(
    ("resource", "obj", "path", "value", "field", "message"),
    [
        (
            DEPLOYMENTS,
            workload(),
            "spec.selector.matchLabels",
            {"app": "other"},
            "spec.selector",
            'Invalid value: {"matchLabels":{"app":"other"}}: field is immutable',
        ),
        (
            STATEFULSETS,
            workload(),
            "spec.serviceName",
            "other",
            "spec",
            (
                "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                "'template', 'updateStrategy', 'revisionHistoryLimit', "
                "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
            ),
        ),
        (
            JOBS,
            job(),
            "spec.completions",
            3,
            "spec.completions",
            "Invalid value: 3: field is immutable",
        ),
        (
            JOBS,
            job(completionMode="Indexed", completions=2, parallelism=2),
            "spec.completions",
            3,
            "spec.completions",
            "Invalid value: 3: can only be modified in tandem with spec.parallelism",
        ),
        (
            JOBS,
            job(),
            "spec.completionMode",
            "Indexed",
            "spec.completionMode",
            'Invalid value: "Indexed": field is immutable',
        ),
        (
            PRIORITYCLASSES,
            cluster_wide(value=7),
            "value",
            8,
            "value",
            "Forbidden: may not be changed in an update.",
        ),
        (
            CONTROLLERREVISIONS,
            named(revision=1, data={"a": 1}),
            "data",
            {"a": 2},
            "data",
            'Invalid value: {"a":2}: field is immutable',
        ),
    ],
)
def test_what_may_not_change(
    resource: Resource, obj: Object, path: str, value: Any, field: str, message: str
) -> None:
    old = created(resource, obj)
    told = [
        (cause["field"], cause["message"])
        for cause in causes_of_update(resource, changed(old, path, value), old)
    ]
    assert (field, message) in told


def test_a_jobs_template_stays_unless_it_has_yet_to_start() -> None:
    old = created(JOBS, job())
    path, value = "spec.template.spec.nodeSelector", {"disk": "ssd"}
    assert causes_of_update(JOBS, changed(old, path, value), old)[0]["field"] == "spec.template"
    waiting = changed(old, "spec.suspend", True)
    assert (
        updated(JOBS, changed(waiting, path, value), waiting)["spec"]["template"]["spec"]["nodeSelector"]
        == value
    )
    image = changed(waiting, "spec.template.spec.containers.0.image", "other")
    assert causes_of_update(JOBS, image, waiting)[0]["field"] == "spec.template"


def test_an_indexed_job_grows_with_its_parallelism() -> None:
    old = created(JOBS, job(completionMode="Indexed", completions=2, parallelism=2))
    grown = changed(changed(old, "spec.completions", 5), "spec.parallelism", 5)
    assert updated(JOBS, grown, old)["metadata"]["generation"] == 2


def test_a_generation_tells_each_change_of_what_is_wanted() -> None:
    old = created(DEPLOYMENTS, workload())
    assert updated(DEPLOYMENTS, changed(old, "spec.replicas", 2), old)["metadata"]["generation"] == 2
    annotated = changed(old, "metadata.annotations", {"note": "x"})
    assert updated(DEPLOYMENTS, annotated, old)["metadata"]["generation"] == 2
    labelled = changed(old, "metadata.labels", {"note": "x"})
    assert updated(DEPLOYMENTS, labelled, old)["metadata"]["generation"] == 1


def test_a_daemonset_counts_its_templates() -> None:
    key = "deprecated.daemonset.template.generation"
    old = created(DAEMONSETS, workload())
    assert old["metadata"]["annotations"][key] == "1"
    changed_template = changed(old, "spec.template.spec.containers.0.image", "other")
    assert updated(DAEMONSETS, changed_template, old)["metadata"]["annotations"][key] == "2"
    forged = changed(old, "metadata.annotations", {key: "9"})
    assert updated(DAEMONSETS, forged, old)["metadata"]["annotations"][key] == "1"


async def test_a_budget_is_replaced_only_by_who_names_its_version(api: LocalApi) -> None:
    made = await api.create(PODDISRUPTIONBUDGETS, named(spec={"minAvailable": 1}))
    unversioned = changed(made, "metadata.resourceVersion", None)
    with pytest.raises(ApiError) as refused:
        await api.update(PODDISRUPTIONBUDGETS, changed(unversioned, "spec.minAvailable", 2))
    assert str(refused.value).endswith(
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    )
    assert (await api.update(PODDISRUPTIONBUDGETS, changed(made, "spec.minAvailable", 2)))["spec"] == {
        "minAvailable": 2
    }


def test_a_deleted_job_leaves_its_pods_unless_told_otherwise() -> None:
    made = created(JOBS, job()) | {}
    made["metadata"]["resourceVersion"] = "1"
    kind = BY_RESOURCE[JOBS]
    left = delete(kind, made, DeleteOptions(), creations.NOW)
    assert left is not None and left["metadata"]["finalizers"] == ["orphan"]
    assert delete(kind, made, DeleteOptions(propagation="Background"), creations.NOW) is None


# What a status may say


def with_status(obj: Object, **status: Any) -> Object:
    return obj | {"status": (obj.get("status") or {}) | status}


def condition(*types: str) -> list[Object]:
    return [{"type": type_, "status": "True"} for type_ in types]


@pytest.mark.parametrize(
    ("resource", "status", "field", "message"),
    [
        (
            DEPLOYMENTS,
            {"replicas": 1, "readyReplicas": 2},
            "status.readyReplicas",
            "Invalid value: 2: cannot be greater than status.replicas",
        ),
        (
            REPLICASETS,
            {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2},
            "status.availableReplicas",
            "Invalid value: 2: cannot be greater than readyReplicas",
        ),
        (
            DEPLOYMENTS,
            {"terminatingReplicas": -1},
            "status.terminatingReplicas",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            STATEFULSETS,
            {"replicas": 1, "updatedReplicas": 2},
            "status.updatedReplicas",
            "Invalid value: 2: cannot be greater than status.replicas",
        ),
        (
            DAEMONSETS,
            {"numberReady": -1},
            "status.numberReady",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            PODDISRUPTIONBUDGETS,
            {"conditions": [{"type": "DisruptionAllowed", "status": "True", "lastTransitionTime": NOW}]},
            "status.conditions[0].reason",
            "Required value: must be set",
        ),
    ],
)
def test_a_status_must_add_up(resource: Resource, status: Object, field: str, message: str) -> None:
    old = created(resource, workload() if resource != PODDISRUPTIONBUDGETS else named(spec={}))
    told = causes_of_update(resource, with_status(old, **status), old, "status")
    assert (field, message) in [(cause["field"], cause["message"]) for cause in told]


DONE = {
    "startTime": "2026-01-01T11:00:00Z",
    "completionTime": NOW,
    "succeeded": 1,
    "conditions": condition("SuccessCriteriaMet", "Complete"),
}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            {},
            DONE | {"conditions": condition("Complete")},
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        ({}, DONE | {"completionTime": None}, "completionTime is required for Complete jobs"),
        ({}, DONE | {"startTime": None}, "startTime is required for finished job"),
        ({}, DONE | {"active": 1}, "active>0 is invalid for finished job"),
        (
            {},
            DONE | {"completionTime": "2026-01-01T10:00:00Z"},
            "completionTime cannot be set before startTime",
        ),
        (
            {},
            {"conditions": condition("Failed"), "startTime": NOW},
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (DONE, DONE | {"conditions": []}, "cannot disable the terminal Complete=True condition"),
        ({"failed": 2}, {"failed": 1}, "cannot decrease the failed counter"),
        ({"startTime": NOW}, {}, "startTime cannot be removed for unsuspended job"),
        ({"active": 1}, {"active": 1, "ready": 2}, "cannot set more ready pods than active"),
        (
            {},
            {"completedIndexes": "1"},
            "cannot set non-empty completedIndexes when non-indexed completion mode",
        ),
    ],
)
def test_a_jobs_status_only_moves_on(before: Object, after: Object, message: str) -> None:
    old = with_status(created(JOBS, job()), **before)
    given = {key: value for key, value in after.items() if value is not None}
    told = causes_of_update(JOBS, old | {"status": given}, old, "status")
    assert any(cause["message"].endswith(message) for cause in told), told


def test_a_job_ends_in_order() -> None:
    old = with_status(created(JOBS, job()), startTime=DONE["startTime"], active=1)
    untimed = {"lastProbeTime": None, "lastTransitionTime": None}
    ended = updated(JOBS, old | {"status": DONE}, old, "status")
    assert ended["status"] == DONE | {"conditions": [each | untimed for each in DONE["conditions"]]}
    assert ended["metadata"]["generation"] == 1
