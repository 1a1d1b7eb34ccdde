"""Answers `ApiRequests` from the request log of the lab's API server."""

from kubelab.cluster.apiserver.request_log import RequestRecord
from kubelab.language import Text
from kubelab.lessons.answering.answer import look
from kubelab.lessons.checks.api_request import COMPONENT, ApiRequests
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen


@look.register
def _(question: ApiRequests, lab: LabPort) -> tuple[RequestRecord, ...] | Unseen:
    if (log := lab.requests()) is None:
        return Unseen(
            Text(
                "el API server de este cluster no enseña las peticiones que recibe",
                "this cluster's API server does not show the requests that it gets",
            )
        )
    wanted = question.verb, question.resource
    return tuple(
        record
        for record in log.recent
        if (record.verb, record.resource) == wanted and not record.user.startswith(COMPONENT)
    )
