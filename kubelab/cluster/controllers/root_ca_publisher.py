"""The root CA publisher: every namespace has the certificate by which pods know the API server.

Source: kubernetes, pkg/controller/certificates/rootcacertpublisher/publisher.go.
"""

from collections.abc import Iterable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.service_accounts import namespace_key
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS, Key, Object, is_deleting, key_of

NAME = "kube-root-ca.crt"
DESCRIPTION = {
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints "
        "such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
        "distributions of Kubernetes clusters."
    )
}
_TERMINATING = 403


class RootCaPublisher:
    """Its keys are namespaces; *ca_pem* is what it publishes."""

    def __init__(
        self, api: Api, clock: Clock, namespaces: Informer, configmaps: Informer, ca_pem: bytes
    ) -> None:
        self._api = api
        self._clock = clock
        self._namespaces = namespaces
        self._configmaps = configmaps
        self._data = {"ca.crt": ca_pem.decode()}

    async def run(self) -> None:
        sources = [Source(self._namespaces), Source(self._configmaps, _published)]
        await Controller("root-ca-certificate-publisher", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> None:
        """Raises ApiError: the server refused; it is tried again."""
        namespace = self._namespaces.get(key)
        if namespace is None or is_deleting(namespace):
            return
        known = self._configmaps.get(Key(key.name, NAME))
        if known is None:
            await self._create(key.name)
        elif (known.get("data") or {}) != self._data or not _is_described(known):
            annotations = (known["metadata"].get("annotations") or {}) | DESCRIPTION
            metadata = known["metadata"] | {"annotations": annotations}
            await self._api.update(CONFIGMAPS, known | {"metadata": metadata, "data": self._data})

    async def _create(self, namespace: str) -> None:
        metadata = {"name": NAME, "namespace": namespace, "annotations": DESCRIPTION}
        try:
            await self._api.create(CONFIGMAPS, {"metadata": metadata, "data": self._data})
        except ApiError as refusal:
            if not (
                refusal.reason == "AlreadyExists" or refusal.is_not_found or refusal.code == _TERMINATING
            ):
                raise


def _published(configmap: Object) -> Iterable[Key]:
    return namespace_key(configmap) if key_of(configmap).name == NAME else ()


def _is_described(configmap: Object) -> bool:
    return DESCRIPTION.items() <= (configmap["metadata"].get("annotations") or {}).items()
