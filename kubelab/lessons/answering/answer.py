"""The two generic functions behind all answers; see the package."""

from functools import singledispatch
from typing import Any

from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen
from kubelab.lessons.question import Question

INTERVAL_S = 0.5  # From one answer of the far ones to asking again.


@singledispatch
def look(question: Question[Any], lab: LabPort) -> Any | Unseen:
    """Return the answer to a near question now; it must not wait for anything."""
    raise NotImplementedError(type(question).__name__)


@singledispatch
async def ask(question: Question[Any], lab: LabPort) -> Any | Unseen:
    """Return the answer to a far question."""
    raise NotImplementedError(type(question).__name__)
