"""Work that something else may overtake."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def done_before(end: Coroutine[Any, Any, object], work: Coroutine[Any, Any, object]) -> bool:
    """Do *work* unless *end* comes first, which cancels it; return whether it was done.

    What *work* raises comes out.
    """
    ending, working = asyncio.ensure_future(end), asyncio.ensure_future(work)
    try:
        await asyncio.wait({ending, working}, return_when=asyncio.FIRST_COMPLETED)
        is_done = working.done()
    finally:
        for task in (ending, working):
            task.cancel()
        await asyncio.wait({ending, working})
    if not working.cancelled():
        working.result()
    return is_done
