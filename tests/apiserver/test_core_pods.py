"""What a pod may ask for, in upstream's words: the cases are those of its validation_test.go.

Source: kubernetes, pkg/apis/core/validation/validation_test.go and pkg/apis/core/v1/defaults_test.go.
"""

from typing import Any

import pytest
from api_manifests import pod
from bare_cluster import bare_api, refusal_of

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import PODS, PODTEMPLATES, Object


def shell(**fields: Any) -> Object:
    """Return a pod whose one container has *fields*."""
    return pod(containers=[{"name": "shell", "image": "kubelab/shell"} | fields])


def with_init(**fields: Any) -> Object:
    return pod(initContainers=[{"name": "init", "image": "kubelab/shell"} | fields])


def with_volume(**source: Any) -> Object:
    return pod(volumes=[{"name": "data"} | source])


def projected(*sources: Object) -> Object:
    return with_volume(projected={"sources": list(sources)})


def preferring(**term: Any) -> Object:
    weighted = [{"weight": 1, "preference": {}} | term]
    return pod(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}})


def requiring(*terms: Object) -> Object:
    required = {"nodeSelectorTerms": list(terms)}
    return pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


def apart(**term: Any) -> Object:
    required = [{"topologyKey": "zone"} | term]
    return pod(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


def spread(**fields: Any) -> Object:
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"} | fields
    return pod(topologySpreadConstraints=[constraint])


C, V = "spec.containers[0]", "spec.volumes[0]"
_HTTP = {"httpGet": {"port": 80}}
_REQUIRED_TERMS = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
REFUSALS = [
    # Containers
    (pod(containers=[]), "spec.containers: Required value"),
    (shell(imagePullPolicy="Later"), 'supported values: "Always", "IfNotPresent", "Never"'),
    (shell(image=" a"), f'{C}.image: Invalid value: " a": must not have leading or trailing whitespace'),
    (shell(restartPolicy="Always"), f"{C}.restartPolicy: Forbidden: may not be set for non-init containers"),
    (shell(terminationMessagePolicy="Mail"), 'supported values: "File", "FallbackToLogsOnError"'),
    (with_init(name="shell"), 'spec.initContainers[0].name: Duplicate value: "shell"'),
    (
        with_init(restartPolicy="Never"),
        'restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ),
    (
        with_init(livenessProbe=_HTTP),
        (
            "initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
            "restartPolicy=Always"
        ),
    ),
    (
        pod(ephemeralContainers=[{"name": "d", "image": "i"}]),
        "spec.ephemeralContainers: Forbidden: cannot be set on create",
    ),
    # Ports
    (
        shell(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
        f'{C}.ports[1].name: Duplicate value: "a"',
    ),
    (shell(ports=[{"containerPort": 1, "protocol": "ICMP"}]), 'supported values: "SCTP", "TCP", "UDP"'),
    (
        shell(ports=[{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]),
        f'{C}.ports[1].hostPort: Duplicate value: "TCP//9"',
    ),
    # Environment
    (
        shell(env=[{"name": "A=B"}]),
        (
            f'{C}.env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of '
            "printable ASCII characters other than '='"
        ),
    ),
    (shell(env=[{"name": "A", "valueFrom": {}}]), "must specify one of: `fieldRef`, `resourceFieldRef`"),
    (
        shell(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ),
    (
        shell(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]),
        (
            'fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", '
            '"metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
            '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'
        ),
    ),
    (
        shell(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.whoops"}}}]),
        "error converting fieldPath: field label not supported: metadata.whoops",
    ),
    (
        shell(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.disk"}}}]),
        (
            'resourceFieldRef.resource: Unsupported value: "limits.disk": supported values: "limits.cpu", '
            '"limits.ephemeral-storage", "limits.memory", "requests.cpu"'
        ),
    ),
    (
        shell(envFrom=[{"prefix": "P"}]),
        f'{C}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ),
    (shell(envFrom=[{"secretRef": {}}]), f"{C}.envFrom[0].secretRef.name: Required value"),
    # Probes and hooks
    (shell(livenessProbe={}), f"{C}.livenessProbe: Required value: must specify a handler type"),
    (
        shell(livenessProbe=_HTTP | {"exec": {"command": ["ls"]}}),
        f"{C}.livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
    ),
    (shell(readinessProbe={"exec": {}}), f"{C}.readinessProbe.exec.command: Required value"),
    (
        shell(startupProbe=_HTTP | {"successThreshold": 2}),
        f"{C}.startupProbe.successThreshold: Invalid value: 2: must be 1",
    ),
    (
        shell(readinessProbe=_HTTP | {"terminationGracePeriodSeconds": 1}),
        "Invalid value: 1: must not be set for readinessProbes",
    ),
    (
        shell(livenessProbe={"httpGet": {"port": "a--b"}}),
        'httpGet.port: Invalid value: "a--b": must not contain consecutive hyphens',
    ),
    (
        shell(lifecycle={"preStop": {"sleep": {"seconds": 31}}}),
        (
            f"{C}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
            "terminationGracePeriodSeconds (30)"
        ),
    ),
    # Resources
    (
        shell(resources={"limits": {"pods": "1"}}),
        f'{C}.resources.limits[pods]: Invalid value: "pods": must be a standard resource for containers',
    ),
    (
        shell(resources={"limits": {"disk": "1"}}),
        'Invalid value: "disk": must be a standard resource type or fully qualified',
    ),
    (
        shell(resources={"requests": {"vendor.com/gpu": "1"}}),
        f"{C}.resources.limits: Required value: Limit must be set for non overcommitable resources",
    ),
    (
        shell(resources={"limits": {"vendor.com/gpu": "500m"}}),
        f'{C}.resources.limits[vendor.com/gpu]: Invalid value: "500m": must be an integer',
    ),
    (
        shell(resources={"limits": {"hugepages-2Mi": "2Mi"}}),
        f"{C}.resources: Forbidden: HugePages require cpu or memory",
    ),
    (
        shell(resources={"requests": {"cpu": "-1"}}),
        f'{C}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
    ),
    # Volumes
    (pod(volumes=[{"emptyDir": {}}]), f"{V}.name: Required value"),
    (
        with_volume(emptyDir={}, hostPath={"path": "/x"}),
        f"{V}.hostPath: Forbidden: may not specify more than 1 volume type",
    ),
    (with_volume(hostPath={"path": "/a/../b"}), f'{V}.hostPath.path: Invalid value: "/a/../b": must not'),
    (with_volume(secret={}), f"{V}.secret.secretName: Required value"),
    (
        with_volume(configMap={"name": "c", "defaultMode": 0o1000}),
        "defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
    ),
    (
        with_volume(configMap={"name": "c", "items": [{"key": "k", "path": "/etc"}]}),
        f'{V}.configMap.items[0].path: Invalid value: "/etc": must be a relative path',
    ),
    (with_volume(persistentVolumeClaim={}), f"{V}.persistentVolumeClaim.claimName: Required value"),
    (with_volume(nfs={"server": "s", "path": "x"}), f'{V}.nfs.path: Invalid value: "x": must be an absolute'),
    (
        with_volume(downwardAPI={"items": [{"path": "p", "fieldRef": {"fieldPath": "spec.nodeName"}}]}),
        'fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations"',
    ),
    (
        projected({"secret": {"name": "a"}, "configMap": {"name": "b"}}),
        f"{V}.projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
    ),
    (
        projected({"serviceAccountToken": {"path": "t", "expirationSeconds": 599}}),
        "expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
    ),
    (
        projected({"serviceAccountToken": {"path": "t"}}),
        "serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
    ),
    (
        projected(*2 * [{"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}}]),
        f'{V}.projected: Invalid value: "c": conflicting duplicate paths',
    ),
    (
        shell(volumeMounts=[{"name": "no", "mountPath": "/x", "mountPropagation": "Bidirectional"}]),
        "Forbidden: Bidirectional mount propagation is available only to privileged containers",
    ),
    # Security
    (
        pod(securityContext={"runAsUser": -1}),
        "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ),
    (
        shell(securityContext={"allowPrivilegeEscalation": False, "privileged": True}),
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
    ),
    (
        pod(securityContext={"seccompProfile": {"type": "Localhost"}}),
        "seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
    ),
    (
        pod(securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}, hostNetwork=True),
        "sysctls[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when 'hostNetwork' is",
    ),
    (
        pod(hostUsers=False, hostNetwork=True),
        "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
    ),
    (
        pod(hostPID=True, shareProcessNamespace=True),
        "ShareProcessNamespace and HostPID cannot both be enabled",
    ),
    # Placement
    (
        pod(tolerations=[{"operator": "Equal"}]),
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
    ),
    (
        pod(tolerations=[{"key": "a", "operator": "Exists", "tolerationSeconds": 1}]),
        "effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
    ),
    (
        pod(tolerations=[{"key": "a", "operator": "In"}]),
        'spec.tolerations[0].operator: Unsupported value: "In": supported values: "Equal", "Exists"',
    ),
    (requiring(), f"{_REQUIRED_TERMS}: Required value: must have at least one node selector term"),
    (
        requiring({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1", "2"]}]}),
        "values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
    ),
    (
        requiring({"matchFields": [{"key": "spec.x", "operator": "In", "values": ["a"]}]}),
        'key: Invalid value: "spec.x": not a valid field selector key',
    ),
    (preferring(weight=101), "[0].weight: Invalid value: 101: must be in the range 1-100"),
    (apart(topologyKey=""), "topologyKey: Required value: can not be empty"),
    (
        apart(matchLabelKeys=["a"]),
        "matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
    ),
    (spread(maxSkew=0), "maxSkew: Invalid value: 0: must be greater than zero"),
    (
        spread(whenUnsatisfiable="Hope"),
        'whenUnsatisfiable: Unsupported value: "Hope": supported values: "DoNotSchedule", "ScheduleAnyway"',
    ),
    (
        spread(whenUnsatisfiable="ScheduleAnyway", minDomains=2),
        "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
    ),
    (
        pod(schedulingGates=[{"name": "a"}, {"name": "a"}]),
        'spec.schedulingGates[1]: Duplicate value: "a"',
    ),
    (
        pod(schedulingGates=[{"name": "a"}], nodeName="minion-1"),
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    ),
    # The pod itself
    (pod(dnsPolicy="None"), "dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
    (
        pod(dnsConfig={"nameservers": ["1.2.3"]}),
        'nameservers[0]: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::',
    ),
    (pod(hostname="a.b"), 'spec.hostname: Invalid value: "a.b": must not contain dots'),
    (pod(activeDeadlineSeconds=0), "Invalid value: 0: must be between 1 and 2147483647, inclusive"),
    (
        pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
        'spec.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
    (pod(os={"name": "plan9"}), 'spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'),
]


@pytest.mark.parametrize(("obj", "sentence"), REFUSALS)
def test_what_a_pod_may_not_be_is_said(obj: Object, sentence: str) -> None:
    assert sentence in refusal_of(PODS, obj)


@pytest.fixture
async def api(clock: VirtualClock) -> LocalApi:
    return await bare_api(clock)


async def test_a_template_keeps_what_only_a_pod_gets(api: LocalApi) -> None:
    limits = {"limits": {"cpu": "1"}}
    spec = shell(resources=limits)["spec"] | {"hostNetwork": True}
    spec["containers"][0]["ports"] = [{"containerPort": 80}]
    template = {"metadata": {"name": "t", "namespace": "default"}, "template": {"spec": spec}}
    kept = (await api.create(PODTEMPLATES, template))["template"]["spec"]
    made = (await api.create(PODS, pod() | {"spec": spec}))["spec"]
    assert kept["containers"][0]["resources"] == limits
    assert made["containers"][0]["resources"] == limits | {"requests": {"cpu": "1"}}
    assert "hostPort" not in kept["containers"][0]["ports"][0]
    assert made["containers"][0]["ports"][0]["hostPort"] == 80
    assert ("enableServiceLinks" in kept, made["enableServiceLinks"]) == (False, True)


async def test_what_goes_without_saying_is_filled_in(api: LocalApi) -> None:
    hook = {"postStart": {"httpGet": {"port": 80}}}
    source = {"serviceAccountToken": {"path": "t"}}
    file = {"path": "cpu", "resourceFieldRef": {"containerName": "shell", "resource": "limits.cpu"}}
    volumes = [
        {"name": "empty"},
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "all", "projected": {"sources": [source, {"downwardAPI": {"items": [file]}}]}},
    ]
    obj = pod(volumes=volumes, serviceAccount="robot")
    obj["spec"]["containers"][0] |= {"lifecycle": hook, "startupProbe": {"grpc": {"port": 1}}}
    spec = (await api.create(PODS, obj))["spec"]
    container = spec["containers"][0]
    assert container["lifecycle"]["postStart"]["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert container["startupProbe"]["grpc"] == {"port": 1, "service": ""}
    assert spec["serviceAccountName"] == "robot"
    empty, host, everything = spec["volumes"]
    assert (empty["emptyDir"], host["hostPath"]["type"]) == ({}, "")
    first, second = everything["projected"]["sources"]
    assert first["serviceAccountToken"]["expirationSeconds"] == 3600
    assert second["downwardAPI"]["items"][0]["resourceFieldRef"]["divisor"] == "0"


async def test_a_pod_asks_for_what_its_containers_do(api: LocalApi) -> None:
    obj = shell(resources={"requests": {"cpu": "300m"}})
    sidecar = {"name": "s", "image": "i", "restartPolicy": "Always"}
    obj["spec"]["initContainers"] = [sidecar | {"resources": {"requests": {"cpu": "200m"}}}]
    obj["spec"]["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    created = await api.create(PODS, obj)
    assert created["spec"]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert created["status"]["qosClass"] == "Burstable"


async def test_a_gated_pod_says_so_and_may_become_choosier(api: LocalApi) -> None:
    created = await api.create(PODS, pod(schedulingGates=[{"name": "wait"}]))
    (condition,) = created["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("PodScheduled", "SchedulingGated")
    await patch(api, nodeSelector={"disk": "ssd"})
    with pytest.raises(ApiError, match="only additions to spec"):
        await patch(api, nodeSelector={"disk": "hdd"})
    with pytest.raises(ApiError, match="only deletion is allowed, but found new scheduling gate 'more'"):
        await patch(api, schedulingGates=[{"name": "more"}])
    await patch(api, schedulingGates=None)
    with pytest.raises(ApiError, match="spec: Forbidden: pod updates may not change fields other than"):
        await patch(api, nodeSelector={"disk": "ssd", "zone": "a"})


async def patch(api: LocalApi, **spec: Any) -> Object:
    return await api.patch(PODS, "default", "web", {"spec": spec})


async def test_tolerations_are_only_added_and_a_deadline_only_comes_closer(api: LocalApi) -> None:
    toleration = {"key": "a", "operator": "Exists", "effect": "NoExecute"}
    await api.create(PODS, pod(tolerations=[toleration], activeDeadlineSeconds=10))
    await patch(api, tolerations=[toleration | {"tolerationSeconds": 5}, toleration | {"key": "b"}])
    with pytest.raises(ApiError, match="existing toleration can not be modified except its tolerationSec"):
        await patch(api, tolerations=[])
    with pytest.raises(ApiError, match="Invalid value: 11: must be less than or equal to previous value"):
        await patch(api, activeDeadlineSeconds=11)
    with pytest.raises(ApiError, match="must not update from a positive integer to nil value"):
        await patch(api, activeDeadlineSeconds=None)


async def test_ephemeral_containers_only_come(api: LocalApi) -> None:
    await api.create(PODS, pod())
    debugger = {"name": "debug", "image": "kubelab/shell", "targetContainerName": "shell"}

    async def debug(*listed: Object) -> Object:
        spec = {"ephemeralContainers": list(listed)}
        where = (PODS, "default", "web")
        return await api.patch(*where, {"spec": spec}, subresource="ephemeralcontainers")

    changed = await debug(debugger)
    assert changed["metadata"]["generation"] == 2
    assert changed["spec"]["ephemeralContainers"][0]["imagePullPolicy"] == "Always"
    for listed, sentence in (
        ([], 'existing ephemeral containers "debug" may not be removed'),
        ([debugger | {"image": "other"}], 'existing ephemeral containers "debug" may not be changed'),
        ([debugger, debugger], 'ephemeralContainers[1].name: Duplicate value: "debug"'),
        ([debugger, {"name": "shell", "image": "i"}], 'Duplicate value: "shell"'),
        (
            [debugger, {"name": "b", "image": "i", "targetContainerName": "no"}],
            'targetContainerName: Not found: "no"',
        ),
        (
            [debugger, {"name": "b", "image": "i", "ports": [{"containerPort": 1}]}],
            "ports: Forbidden: cannot be set for an Ephemeral Container",
        ),
    ):
        with pytest.raises(ApiError) as refusal:
            await debug(*listed)
        assert sentence in str(refusal.value)
    with pytest.raises(ApiError, match="pod updates may not change fields other than"):
        await api.patch(PODS, "default", "web", {"spec": {"ephemeralContainers": None}})
    await api.patch(PODS, "default", "web", {"metadata": {"labels": {"still": "writable"}}})


async def test_a_status_stays_credible(api: LocalApi) -> None:
    await api.create(PODS, pod(restartPolicy="Never"))
    ended = {"name": "shell", "state": {"terminated": {"exitCode": 0}}}

    async def tell(**status: Any) -> Object:
        return await api.patch(PODS, "default", "web", {"status": status}, subresource="status")

    await tell(containerStatuses=[ended], podIPs=[{"ip": "10.1.0.2"}], podIP="10.1.0.2")
    for status, sentence in (
        (
            {"containerStatuses": [ended | {"state": {"running": {}}}]},
            "may not be transitioned",
        ),
        ({"qosClass": "Guaranteed"}, "status.qosClass: Invalid value"),
        ({"podIPs": [{"ip": "10.1.0.2"}, {"ip": "10.1.0.3"}]}, "no more than one IP for each IP family"),
        ({"hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.2"}]}, "must be equal to `hostIP`"),
    ):
        with pytest.raises(ApiError) as refusal:
            await tell(**status)
        assert sentence in str(refusal.value)


async def test_keys_of_labels_become_expressions(api: LocalApi) -> None:
    obj = spread(labelSelector={"matchLabels": {"app": "web"}}, matchLabelKeys=["app", "absent"])
    created = await api.create(PODS, obj)
    (constraint,) = created["spec"]["topologySpreadConstraints"]
    wanted = [{"key": "app", "operator": "In", "values": ["web"]}]
    assert constraint["labelSelector"]["matchExpressions"] == wanted


async def test_pods_are_selected_by_what_they_are(api: LocalApi) -> None:
    await api.create(PODS, pod("a", hostNetwork=True))
    await api.create(PODS, pod("b"))
    status = {"podIPs": [{"ip": "10.1.0.9"}]}
    await api.patch(PODS, "default", "b", {"status": status}, subresource="status")
    for selector, names in (
        ("spec.hostNetwork=true", ["a"]),
        ("spec.hostNetwork!=true,spec.restartPolicy=Always", ["b"]),
        ("status.podIP=10.1.0.9", ["b"]),
    ):
        found = await api.list(PODS, "default", field_selector=selector)
        assert [each["metadata"]["name"] for each in found.items] == names
