"""Limits of one process's resources, by the names of getrlimit(2).

Source: OCI runtime specification, config.md, POSIX process, rlimits.
"""

import resource
from collections.abc import Iterable

from kubelab.cluster.errors import KernelError
from kubelab.cluster.runtime.config import ConfigError, Rlimit
from kubelab.language import Text

_UNLIMITED = (1 << 64) - 1


def apply_rlimits(rlimits: Iterable[Rlimit]) -> None:
    """Set the limits for this process and what it executes.

    Raises:
        ConfigError: there is no such limit.
        KernelError: the kernel refuses one.
    """
    for limit in rlimits:
        number = getattr(resource, limit.type, None)
        if not isinstance(number, int) or not limit.type.startswith("RLIMIT_"):
            raise ConfigError(_UNKNOWN.format(type=limit.type))
        try:
            resource.setrlimit(number, (_value(limit.soft), _value(limit.hard)))
        except (OSError, ValueError) as error:
            errno_ = error.errno if isinstance(error, OSError) else None
            raise KernelError("setrlimit", limit.type, errno_ or 1) from None


def _value(limit: int) -> int:
    return resource.RLIM_INFINITY if limit in (_UNLIMITED, -1) else limit


_UNKNOWN = Text(
    es="no hay ningún límite {type}: los nombres son los de getrlimit(2), como RLIMIT_NOFILE",
    en="there is no limit {type}: the names are those of getrlimit(2), as RLIMIT_NOFILE",
)
