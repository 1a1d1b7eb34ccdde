"""The tokens controller: fills secrets that ask for a service account's token, and removes orphaned ones.

Such a secret (type `kubernetes.io/service-account-token`) is made by people; no account gets one by itself.
Source: kubernetes, pkg/controller/serviceaccount/tokens_controller.go.
Left out: the removal of secrets from an account's list, to which nobody adds them any more.
"""

import base64
from collections.abc import Callable, Iterable

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import SECRETS, SERVICEACCOUNTS, Key, Object, key_of, uid_of

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"

Issue = Callable[[Object, Object], str]
"""From a service account and its secret to the token that the secret is to hold."""


class TokenSecretController:
    """Its keys are secrets; *secrets* needs to know those of `TYPE` alone."""

    def __init__(
        self, api: Api, clock: Clock, accounts: Informer, secrets: Informer, issue: Issue, ca_pem: bytes
    ) -> None:
        self._api = api
        self._clock = clock
        self._accounts = accounts
        self._secrets = secrets
        self._issue = issue
        self._ca_pem = ca_pem

    async def run(self) -> None:
        sources = [Source(self._secrets), Source(self._accounts, self._secrets_of)]
        await Controller("serviceaccount-token", self.reconcile, sources, clock=self._clock).run()

    def _secrets_of(self, account: Object) -> Iterable[Key]:
        namespace, name = key_of(account)
        return [key_of(each) for each in self._secrets.objects(namespace) if account_name(each) == name]

    async def reconcile(self, key: Key) -> None:
        """Raises ApiError: the server refused; it is tried again."""
        secret = self._secrets.get(key)
        if secret is None or secret.get("type") != TYPE or not account_name(secret):
            return
        account = await self._account(secret)
        if account is None:
            await self._delete(secret)
        elif (wanted := self._filled(account, secret)) != secret:
            await self._api.update(SECRETS, wanted)

    async def _account(self, secret: Object) -> Object | None:
        """Return the secret's account; asked for anew when it is not known, since the secret may be first."""
        key = Key(key_of(secret).namespace, account_name(secret))
        account = self._accounts.get(key)
        if account is None:
            try:
                account = await self._api.get(SERVICEACCOUNTS, *key)
            except ApiError as refusal:
                if not refusal.is_not_found:
                    raise
        uid = _annotations(secret).get(ACCOUNT_UID)
        return account if account and uid in (None, uid_of(account)) else None

    async def _delete(self, secret: Object) -> None:
        try:
            await self._api.delete(SECRETS, *key_of(secret), uid=uid_of(secret))
        except ApiError as refusal:
            if not (refusal.is_not_found or refusal.is_conflict):
                raise

    def _filled(self, account: Object, secret: Object) -> Object:
        data = dict(secret.get("data") or {})
        data["ca.crt"] = _encoded(self._ca_pem)
        data["namespace"] = _encoded(key_of(account).namespace.encode())
        if not data.get("token"):
            data["token"] = _encoded(self._issue(account, secret).encode())
        annotations = _annotations(secret) | {ACCOUNT_UID: uid_of(account)}
        return secret | {"metadata": secret["metadata"] | {"annotations": annotations}, "data": data}


def account_name(secret: Object) -> str:
    """Return the name of the account whose token *secret* is to hold; "" if it does not say."""
    return str(_annotations(secret).get(ACCOUNT_NAME, ""))


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
