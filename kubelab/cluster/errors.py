"""The errors that reach people, and those of the API. Everything else that is raised is a bug of ours."""

import errno
import os
from collections.abc import Mapping
from typing import Any

from kubelab.language import Text


class LabError(Exception):
    """Something that a person can mend: one sentence that says what happened, on what, and what to do."""

    def __init__(self, sentence: Text | str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return str(self.sentence)


class KernelError(LabError):
    """A system call was refused: carries the operation, what it was on, and the errno."""

    def __init__(self, operation: str, target: object, errno_: int) -> None:
        name = errno.errorcode.get(errno_, str(errno_))
        super().__init__(f"{operation} {target}: {os.strerror(errno_)} ({name})")
        self.operation = operation
        self.target = target
        self.errno = errno_


class ApiError(LabError):
    """A refused API request, as the `Status` object that a client sees.

    With *continue_* a list can go on whose pages are too old to be of one version.
    Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        continue_: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.continue_ = continue_

    def status(self) -> dict[str, Any]:
        """Return the `Status`, its keys in upstream's order (some clients compare the bytes)."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_} if self.continue_ else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:  # Upstream has none for what it did not foresee.
            status["reason"] = self.reason
        if self.details:
            status["details"] = self.details
        return status | {"code": self.code}

    @property
    def is_not_found(self) -> bool:
        return self.code == 404

    @property
    def is_conflict(self) -> bool:
        return self.reason == "Conflict"
