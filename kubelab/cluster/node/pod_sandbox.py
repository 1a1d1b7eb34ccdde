"""What a pod's sandbox is to be: names, namespaces, DNS, sysctls. Pure.

Source: kubernetes, pkg/kubelet/kuberuntime/kuberuntime_sandbox.go (generatePodSandboxConfig),
pkg/kubelet/network/dns/dns.go (GetPodDNS), pkg/kubelet/kubelet_pods.go (GeneratePodHostNameAndDomain).
Left out: hostPort, runtime classes. A machine has no resolver of its own: with dnsPolicy Default nothing is
taken from it.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from kubelab.cluster.node.cgroups import pod_limits
from kubelab.cluster.node.config import KubeletConfig
from kubelab.cluster.objects import Object, key_of, uid_of
from kubelab.cluster.runtime.cri import Dns, HostAlias, SandboxSpec

HOSTNAME_LENGTH_MAX = 63
CLUSTER_DOMAIN = "cluster.local"
_NDOTS = "ndots:5"


def sandbox_spec(pod: Object, config: KubeletConfig) -> SandboxSpec:
    namespace, name = key_of(pod)
    spec = pod["spec"]
    host_network = bool(spec.get("hostNetwork"))
    hostname = config.node_name if host_network else hostname_of(pod)
    context = spec.get("securityContext") or {}
    return SandboxSpec(
        uid_of(pod),
        namespace,
        name,
        hostname,
        pod_limits(pod),
        host_network=host_network,
        node_address=config.address,
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        host_users=spec.get("hostUsers") is not False,
        share_process_namespace=bool(spec.get("shareProcessNamespace")),
        sysctls={each["name"]: each["value"] for each in context.get("sysctls") or ()},
        domain=_domain(spec, namespace),
        dns=dns_of(pod, config.cluster_dns),
        host_aliases=tuple(_host_alias(each) for each in spec.get("hostAliases") or ()),
    )


def hostname_of(pod: Object) -> str:
    name: str = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return name[:HOSTNAME_LENGTH_MAX].rstrip("-.")


def _domain(spec: Object, namespace: str) -> str:
    subdomain = spec.get("subdomain")
    return f"{subdomain}.{namespace}.svc.{CLUSTER_DOMAIN}" if subdomain else ""


def _host_alias(alias: Object) -> HostAlias:
    return HostAlias(alias["ip"], tuple(alias.get("hostnames") or ()))


def dns_of(pod: Object, cluster_dns: IPv4Address | None) -> Dns:
    """Return the pod's resolv.conf: by its dnsPolicy, with its dnsConfig on top."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy", "ClusterFirst")
    if spec.get("hostNetwork") and policy == "ClusterFirst":
        policy = "Default"
    base = Dns()
    if policy.startswith("ClusterFirst") and cluster_dns is not None:
        zones = (f"{pod['metadata']['namespace']}.svc.", "svc.", "")
        searches = tuple(f"{zone}{CLUSTER_DOMAIN}" for zone in zones)
        base = Dns((str(cluster_dns),), searches, (_NDOTS,))
    return _with_config(base, spec.get("dnsConfig") or {})


def _with_config(base: Dns, config: Object) -> Dns:
    """Source: appendDNSConfig, there."""
    return Dns(
        _unique((*base.servers, *(config.get("nameservers") or ()))),
        _unique((*base.searches, *(config.get("searches") or ()))),
        _options(base.options, config.get("options") or ()),
    )


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _options(base: Iterable[str], more: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Options of the same name: the later one counts."""
    named = {word.partition(":")[0]: word for word in base}
    for option in more:
        value = option.get("value")
        named[option["name"]] = option["name"] if value is None else f"{option['name']}:{value}"
    return tuple(named.values())
