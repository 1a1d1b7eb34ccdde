"""The service account controller: every namespace has an account named `default`.

Source: kubernetes, pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from collections.abc import Iterable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import SERVICEACCOUNTS, Key, Object, is_deleting, key_of

DEFAULT = "default"
_TERMINATING = 403  # The namespace began to end meanwhile.


class ServiceAccountController:
    """Its keys are namespaces."""

    def __init__(self, api: Api, clock: Clock, namespaces: Informer, accounts: Informer) -> None:
        self._api = api
        self._clock = clock
        self._namespaces = namespaces
        self._accounts = accounts

    async def run(self) -> None:
        sources = [Source(self._namespaces), Source(self._accounts, namespace_key)]
        await Controller("serviceaccount", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> None:
        """Raises ApiError: the server refused; it is tried again."""
        namespace = self._namespaces.get(key)
        if namespace is None or is_deleting(namespace) or self._accounts.get(Key(key.name, DEFAULT)):
            return
        account = {"metadata": {"name": DEFAULT, "namespace": key.name}}
        try:
            await self._api.create(SERVICEACCOUNTS, account)
        except ApiError as refusal:
            if not (
                refusal.reason == "AlreadyExists" or refusal.is_not_found or refusal.code == _TERMINATING
            ):
                raise


def namespace_key(obj: Object) -> Iterable[Key]:
    """Return the key of the namespace that *obj* is in."""
    return (Key("", key_of(obj).namespace),)
