"""Who the member is whose directory lies there: its log says so.

A cluster's founders are numbered by their names; who has joined later, or begins with a restored snapshot,
has another number, and maybe another cluster.
"""

from pathlib import Path

from kubelab.cluster.store.wal import Identity, Wal, has_log


def identity_in(directory: Path) -> Identity | None:
    """Return whose *directory* it is; None: nobody's yet.

    Raises:
        LabError: its log is damaged, or in use.
    """
    if not has_log(directory / "wal"):
        return None
    wal, _ = Wal.open(directory / "wal")
    wal.close()
    return wal.identity
