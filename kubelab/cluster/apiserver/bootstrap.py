"""The objects that every cluster has from its first moment: the namespaces of the system.

Source: kubernetes, pkg/controlplane/controller/systemnamespaces.
"""

from kubelab.cluster.apiserver.namespaces import BOOTSTRAP
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NAMESPACES


async def bootstrap(registry: Registry) -> None:
    """Create what is missing; running it again changes nothing."""
    for name in BOOTSTRAP:
        try:
            await registry.create(registry.kinds[NAMESPACES], "", {"metadata": {"name": name}})
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
