"""One request while it is answered: what becomes its line in the request log.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/filters/audit.go.
"""

import time
import uuid
from datetime import datetime

from kubelab.cluster.apiserver.caller import User
from kubelab.cluster.apiserver.plain_request import PlainRequest
from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord, Stage
from kubelab.cluster.apiserver.routes import Route
from kubelab.cluster.streams import web

_NOBODY = User("system:anonymous", ("system:unauthenticated",))


class Exchange:
    """`user`, `impersonator`, `route` and `reason` are filled in as they become known."""

    __slots__ = (
        "_began_s",
        "_id",
        "_log",
        "_received",
        "_request",
        "_revision",
        "impersonator",
        "reason",
        "route",
        "user",
    )

    def __init__(
        self, request: web.BaseRequest | PlainRequest, received: datetime, revision: int, log: RequestLog
    ) -> None:
        self._request = request
        self._received = received
        self._revision = revision
        self._log = log
        self._id = request.headers.get("Audit-ID") or str(uuid.uuid4())
        self._began_s = time.perf_counter()
        self.user = _NOBODY
        self.impersonator: User | None = None
        self.route: Route | None = None
        self.reason = ""

    def began(self, code: int) -> None:
        """Tell that a long answer has begun."""
        self._tell("ResponseStarted", code, 0)

    def ended(self, code: int, bytes_sent: int = 0) -> None:
        self._tell("ResponseComplete", code, bytes_sent)

    def _tell(self, stage: Stage, code: int, bytes_sent: int) -> None:
        request, route = self._request, self.route
        asking = self.impersonator or self.user
        resource = route.kind.resource if route else None
        self._log.add(
            RequestRecord(
                id=self._id,
                stage=stage,
                received=self._received,
                duration_s=time.perf_counter() - self._began_s,
                verb=route.verb if route else request.method.lower(),
                uri=request.path_qs,
                group=resource.group if resource else "",
                version=resource.version if resource else "",
                resource=resource.plural if resource else "",
                subresource=route.subresource if route else "",
                namespace=route.namespace if route else "",
                name=route.name if route else "",
                user=asking.name,
                groups=asking.groups,
                impersonated=self.user.name if self.impersonator else "",
                user_agent=request.headers.get("User-Agent", ""),
                source=request.remote or "",
                code=code,
                reason=self.reason,
                bytes_sent=bytes_sent,
                revision=self._revision,
            )
        )
