"""The host's mounts, for tests that leave none behind: but for what other workers' tests have mounted
in their own temporary directories meanwhile."""

from kubelab.cluster.linux.mounts import MountEntry, mount_table

_OF_TESTS = "/pytest-of-"


def host_mounts() -> tuple[MountEntry, ...]:
    return tuple(entry for entry in mount_table() if _OF_TESTS not in entry.target)
