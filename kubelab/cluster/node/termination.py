"""Why a container has ended, in its own words: its message, or the end of its log.

Source: kubernetes, pkg/kubelet/kuberuntime/kuberuntime_container.go (getTerminationMessage); https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/.
Left out: the limit of 12 KiB for all containers of a pod.
"""

import os
from pathlib import Path

from kubelab.cluster.objects import Object

LOG_LINES_MAX = 80
LOG_BYTES_MAX = 2048
_TAIL_BYTES = 64 * 1024


def falls_back_to_log(container: Object, exit_code: int, message: str) -> bool:
    """Tell whether the end of the log is to be taken for a message that was not left."""
    policy = container.get("terminationMessagePolicy")
    return policy == "FallbackToLogsOnError" and exit_code != 0 and not message


def end_of_log(path: Path) -> str:
    """Return the last lines of the log at *path*, as they were written; "" if there is none."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
    except OSError:
        return ""
    lines = tail.split(b"\n")[1 if size > _TAIL_BYTES else 0 :]
    text = b"".join(map(_text, lines[-LOG_LINES_MAX - 1 :]))
    return text[-LOG_BYTES_MAX:].decode(errors="replace")


def _text(line: bytes) -> bytes:
    """Return what a line of the log says: `<time> <stream> F|P <text>`."""
    parts = line.split(b" ", 3)
    if len(parts) < 4:
        return b""
    return parts[3] + (b"\n" if parts[2] == b"F" else b"")
