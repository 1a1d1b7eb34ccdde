"""Take back what an earlier lab, ended by SIGKILL or a power cut, has left behind."""

import asyncio

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.linux.journal import remains, undo


async def sweep(directory: LabDirectory) -> tuple[str, ...]:
    """Undo the journal of *directory*, whose lock the caller holds; return what was still there.

    Raises:
        LabError: something could not be taken back.
    """
    left = remains(directory.journal)
    await asyncio.to_thread(undo, directory.journal)
    return left
