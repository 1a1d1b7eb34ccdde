"""An object of each kind that is kept, as small as they come."""

import kind_manifests
from api_manifests import configmap, deployment, node, pod
from kind_manifests import cluster_wide, named

from kubelab.cluster.objects import Object

NAME = "shop"


def objects() -> dict[str, Object]:
    """Return an object of each kind that is kept, all of one name, by the path of its collection."""
    core = "api/v1/namespaces/default"
    rbac, workload = "apis/rbac.authorization.k8s.io/v1", kind_manifests.workload
    selected = {"selector": {"app": "shop"}}
    made = {
        "api/v1/namespaces": cluster_wide(),
        "api/v1/nodes": node(),
        f"{core}/pods": pod(),
        f"{core}/configmaps": configmap(),
        f"{core}/secrets": named(stringData={"key": "value"}),
        f"{core}/services": named(spec={"ports": [{"port": 80}]} | selected),
        f"{core}/endpoints": named(),
        f"{core}/serviceaccounts": named(),
        f"{core}/events": named(involvedObject={"kind": "Pod", "name": "shop", "namespace": "default"}),
        f"{core}/resourcequotas": named(spec={"hard": {"configmaps": "1000000"}}),
        f"{core}/limitranges": named(spec={"limits": [{"type": "Pod", "max": {"cpu": "64"}}]}),
        f"{core}/podtemplates": named(template=kind_manifests.template()),
        f"{core}/replicationcontrollers": named(spec=selected | {"template": kind_manifests.template()}),
        "apis/apps/v1/namespaces/default/deployments": deployment(),
        "apis/apps/v1/namespaces/default/replicasets": workload(),
        "apis/apps/v1/namespaces/default/statefulsets": workload(serviceName="shop"),
        "apis/apps/v1/namespaces/default/daemonsets": workload(),
        "apis/apps/v1/namespaces/default/controllerrevisions": named(revision=1, data={"a": 1}),
        "apis/batch/v1/namespaces/default/jobs": kind_manifests.job(),
        "apis/batch/v1/namespaces/default/cronjobs": kind_manifests.cronjob(),
        "apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": kind_manifests.autoscaler(),
        "apis/policy/v1/namespaces/default/poddisruptionbudgets": kind_manifests.budget(),
        "apis/scheduling.k8s.io/v1/priorityclasses": cluster_wide(value=1),
        "apis/coordination.k8s.io/v1/namespaces/default/leases": named(spec={"holderIdentity": "me"}),
        "apis/discovery.k8s.io/v1/namespaces/default/endpointslices": named(addressType="IPv4", endpoints=[]),
        "apis/networking.k8s.io/v1/namespaces/default/networkpolicies": kind_manifests.network_policy(),
        "apis/networking.k8s.io/v1/namespaces/default/ingresses": kind_manifests.ingress(),
        "apis/networking.k8s.io/v1/ingressclasses": cluster_wide(spec={"controller": "example.com/a"}),
        f"{rbac}/namespaces/default/roles": named(rules=[]),
        f"{rbac}/namespaces/default/rolebindings": kind_manifests.role_binding(),
        f"{rbac}/clusterroles": cluster_wide(rules=[]),
        f"{rbac}/clusterrolebindings": kind_manifests.cluster_role_binding(),
        "apis/node.k8s.io/v1/runtimeclasses": cluster_wide(handler="shop"),
        "apis/certificates.k8s.io/v1/certificatesigningrequests": kind_manifests.signing_request(),
    }
    return {path: obj | {"metadata": obj["metadata"] | {"name": NAME}} for path, obj in made.items()}
