"""Take back what an earlier lab, ended by SIGKILL or a power cut, has left behind; and what labs keep."""

import asyncio
import shutil

from kubelab.cluster.errors import KernelError
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


def forget(directory: LabDirectory) -> bool:
    """Remove all that the masters of the cluster in *directory* have kept; return whether there was any.

    Raises:
        LabError: it could not be removed.
    """
    if not directory.masters.exists():
        return False
    try:
        shutil.rmtree(directory.masters)
    except OSError as error:
        raise KernelError("remove", error.filename, error.errno or 0) from error
    return True
