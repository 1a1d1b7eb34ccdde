"""ServiceAccounts: their printed columns. They have no rules beyond their names.

Source: kubernetes, pkg/registry/core/serviceaccount/strategy.go, pkg/printers/internalversion/printers.go.
"""

from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver.columns import AGE, NAME, Column, age
from kubelab.cluster.objects import Object

COLUMNS = (NAME, Column("Secrets", documents="k8s.io/api/core/v1.ServiceAccount.secrets"), AGE)


def cells(account: Object, now: datetime) -> list[Any]:
    return [account["metadata"]["name"], len(account.get("secrets") or ()), age(account, now)]
