"""Who waits for what: where each task of the loop stands, for a test that has waited too long."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import AsyncGeneratorType
from typing import Any


def who_waits() -> str:
    """Return the calls in which the loop's tasks stand still, the innermost last, and in each how many do."""
    told = Counter(" > ".join(_calls(task.get_coro())) for task in asyncio.all_tasks())
    return "\n".join(f"{count} x {calls}" for calls, count in sorted(told.items()))


def _calls(awaited: Any) -> Iterator[str]:
    while awaited is not None:
        frame = next((f for f in (getattr(awaited, f"{kind}_frame", None) for kind in _KINDS) if f), None)
        if frame is not None:
            yield f"{frame.f_code.co_qualname} {frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        awaited = _awaited_by(awaited)


def _awaited_by(awaited: Any) -> Any:
    """Return what *awaited* waits for; an asynchronous generator is behind an object that does not tell."""
    for name in ("cr_await", "ag_await", "gi_yieldfrom"):
        if (found := getattr(awaited, name, None)) is not None:
            return found
    return next((each for each in gc.get_referents(awaited) if isinstance(each, AsyncGeneratorType)), None)


_KINDS = ("cr", "ag", "gi")


@contextmanager
def told_after(limit_s: float, *tellers: Callable[[], object]) -> Iterator[None]:
    """If the block lasts longer than *limit_s*, print who waits then, and what the *tellers* return."""

    def tell() -> None:
        print(f"after {limit_s:g} s", *(teller() for teller in (*tellers, who_waits)), sep="\n")

    timer = asyncio.get_running_loop().call_later(limit_s, tell)
    try:
        yield
    finally:
        timer.cancel()
