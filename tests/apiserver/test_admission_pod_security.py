"""The Pod Security Standards, check by check, in upstream's sentences (pod-security-admission/policy)."""

from typing import Any

import pytest

from kubelab.cluster.apiserver.pod_security import LEVELS, label_faults, policy
from kubelab.cluster.apiserver.pod_security_standards import LATEST, violations
from kubelab.cluster.objects import Object


def container(name: str = "a", **context: Any) -> Object:
    return {"name": name, "securityContext": context}


def spec(*containers: Object, **more: Any) -> Object:
    return {"containers": list(containers or (container(),)), **more}


ADD = "securityContext.capabilities.add"
DROP = "securityContext.capabilities.drop"
ESCALATION = "securityContext.allowPrivilegeEscalation"
SELINUX = "securityContext.seLinuxOptions"
CAREFUL = container(
    allowPrivilegeEscalation=False,
    runAsNonRoot=True,
    capabilities={"drop": ["ALL"]},
    seccompProfile={"type": "RuntimeDefault"},
)


def judged(level: str, pod: Object, minor: int = LATEST, annotations: Object | None = None) -> list[str]:
    found = violations(level, minor, {"annotations": annotations}, pod)
    return [f"{each.reason} ({each.detail})" for each in found]


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (spec(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            spec(
                volumes=[{"name": "x", "hostPath": {"path": "/"}}, {"name": "y", "hostPath": {"path": "/"}}]
            ),
            'hostPath volumes (volumes "x", "y")',
        ),
        (
            spec({"name": "a", "ports": [{"hostPort": 80}]}, {"name": "b", "ports": [{"hostPort": 81}]}),
            'hostPort (containers "a", "b" use hostPorts 80, 81)',
        ),
        (
            spec(container(privileged=True)),
            'privileged (container "a" must not set securityContext.privileged=true)',
        ),
        (
            spec(container(capabilities={"add": ["NET_RAW", "CHOWN"]})),
            f'non-default capabilities (container "a" must not include "NET_RAW" in {ADD})',
        ),
        (
            spec(container(procMount="Unmasked")),
            'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            spec(container(seccompProfile={"type": "Unconfined"})),
            'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            spec(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "root"}}),
            f'seLinuxOptions (pod set forbidden {SELINUX}: type "spc_t"; user may not be set)',
        ),
        (
            spec(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            spec(container(appArmorProfile={"type": "Unconfined"})),
            'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
        ),
        (
            spec({"name": "a", "livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 1}}}),
            'probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1")',
        ),
        (
            spec(container(windowsOptions={"hostProcess": True})),
            'hostProcess (container "a" must not set securityContext.windowsOptions.hostProcess=true)',
        ),
    ],
)
def test_what_baseline_forbids(pod: Object, said: str) -> None:
    assert judged("baseline", pod) == [said]
    assert judged("privileged", pod) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"runAsNonRoot": False},
            'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
        ),
        ({"runAsUser": 0}, 'runAsUser=0 (container "a" must not set runAsUser=0)'),
        (
            {"capabilities": {"drop": ["KILL"], "add": ["CHOWN"]}},
            (
                f'unrestricted capabilities (container "a" must set {DROP}=["ALL"]; '
                f'container "a" must not include "CHOWN" in {ADD})'
            ),
        ),
        (
            {"allowPrivilegeEscalation": True},
            f'allowPrivilegeEscalation != false (container "a" must set {ESCALATION}=false)',
        ),
    ],
)
def test_what_restricted_forbids_besides(change: Object, said: str) -> None:
    careless = CAREFUL | {"securityContext": CAREFUL["securityContext"] | change}
    assert judged("restricted", spec(careless)) == [said]
    assert judged("restricted", spec(CAREFUL)) == []
    assert judged("baseline", spec(careless)) == []


def test_a_type_of_volume_is_judged_once_by_the_stricter_check() -> None:
    pod = spec(CAREFUL, volumes=[{"name": "x", "hostPath": {"path": "/"}}, {"name": "y", "emptyDir": {}}])
    said = 'restricted volume types (volume "x" uses restricted volume type "hostPath")'
    assert judged("restricted", pod) == [said]


def test_init_containers_come_first_and_the_pod_answers_for_containers_that_say_nothing() -> None:
    careful = spec(
        CAREFUL | {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}},
        securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}},
    )
    assert judged("restricted", careful) == []
    pod = spec(container("b", privileged=True), initContainers=[container("z", privileged=True)])
    assert judged("baseline", pod)[0].startswith('privileged (containers "z", "b" must not')


def test_older_standards_ask_for_less() -> None:
    root = CAREFUL | {"securityContext": CAREFUL["securityContext"] | {"runAsUser": 0}}
    assert judged("restricted", spec(root), minor=22) == []
    newer = spec(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]})
    assert judged("baseline", newer, minor=31) == ["forbidden sysctls (net.ipv4.tcp_rmem)"]
    assert judged("baseline", newer, minor=32) == []


def test_an_annotation_is_judged_as_the_field_it_stands_for() -> None:
    annotation = {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}
    (said,) = judged("baseline", spec(), annotations=annotation)
    assert said == (
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to "
        '"container.apparmor.security.beta.kubernetes.io/a="unconfined"")'
    )


def test_labels_that_cannot_be_read_enforce_the_strictest_and_warn_of_nothing() -> None:
    prefix = "pod-security.kubernetes.io/"
    labels = {f"{prefix}enforce": "strict", f"{prefix}warn": "strict", f"{prefix}enforce-version": "v1.25"}
    assert str(policy(labels, "enforce")) == "restricted:v1.25"
    assert str(policy(labels, "warn")) == "privileged:latest"
    assert len(list(label_faults(labels))) == 2
    assert LEVELS == ("privileged", "baseline", "restricted")
