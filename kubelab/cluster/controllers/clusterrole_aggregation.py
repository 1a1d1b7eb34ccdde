"""The aggregation controller: fills ClusterRoles that gather the rules of others, by label.

`aggregated` decides, `reconcile` acts.
Source: kubernetes, pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go;
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles.
"""

from collections.abc import Iterable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CLUSTERROLES, Key, Object, key_of, labels_of
from kubelab.cluster.selectors import label_selector


def aggregated(role: Object, roles: Iterable[Object]) -> list[Object]:
    """Return the rules that *role* gathers of *roles*, each once."""
    by_name = sorted(roles, key=lambda each: key_of(each).name)
    rules: list[Object] = []
    for selector in map(label_selector, role["aggregationRule"].get("clusterRoleSelectors") or ()):
        for each in by_name:
            if key_of(each) != key_of(role) and selector.matches(labels_of(each)):
                rules += [rule for rule in each.get("rules") or () if rule not in rules]
    return rules


class ClusterRoleAggregationController:
    def __init__(self, api: Api, clock: Clock, roles: Informer) -> None:
        self._api = api
        self._clock = clock
        self._roles = roles

    async def run(self) -> None:
        sources = [Source(self._roles, self._gathering)]
        await Controller("clusterrole-aggregation", self.reconcile, sources, clock=self._clock).run()

    def _gathering(self, _: Object) -> Iterable[Key]:
        """Any role may be one that others gather."""
        return [key_of(role) for role in self._roles.objects() if role.get("aggregationRule")]

    async def reconcile(self, key: Key) -> None:
        """Raises ApiError: the server refused; it is tried again."""
        role = self._roles.get(key)
        if role is None or not role.get("aggregationRule"):
            return
        rules = aggregated(role, self._roles.objects())
        if rules == (role.get("rules") or []):
            return
        try:
            await self._api.patch(CLUSTERROLES, *key, {"rules": rules})
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise
