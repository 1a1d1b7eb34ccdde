"""The `Api` of a component in this process that has a name of its own: it is asked whether it may, first.

So the scheduler can do through it what `system:kube-scheduler` can do over HTTPS, and nothing else.
"""

from kubelab.cluster.apiserver.authorization.requests import of_resource
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.objects import Resource


def authorized(registry: Registry, caller: Caller) -> LocalApi:
    """Return the cluster as *caller* may use it; what it may not do is refused with 403."""
    authorizer, user = registry.access.authorizer, caller.user

    def check(
        verb: str,
        resource: Resource,
        namespace: str,
        name: str = "",
        subresource: str = "",
        field_selector: str = "",
    ) -> None:
        authorizer.check(of_resource(user, verb, resource, (namespace, name, subresource), field_selector))

    return LocalApi(registry, caller, check)
