"""Warnings about one request that come up deep inside it, collected for the answer's headers.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/warning/context.go (AddWarning).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[str] | None] = ContextVar("request_warnings", default=None)


def warn(text: str) -> None:
    """Tell the client *text*, once; who asks in process is not told."""
    warnings = _collected.get()
    if warnings is not None and text not in warnings:
        warnings.append(text)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect what the block warns of."""
    warnings: list[str] = []
    token = _collected.set(warnings)
    try:
        yield warnings
    finally:
        _collected.reset(token)
