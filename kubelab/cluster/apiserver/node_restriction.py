"""NodeRestriction: a kubelet touches its own Node, its own lease and the pods on it, and nothing that would
draw others to it.

Source: kubernetes, plugin/pkg/admission/noderestriction/admission.go,
staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go, pkg/auth/nodeidentifier/default.go.
Left out: claims for volumes, CSI and devices, which this cluster has not.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.caller import NODES as NODES_GROUP
from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.apiserver.listers import Lister
from kubelab.cluster.apiserver.service_account import MIRROR_ANNOTATION, names_secrets, projected_sources
from kubelab.cluster.objects import LEASES, NODES, PODS, SERVICEACCOUNTS, Object, Resource, labels_of

USER_PREFIX = "system:node:"
LEASE_NAMESPACE = "kube-node-lease"
_NODE_RESTRICTION = "node-restriction.kubernetes.io"
_OWN_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    }
)
_OWN_LABEL_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")


def node_name(user: User) -> str | None:
    """Return the name of the node that *user* is, None if it is none."""
    if user.name.startswith(USER_PREFIX) and NODES_GROUP in user.groups:
        return user.name.removeprefix(USER_PREFIX)
    return None


class NodeRestriction:
    def __init__(self, pods: Lister, nodes: Lister) -> None:
        self._pods = pods
        self._nodes = nodes
        self._rules: Mapping[Resource, Callable[[str, Attributes], Awaitable[None]]] = {
            PODS: self._pod,
            NODES: self._node,
            SERVICEACCOUNTS: self._token,
            LEASES: self._lease,
        }

    async def admit(self, attributes: Attributes) -> None:
        user = attributes.caller.user
        node = node_name(user)
        if node is None:
            return
        if not node:
            raise attributes.forbidden(f'could not determine node from user "{user.name}"')
        if rule := self._rules.get(attributes.kind.resource):
            await rule(node, attributes)

    async def validate(self, attributes: Attributes) -> None:
        """All was said before anything was changed."""

    async def _pod(self, node: str, attributes: Attributes) -> None:
        match attributes.subresource, attributes.operation:
            case "", "CREATE":
                await self._mirror(node, attributes)
            case "", "DELETE":
                _only_on(node, attributes, attributes.old, "delete pods")
            case "", operation:
                only = f'node "{node}" can only create and delete mirror pods'
                raise attributes.forbidden(f'unexpected operation "{operation}", {only}')
            case "status", "UPDATE":
                _check_status(node, attributes)
            case "eviction", "CREATE":
                pod = await self._live_pod(attributes, attributes.name)
                if pod["spec"].get("nodeName") != node:
                    why = f"node {node} can only evict pods with spec.nodeName set to itself"
                    raise attributes.forbidden(why)
            case "status" | "eviction", operation:
                raise attributes.forbidden(f'unexpected operation "{operation}"')
            case subresource, _:
                why = (
                    f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are allowed"
                )
                raise attributes.forbidden(why)

    async def _live_pod(self, attributes: Attributes, name: str) -> Object:
        pod = await self._pods.live(attributes.namespace, name)
        if pod is None:
            raise refusals.not_found(PODS, name)
        return pod

    async def _mirror(self, node: str, attributes: Attributes) -> None:
        pod = attributes.new or {}
        for why in mirror_faults(node, pod):
            raise attributes.forbidden(why)
        (owner,) = pod["metadata"]["ownerReferences"]
        stored = await self._nodes.live("", node)
        if stored is None:
            raise refusals.not_found(NODES, node)
        if owner.get("uid") != (uid := stored["metadata"]["uid"]):
            raise attributes.forbidden(f"node {node} UID mismatch: expected {owner.get('uid')} got {uid}")

    async def _node(self, node: str, attributes: Attributes) -> None:
        if attributes.name != node:
            why = f'node "{node}" is not allowed to modify node "{attributes.name}"'
            raise attributes.forbidden(why)
        if attributes.new is None:
            return
        if attributes.old is None:
            if refused := forbidden_labels(labels_of(attributes.new), {}):
                listed = ", ".join(refused)
                why = f'node "{node}" is not allowed to set the following labels: {listed}'
                raise attributes.forbidden(why)
            return
        _check_node_update(node, attributes, attributes.new, attributes.old)

    async def _token(self, node: str, attributes: Attributes) -> None:
        """A kubelet asks for tokens for the pods that run on it, and for none else."""
        if attributes.operation != "CREATE" or attributes.subresource != "token":
            return
        bound = ((attributes.new or {}).get("spec") or {}).get("boundObjectRef") or {}
        if (bound.get("apiVersion"), bound.get("kind")) != ("v1", "Pod") or not bound.get("name"):
            raise attributes.forbidden("node requested token not bound to a pod")
        if not bound.get("uid"):
            raise attributes.forbidden("node requested token with a pod binding without a uid")
        pod = await self._live_pod(attributes, bound["name"])
        if pod["metadata"]["uid"] != bound["uid"]:
            raise attributes.forbidden(
                f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
        if pod["spec"].get("nodeName") != node:
            raise attributes.forbidden("node requested token bound to a pod scheduled on a different node")

    async def _lease(self, node: str, attributes: Attributes) -> None:
        if attributes.namespace != LEASE_NAMESPACE:
            why = f'can only access leases in the "{LEASE_NAMESPACE}" system namespace'
            raise attributes.forbidden(why)
        if attributes.name != node:
            why = "can only access node lease with the same name as the requesting node"
            raise attributes.forbidden(why)


def _only_on(node: str, attributes: Attributes, pod: Object | None, what: str) -> None:
    if pod is not None and pod["spec"].get("nodeName") != node:
        raise attributes.forbidden(f'node "{node}" can only {what} with spec.nodeName set to itself')


def _check_status(node: str, attributes: Attributes) -> None:
    new, old = attributes.new or {}, attributes.old or {}
    _only_on(node, attributes, old, "update pod status for pods")
    if labels_of(new) != labels_of(old):
        raise attributes.forbidden(f'node "{node}" cannot update labels through pod status')


def _check_node_update(node: str, attributes: Attributes, new: Object, old: Object) -> None:
    taints = [((each.get("spec") or {}).get("taints") or []) for each in (new, old)]
    if taints[0] != taints[1]:
        raise attributes.forbidden(f'node "{node}" is not allowed to modify taints')
    if refused := forbidden_labels(labels_of(new), labels_of(old)):
        raise attributes.forbidden(f"is not allowed to modify labels: {', '.join(refused)}")


def mirror_faults(node: str, pod: Object) -> Iterable[str]:
    """Yield why a kubelet may not create *pod*: it shows what it runs by itself, and owns it."""
    metadata, spec = pod["metadata"], pod["spec"]
    create = f'node "{node}" can only create'
    if MIRROR_ANNOTATION not in (metadata.get("annotations") or {}):
        yield f'pod does not have "{MIRROR_ANNOTATION}" annotation, {create} mirror pods'
    if spec.get("nodeName") != node:
        yield f"{create} pods with spec.nodeName set to itself"
    owners = metadata.get("ownerReferences") or []
    if len(owners) > 1:
        yield f"{create} pods with a single owner reference set to itself"
    of = [(owner.get("apiVersion"), owner.get("kind"), owner.get("name")) for owner in owners]
    if of != [("v1", "Node", node)]:
        yield f"{create} pods with an owner reference set to itself"
    elif not owners[0].get("controller"):
        yield f"{create} pods with a controller owner reference set to itself"
    elif owners[0].get("blockOwnerDeletion"):
        yield f'node "{node}" must not set blockOwnerDeletion on an owner reference'
    for what, names in _referenced(spec):
        if names:
            yield f'node "{node}" can not create pods that reference {what}'


def _referenced(spec: Object) -> Iterable[tuple[str, bool]]:
    volumes, sources = spec.get("volumes") or (), list(projected_sources(spec))
    yield "a service account", bool(spec.get("serviceAccountName"))
    yield "secrets", names_secrets(spec)
    yield "configmaps", any("configMap" in each for each in (*volumes, *sources)) or _reads_configmaps(spec)
    yield "clustertrustbundles", any("clusterTrustBundle" in each for each in sources)
    yield "persistentvolumeclaims", any("persistentVolumeClaim" in each for each in volumes)


def _reads_configmaps(spec: Object) -> bool:
    for part in ("containers", "initContainers"):
        for container in spec.get(part) or ():
            if any("configMapRef" in source for source in container.get("envFrom") or ()):
                return True
            if any("configMapKeyRef" in (each.get("valueFrom") or {}) for each in container.get("env") or ()):
                return True
    return False


def forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Return the labels by which a node would draw pods to it that are not meant for it."""
    modified = [key for key in new.keys() | old.keys() if new.get(key) != old.get(key)]
    return sorted(key for key in modified if not _may_set(key))


def _may_set(label: str) -> bool:
    namespace = label.rpartition("/")[0]
    if _is_within(namespace, _NODE_RESTRICTION):
        return False
    if not any(_is_within(namespace, each) for each in ("kubernetes.io", "k8s.io")):
        return True
    return label in _OWN_LABELS or any(_is_within(namespace, each) for each in _OWN_LABEL_NAMESPACES)


def _is_within(namespace: str, domain: str) -> bool:
    return namespace == domain or namespace.endswith(f".{domain}")
