"""An object of each kind that upstream's life-cycle specs are about, with the specs' names.

Written as client-go writes them: structs that are empty are there all the same.
"""

import base64
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kubelab.cluster.objects import Object

LABELS = {"app": "e2e"}
IMAGE = "kubelab/shell"
POD_SPEC: Object = {"containers": [{"name": "c", "image": IMAGE, "resources": {}}]}
TEMPLATE: Object = {"metadata": {"creationTimestamp": None, "labels": LABELS}, "spec": POD_SPEC}
WORKLOAD: Object = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
JOB: Object = {
    "parallelism": 2,
    "completions": 4,
    "suspend": True,
    "template": TEMPLATE | {"spec": POD_SPEC | {"restartPolicy": "Never"}},
}


@dataclass(frozen=True)
class Subject:
    """What a spec is about: `body` is all of the object but its type and metadata."""

    spec: str
    group_version: str
    plural: str
    kind: str
    body: Object
    namespaced: bool = True

    def path(self, namespace: str = "default", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, of an object in it, or of a part of that."""
        root = f"/apis/{self.group_version}" if "/" in self.group_version else f"/api/{self.group_version}"
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{place}/{self.plural}" + "".join(f"/{each}" for each in (name, subresource) if each)

    def made(self, name: str, labels: dict[str, str]) -> Object:
        metadata = {"name": name, "creationTimestamp": None, "labels": labels}
        return {"kind": self.kind, "apiVersion": self.group_version, "metadata": metadata} | self.body


@cache
def certificate_request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "e2e-csr")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return base64.b64encode(request.public_bytes(Encoding.PEM)).decode()


CRONJOB = Subject(
    "CronJob should support CronJob API operations",
    "batch/v1",
    "cronjobs",
    "CronJob",
    {
        "spec": {
            "schedule": "* */1 * * ?",
            "concurrencyPolicy": "Allow",
            "jobTemplate": {"metadata": {"creationTimestamp": None}, "spec": JOB},
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 0,
        },
        "status": {},
    },
)
JOBS = Subject(
    "Job should manage the lifecycle of a job", "batch/v1", "jobs", "Job", {"spec": JOB, "status": {}}
)
CONTROLLERREVISIONS = Subject(
    "ControllerRevision should manage the lifecycle of a ControllerRevision",
    "apps/v1",
    "controllerrevisions",
    "ControllerRevision",
    {"data": {"spec": {"template": {"$patch": "replace"}}}, "revision": 1},
)
DAEMONSETS = Subject(
    "Daemon set should list and delete a collection of DaemonSets",
    "apps/v1",
    "daemonsets",
    "DaemonSet",
    {"spec": WORKLOAD | {"updateStrategy": {}}, "status": {}},
)
DEPLOYMENTS = Subject(
    "Deployment should run the lifecycle of a Deployment",
    "apps/v1",
    "deployments",
    "Deployment",
    {"spec": WORKLOAD | {"replicas": 1, "strategy": {}}, "status": {}},
)
REPLICASETS = Subject(
    "ReplicaSet should list and delete a collection of ReplicaSets",
    "apps/v1",
    "replicasets",
    "ReplicaSet",
    {"spec": WORKLOAD | {"replicas": 1}, "status": {}},
)
STATEFULSETS = Subject(
    "StatefulSet should list, patch and delete a collection of StatefulSets",
    "apps/v1",
    "statefulsets",
    "StatefulSet",
    {"spec": WORKLOAD | {"replicas": 1, "serviceName": "test", "updateStrategy": {}}, "status": {}},
)
REPLICATIONCONTROLLERS = Subject(
    "ReplicationController should test the lifecycle of a ReplicationController",
    "v1",
    "replicationcontrollers",
    "ReplicationController",
    {"spec": {"replicas": 1, "selector": LABELS, "template": TEMPLATE}, "status": {}},
)
BUDGETS = Subject(
    "DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a "
    "collection of PodDisruptionBudgets",
    "policy/v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    {"spec": {"minAvailable": "1%", "selector": {"matchLabels": LABELS}}, "status": {}},
)
SERVICES = Subject(
    "Services should delete a collection of services",
    "v1",
    "services",
    "Service",
    {
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 80}], "selector": LABELS},
        "status": {"loadBalancer": {}},
    },
)
INGRESSES = Subject(
    "Ingress API should support creating Ingress API operations",
    "networking.k8s.io/v1",
    "ingresses",
    "Ingress",
    {
        "spec": {
            "defaultBackend": {"service": {"name": "default-backend", "port": {"number": 80}}},
            "rules": [{"host": "foo.bar.com"}],
        },
        "status": {"loadBalancer": {}},
    },
)
PODS = Subject(
    "Pods should delete a collection of pods", "v1", "pods", "Pod", {"spec": POD_SPEC, "status": {}}
)
QUOTAS = Subject(
    "ResourceQuota should manage the lifecycle of a ResourceQuota",
    "v1",
    "resourcequotas",
    "ResourceQuota",
    {"spec": {"hard": {"cpu": "1", "memory": "500Mi"}}, "status": {}},
)
REQUESTS = Subject(
    "Certificates API should support CSR API operations",
    "certificates.k8s.io/v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    {
        "spec": {
            "request": certificate_request(),
            "signerName": "example.com/e2e",
            "expirationSeconds": 3600,
            "usages": ["digital signature", "key encipherment", "server auth"],
        },
        "status": {},
    },
    namespaced=False,
)
NODES = Subject(
    "Node Lifecycle should run through the lifecycle of a node",
    "v1",
    "nodes",
    "Node",
    {
        "spec": {"unschedulable": True},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "e2e", "message": "Set from e2e test"}
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {},
        },
    },
    namespaced=False,
)
SUBJECTS = (
    *(CRONJOB, JOBS, CONTROLLERREVISIONS, DAEMONSETS, DEPLOYMENTS, REPLICASETS, STATEFULSETS),
    *(REPLICATIONCONTROLLERS, BUDGETS, SERVICES, INGRESSES, PODS, QUOTAS, REQUESTS, NODES),
    Subject(
        "EndpointSlice should support creating EndpointSlice API operations",
        "discovery.k8s.io/v1",
        "endpointslices",
        "EndpointSlice",
        {
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["1.2.3.4", "5.6.7.8"], "conditions": {}},
                {"addresses": ["2.2.3.4", "6.6.7.8"], "conditions": {}},
            ],
            "ports": None,
        },
    ),
    Subject(
        "Services should test the lifecycle of an Endpoint",
        "v1",
        "endpoints",
        "Endpoints",
        {"subsets": [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80}]}]},
    ),
    Subject(
        "IngressClass API should support creating IngressClass API operations",
        "networking.k8s.io/v1",
        "ingressclasses",
        "IngressClass",
        {"spec": {"controller": "example.com/controller"}},
        namespaced=False,
    ),
    Subject(
        "Netpol API should support creating NetworkPolicy API operations",
        "networking.k8s.io/v1",
        "networkpolicies",
        "NetworkPolicy",
        {
            "spec": {
                "podSelector": {"matchLabels": {"pod-name": "test-pod"}},
                "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"ns-name": "pod-b"}}}]}],
            }
        },
    ),
    Subject(
        "ConfigMap should run through a ConfigMap lifecycle",
        "v1",
        "configmaps",
        "ConfigMap",
        {"data": {"valueName": "value"}},
    ),
    Subject(
        "Secrets should patch a secret",
        "v1",
        "secrets",
        "Secret",
        {"data": {"key": "dmFsdWU="}, "type": "Opaque"},
    ),
    Subject(
        "PodTemplates should run the lifecycle of PodTemplates",
        "v1",
        "podtemplates",
        "PodTemplate",
        {"template": {"metadata": {"creationTimestamp": None}, "spec": POD_SPEC}},
    ),
    Subject(
        "Lease lease API should be available",
        "coordination.k8s.io/v1",
        "leases",
        "Lease",
        {
            "spec": {
                "holderIdentity": "holder",
                "leaseDurationSeconds": 30,
                "acquireTime": "2026-01-01T00:00:00.000000Z",
                "renewTime": "2026-01-01T00:00:05.000000Z",
                "leaseTransitions": 0,
            }
        },
    ),
    Subject(
        "RuntimeClass should support RuntimeClasses API operations",
        "node.k8s.io/v1",
        "runtimeclasses",
        "RuntimeClass",
        {"handler": "e2e-handler"},
        namespaced=False,
    ),
    Subject(
        "ServiceAccounts should run through the lifecycle of a ServiceAccount",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        {},
    ),
    Subject(
        "LimitRange should list, patch and delete a LimitRange by collection",
        "v1",
        "limitranges",
        "LimitRange",
        {
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "max": {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
                        "min": {"cpu": "50m", "memory": "100Mi", "ephemeral-storage": "100Gi"},
                        "default": {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"},
                        "defaultRequest": {"cpu": "100m", "memory": "200Mi", "ephemeral-storage": "200Gi"},
                    }
                ]
            }
        },
    ),
    Subject(
        "Events should manage the lifecycle of an event",
        "v1",
        "events",
        "Event",
        {
            "involvedObject": {"namespace": "default"},
            "reason": "Test",
            "message": "This is a test event",
            "type": "Normal",
            "count": 1,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "eventTime": None,
            "reportingComponent": "",
            "reportingInstance": "",
        },
    ),
    Subject(
        "Events API should ensure that an event can be fetched, patched, deleted, and listed",
        "events.k8s.io/v1",
        "events",
        "Event",
        {
            "eventTime": "2017-09-19T13:49:16.000000Z",
            "reportingController": "test-controller",
            "reportingInstance": "test-node",
            "action": "Do",
            "reason": "Test",
            "regarding": {"namespace": "default"},
            "note": "This is a test event",
            "type": "Normal",
            "deprecatedSource": {},
        },
    ),
    Subject(
        "SchedulerPreemption PriorityClass endpoints verify PriorityClass endpoints can be operated with "
        "different HTTP methods",
        "scheduling.k8s.io/v1",
        "priorityclasses",
        "PriorityClass",
        {"value": 1},
        namespaced=False,
    ),
)
