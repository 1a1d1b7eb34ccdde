"""The admission plug-ins of a cluster, in upstream's order.

Source: kubernetes, pkg/kubeapiserver/options/plugins.go (AllOrderedPlugins, the ones that are on by default).
Left out: those for storage and ingress classes and for device and node features, which this cluster has not;
webhooks and policies.
"""

from collections.abc import Container

from kubelab.cluster.apiserver.admission import Plugin
from kubelab.cluster.apiserver.certificate_signers import certificate_approval, certificate_signing
from kubelab.cluster.apiserver.certificate_subject import CertificateSubjectRestriction
from kubelab.cluster.apiserver.default_tolerations import DefaultTolerationSeconds
from kubelab.cluster.apiserver.limit_ranger import LimitRanger
from kubelab.cluster.apiserver.listers import Lister, Listers
from kubelab.cluster.apiserver.namespace_lifecycle import NamespaceLifecycle
from kubelab.cluster.apiserver.node_restriction import NodeRestriction
from kubelab.cluster.apiserver.node_taint import NodeTaint
from kubelab.cluster.apiserver.pod_security import PodSecurity
from kubelab.cluster.apiserver.priority import Priority
from kubelab.cluster.apiserver.registry import Registry, generated_suffix
from kubelab.cluster.apiserver.resource_quota import ResourceQuota
from kubelab.cluster.apiserver.runtime_class import RuntimeClassAdmission
from kubelab.cluster.apiserver.service_account import ServiceAccountAdmission
from kubelab.cluster.objects import (
    LIMITRANGES,
    NAMESPACES,
    NODES,
    PODS,
    PRIORITYCLASSES,
    RESOURCEQUOTAS,
    RUNTIMECLASSES,
    SERVICEACCOUNTS,
)


def plugins(registry: Registry, listers: Listers) -> dict[str, Plugin]:
    """Return all plug-ins by upstream's names."""
    # Not followed: every pod in memory twice, for the few requests of kubelets that need one.
    pods, nodes = Lister(registry, PODS), Lister(registry, NODES)
    accounts = listers[SERVICEACCOUNTS]
    return {
        "NamespaceLifecycle": NamespaceLifecycle(listers[NAMESPACES]),
        "LimitRanger": LimitRanger(listers[LIMITRANGES]),
        "ServiceAccount": ServiceAccountAdmission(accounts, registry.clock, generated_suffix),
        "NodeRestriction": NodeRestriction(pods, nodes),
        "TaintNodesByCondition": NodeTaint(),
        "PodSecurity": PodSecurity(listers[NAMESPACES], pods),
        "Priority": Priority(listers[PRIORITYCLASSES]),
        "DefaultTolerationSeconds": DefaultTolerationSeconds(),
        "RuntimeClass": RuntimeClassAdmission(listers[RUNTIMECLASSES]),
        "CertificateApproval": certificate_approval(registry.access.authorizer.authorize),
        "CertificateSigning": certificate_signing(registry.access.authorizer.authorize),
        "CertificateSubjectRestriction": CertificateSubjectRestriction(),
        "ResourceQuota": ResourceQuota(registry, listers[RESOURCEQUOTAS]),
    }


def install(registry: Registry, *, disabled: Container[str] = ()) -> Listers:
    """Have *registry* ask the plug-ins, but for those *disabled*; `run` what is returned for its speed."""
    listers = Listers(registry)
    chosen = [plugin for name, plugin in plugins(registry, listers).items() if name not in disabled]
    registry.admission.plugins[:0] = chosen  # What the registry itself checks comes last.
    return listers
