"""What is refused of workloads, in upstream's words: each row a mistake, the field it is told of, and how."""

from typing import Any

import pytest
from creations import UID, causes, created
from kind_manifests import (
    autoscaler,
    budget,
    changed,
    cluster_wide,
    cronjob,
    job,
    named,
    template,
    workload,
)

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

Row = tuple[Resource, Object, str, str]
STRATEGY = "spec.strategy.rollingUpdate"
NOT_NEGATIVE = "must be greater than or equal to 0"
PERCENT = "a valid percent string must be a numeric string followed by an ending '%'"


def with_metric(**metric: Any) -> Object:
    return autoscaler(metrics=[metric])


def with_rule(**rule: Any) -> Object:
    return job(podFailurePolicy={"rules": [rule]})


def with_success(**rule: Any) -> Object:
    return job(completionMode="Indexed", completions=5, successPolicy={"rules": [rule]})


CPU = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}

MISTAKES: list[Row] = [
    # Deployments and ReplicaSets
    (DEPLOYMENTS, workload(replicas=-1), "spec.replicas", f"Invalid value: -1: {NOT_NEGATIVE}"),
    (
        DEPLOYMENTS,
        workload(selector={}),
        "spec.selector",
        "Invalid value: {}: empty selector is invalid for deployment",
    ),
    (
        REPLICASETS,
        workload(selector={}),
        "spec.selector",
        "Invalid value: {}: empty selector is invalid for deployment",
    ),
    (
        REPLICASETS,
        workload(selector={"matchLabels": {"app": "x"}}),
        "spec.template.metadata.labels",
        'Invalid value: {"app":"shop"}: `selector` does not match template `labels`',
    ),
    (
        DEPLOYMENTS,
        workload(template=template(activeDeadlineSeconds=5)),
        "spec.template.spec.activeDeadlineSeconds",
        "Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
    ),
    (
        DEPLOYMENTS,
        workload(template=template(restartPolicy="Never")),
        "spec.template.spec.restartPolicy",
        'Unsupported value: "Never": supported values: "Always"',
    ),
    (
        DEPLOYMENTS,
        workload(strategy={"type": "Sometimes"}),
        "spec.strategy",
        'Unsupported value: {"type":"Sometimes"}: supported values: "Recreate", "RollingUpdate"',
    ),
    (
        DEPLOYMENTS,
        workload(strategy={"type": "Recreate", "rollingUpdate": {}}),
        STRATEGY,
        "Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ),
    (
        DEPLOYMENTS,
        workload(strategy={"rollingUpdate": {"maxSurge": "a"}}),
        f"{STRATEGY}.maxSurge",
        f"Invalid value: \"a\": {PERCENT} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    ),
    (
        DEPLOYMENTS,
        workload(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
        f"{STRATEGY}.maxUnavailable",
        'Invalid value: "0%": may not be 0 when `maxSurge` is 0',
    ),
    (
        DEPLOYMENTS,
        workload(strategy={"rollingUpdate": {"maxUnavailable": "101%"}}),
        f"{STRATEGY}.maxUnavailable",
        'Invalid value: "101%": must not be greater than 100%',
    ),
    (
        DEPLOYMENTS,
        workload(progressDeadlineSeconds=10, minReadySeconds=10),
        "spec.progressDeadlineSeconds",
        "Invalid value: 10: must be greater than minReadySeconds",
    ),
    # StatefulSets, DaemonSets, ControllerRevisions
    (
        STATEFULSETS,
        changed(workload(), "metadata.name", "shop.one"),
        "metadata.name",
        'Invalid value: "shop.one": must not contain dots',
    ),
    (
        STATEFULSETS,
        workload(podManagementPolicy="Both"),
        "spec.podManagementPolicy",
        "Invalid value: \"Both\": must be 'OrderedReady' or 'Parallel'",
    ),
    (
        STATEFULSETS,
        workload(updateStrategy={"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
        "spec.updateStrategy.rollingUpdate",
        "Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
    ),
    (
        STATEFULSETS,
        workload(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
        "spec.updateStrategy.rollingUpdate.maxUnavailable",
        "Invalid value: 0: cannot be 0",
    ),
    (
        STATEFULSETS,
        workload(persistentVolumeClaimRetentionPolicy={"whenScaled": "Lose"}),
        "spec.persistentVolumeClaimRetentionPolicy.whenScaled",
        'Unsupported value: "Lose": supported values: "Retain", "Delete"',
    ),
    (
        STATEFULSETS,
        workload(ordinals={"start": -1}),
        "spec.ordinals.start",
        f"Invalid value: -1: {NOT_NEGATIVE}",
    ),
    (
        DAEMONSETS,
        changed(workload(), "spec.selector", None),
        "spec.template.metadata.labels",
        'Invalid value: {"app":"shop"}: `selector` does not match template `labels`',
    ),
    (
        DAEMONSETS,
        workload(updateStrategy={"rollingUpdate": {"maxSurge": 1}}),
        "spec.updateStrategy.rollingUpdate.maxSurge",
        "Invalid value: 1: may not be set when maxUnavailable is non-zero",
    ),
    (
        DAEMONSETS,
        workload(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
        "spec.updateStrategy.rollingUpdate.maxUnavailable",
        "Required value: cannot be 0 when maxSurge is 0",
    ),
    (CONTROLLERREVISIONS, named(revision=1), "data", "Required value: data is mandatory"),
    # Jobs
    (
        JOBS,
        job(template=template()),
        "spec.template.spec.restartPolicy",
        'Required value: valid values: "OnFailure", "Never"',
    ),
    (
        JOBS,
        job(template=template(restartPolicy="Sometimes")),
        "spec.template.spec.restartPolicy",
        'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ),
    (JOBS, job(backoffLimit=-1), "spec.backoffLimit", f"Invalid value: -1: {NOT_NEGATIVE}"),
    (
        JOBS,
        job(completionMode="Some"),
        "spec.completionMode",
        'Unsupported value: "Some": supported values: "NonIndexed", "Indexed"',
    ),
    (
        JOBS,
        job(completionMode="Indexed", parallelism=2),
        "spec.completions",
        "Required value: when completion mode is Indexed",
    ),
    (
        JOBS,
        job(backoffLimitPerIndex=1),
        "spec.backoffLimitPerIndex",
        "Invalid value: 1: requires indexed completion mode",
    ),
    (
        JOBS,
        job(managedBy="me"),
        "spec.managedBy",
        'Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")',
    ),
    (
        JOBS,
        job(podReplacementPolicy="Always"),
        "spec.podReplacementPolicy",
        'Unsupported value: "Always": supported values: "Failed", "TerminatingOrFailed"',
    ),
    (
        JOBS,
        job(manualSelector=True),
        "spec.selector",
        "Required value",
    ),
    (
        JOBS,
        changed(job(completionMode="Indexed", completions=1000), "metadata.name", "x" * 60),
        "metadata.name",
        f'Invalid value: "{"x" * 60}": will not able to create pod with invalid DNS label: {"x" * 60}-999',
    ),
    (
        JOBS,
        with_rule(onExitCodes={"operator": "In", "values": [1]}),
        "spec.podFailurePolicy.rules[0].action",
        'Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
    ),
    (
        JOBS,
        with_rule(action="Ignore"),
        "spec.podFailurePolicy.rules[0]",
        "Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
    ),
    (
        JOBS,
        with_rule(action="Ignore", onExitCodes={"operator": "In", "values": [2, 1]}),
        "spec.podFailurePolicy.rules[0].onExitCodes.values",
        "Invalid value: [2,1]: must be ordered",
    ),
    (
        JOBS,
        with_rule(action="FailIndex", onPodConditions=[{"type": "DisruptionTarget"}]),
        "spec.podFailurePolicy.rules[0].action",
        'Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
    ),
    (
        JOBS,
        with_success(succeededIndexes="0-9"),
        "spec.successPolicy.rules[0].succeededIndexes",
        'Invalid value: "0-9": error parsing succeededIndexes: too large index: "9"',
    ),
    (
        JOBS,
        with_success(succeededIndexes="0-1", succeededCount=3),
        "spec.successPolicy.rules[0].succeededCount",
        (
            "Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified "
            "succeededIndexes field)"
        ),
    ),
    # CronJobs
    (CRONJOBS, changed(cronjob(), "spec.schedule", None), "spec.schedule", "Required value"),
    (
        CRONJOBS,
        cronjob(schedule="every day"),
        "spec.schedule",
        'Invalid value: "every day": expected exactly 5 fields, found 2: [every day]',
    ),
    (
        CRONJOBS,
        cronjob(schedule="TZ=UTC 0 * * * *"),
        "spec.schedule",
        'Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
    ),
    (CRONJOBS, cronjob(timeZone="Here"), "spec.timeZone", 'Invalid value: "Here": unknown time zone Here'),
    (
        CRONJOBS,
        cronjob(timeZone="local"),
        "spec.timeZone",
        (
            'Invalid value: "local": timeZone must be an explicit time zone as defined in '
            "https://www.iana.org/time-zones"
        ),
    ),
    (
        CRONJOBS,
        cronjob(concurrencyPolicy="Queue"),
        "spec.concurrencyPolicy",
        'Unsupported value: "Queue": supported values: "Allow", "Forbid", "Replace"',
    ),
    (
        CRONJOBS,
        changed(cronjob(), "metadata.name", "x" * 53),
        "metadata.name",
        f'Invalid value: "{"x" * 53}": must be no more than 52 characters',
    ),
    (
        CRONJOBS,
        changed(cronjob(), "spec.jobTemplate.spec.manualSelector", True),
        "spec.jobTemplate.spec.manualSelector",
        'Unsupported value: true: supported values: "nil", "false"',
    ),
    # Autoscalers
    (
        HORIZONTALPODAUTOSCALERS,
        autoscaler(minReplicas=0),
        "spec.minReplicas",
        "Invalid value: 0: must be greater than or equal to 1",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        autoscaler(minReplicas=9),
        "spec.maxReplicas",
        "Invalid value: 5: must be greater than or equal to `minReplicas`",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        changed(autoscaler(), "spec.scaleTargetRef.name", "a/b"),
        "spec.scaleTargetRef.name",
        "Invalid value: \"a/b\": may not contain '/'",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        with_metric(type="Resource"),
        "spec.metrics[0].resource",
        "Required value: must populate information for the given metric source",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        with_metric(type="Resource", resource=CPU, pods={}),
        "spec.metrics[0].pods",
        "Forbidden: must populate the given metric source only",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        with_metric(type="Resource", resource={"name": "cpu", "target": {"type": "Utilization"}}),
        "spec.metrics[0].resource.target.averageUtilization",
        "Required value: must set either a target raw value or a target utilization",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        autoscaler(behavior={"scaleUp": {"policies": []}}),
        "spec.behavior.scaleUp.policies",
        "Required value: must specify at least one Policy",
    ),
    (
        HORIZONTALPODAUTOSCALERS,
        autoscaler(behavior={"scaleDown": {"stabilizationWindowSeconds": 3601}}),
        "spec.behavior.scaleDown.stabilizationWindowSeconds",
        "Invalid value: 3601: must be less than or equal to 3600",
    ),
    # Budgets and classes
    (
        PODDISRUPTIONBUDGETS,
        budget(minAvailable="150%"),
        "spec.minAvailable",
        'Invalid value: "150%": must not be greater than 100%',
    ),
    (
        PODDISRUPTIONBUDGETS,
        budget(unhealthyPodEvictionPolicy="Never"),
        "spec.unhealthyPodEvictionPolicy",
        'Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
    ),
    (
        PRIORITYCLASSES,
        cluster_wide(value=1_000_000_001),
        "value",
        "Forbidden: maximum allowed value of a user defined priority is 1000000000",
    ),
    (
        PRIORITYCLASSES,
        cluster_wide("system-mine", value=1),
        "metadata.name",
        (
            "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
            "system-mine is not a known system priority class"
        ),
    ),
]


@pytest.mark.parametrize(("resource", "obj", "field", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_field(resource: Resource, obj: Object, field: str, message: str) -> None:
    told = [(cause["field"], cause["message"]) for cause in causes(resource, obj)]
    assert (field, message) in told


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        *((each, workload()) for each in (DEPLOYMENTS, REPLICASETS, STATEFULSETS, DAEMONSETS)),
        (CONTROLLERREVISIONS, named(revision=1, data={"spec": {}})),
        (JOBS, job()),
        (CRONJOBS, cronjob(schedule="@daily", timeZone="Europe/Madrid")),
        (HORIZONTALPODAUTOSCALERS, autoscaler(behavior={"scaleDown": {"selectPolicy": "Disabled"}})),
        (PODDISRUPTIONBUDGETS, budget()),
        (PRIORITYCLASSES, cluster_wide(value=7)),
    ],
)
def test_without_the_mistake_it_is_accepted(resource: Resource, obj: Object) -> None:
    assert created(resource, obj)["kind"] == resource.kind


def test_a_deployment_without_a_selector_is_told_two_things() -> None:
    assert causes(DEPLOYMENTS, changed(workload(), "spec.selector", None)) == [
        {"reason": "FieldValueRequired", "field": "spec.selector", "message": "Required value"},
        {
            "reason": "FieldValueInvalid",
            "field": "spec.template.metadata.labels",
            "message": 'Invalid value: {"app":"shop"}: `selector` does not match template `labels`',
        },
    ]


def test_both_limits_of_a_budget_are_one_too_many() -> None:
    (cause,) = causes(PODDISRUPTIONBUDGETS, budget(maxUnavailable=1))
    assert (cause["reason"], cause["field"]) == ("FieldValueInvalid", "spec")
    assert cause["message"].endswith("minAvailable and maxUnavailable cannot be both set")


def test_a_job_may_not_select_with_foreign_labels() -> None:
    foreign = changed(job(), "spec.template.metadata.labels", {"controller-uid": "mine"})
    first, *_ = causes(JOBS, foreign)
    assert first["field"] == "spec.template.metadata.labels[controller-uid]"
    assert first["message"] == f"Invalid value: {foreign_labels()}: must be '{UID}'"


def foreign_labels() -> str:
    """Return the labels that the server makes of the foreign one, as the message shows them."""
    return (
        '{"job-name":"shop","batch.kubernetes.io/job-name":"shop","controller-uid":"mine",'
        f'"batch.kubernetes.io/controller-uid":"{UID}"}}'
    )
