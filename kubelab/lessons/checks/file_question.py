"""What is at a path, as a process or a machine sees it: asked only while a check wants to know.

Source: path_resolution(7), inode(7).
"""

from dataclasses import dataclass
from typing import Literal

from kubelab.lessons.question import Question

FileType = Literal["file", "directory", "link", "fifo", "socket", "device"]

CONTENT_BYTES_MAX = 65536


@dataclass(frozen=True, slots=True)
class FileSeen:
    """`target` is where a symbolic link leads, None of what is none. All else is of what the link leads to in
    the end: `type` is "" if nothing is there. `content` are a regular file's first 64 KiB, None of others."""

    type: str = ""
    target: str | None = None
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size_bytes: int = 0
    content: str | None = None

    @property
    def exists(self) -> bool:
        """Tell whether the name is taken, be it by a link that leads nowhere."""
        return bool(self.type) or self.target is not None


@dataclass(frozen=True, slots=True)
class FileAt(Question[FileSeen]):
    """`path` from the root directory of a process, by its pid on the machine, or of the machine (0). A pid
    is used again: start time and mount namespace tell whether it is the same process."""

    machine: str
    path: str
    pid: int = 0
    start_ticks: int = 0
    mount_namespace: int = 0
    with_content: bool = False
