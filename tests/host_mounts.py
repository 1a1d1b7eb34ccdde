"""The host's mounts, for tests that leave none behind: but for what others have mounted meanwhile in
temporary directories of theirs, other workers' tests or somebody on the same host."""

import tempfile

from kubelab.cluster.linux.mounts import MountEntry, mount_table

_OF_TESTS = "/pytest-of-"
_TEMPORARY = f"{tempfile.gettempdir()}/"
_OURS = ("kl-", "kubelab")  # What else is made there by tests and by the program.


def host_mounts() -> tuple[MountEntry, ...]:
    return tuple(entry for entry in mount_table() if not _is_of_others(entry.target))


def _is_of_others(target: str) -> bool:
    in_temporary = target.startswith(_TEMPORARY) and not target.removeprefix(_TEMPORARY).startswith(_OURS)
    return in_temporary or _OF_TESTS in target
