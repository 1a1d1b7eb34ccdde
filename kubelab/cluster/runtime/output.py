"""What a container writes: into its log, and to those who are attached to it.

Source: containerd, internal/cri/io/container_io.go and pkg/ioutil/writer_group.go. Who is attached and reads
slowly slows the container down, as there: nothing that it writes is lost to him. Who has hung up is
forgotten.
"""

import os
import time

from kubelab.cluster.runtime.log_file import LogFile
from kubelab.cluster.runtime.logs import LineSplitter
from kubelab.cluster.runtime.poller import READ, WRITE, Poller

READ_BYTES = 65536
# More than a pipe holds: at its end no process of the container writes any more, but one that escaped it may.
LAST_READS_MAX = 32


class Follower:
    """Somebody attached to one stream: the write end of a pipe."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.rest = b""
        self.last = False

    def write(self, chunk: bytes) -> bool:
        """Pass on what can be; the rest is kept. Return whether he is still there."""
        self.rest += chunk
        try:
            while self.rest:
                self.rest = self.rest[os.write(self.fd, self.rest) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return not self.last


class Stream:
    """One stream of a container, as it is read: a pipe's read end, or the master of its terminal."""

    def __init__(self, fd: int, name: str, log: LogFile, poller: Poller) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._splitter = LineSplitter(name)
        self._log = log
        self._poller = poller
        self._followers: dict[int, Follower] = {}

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def watch(self) -> None:
        self._poller.watch(self._fd, READ, self._copy_some)

    def attach(self, fd: int) -> None:
        """Pass on to *fd*, which is closed at the end, all that is written from now on."""
        if not self.is_open:
            os.close(fd)
            return
        follower = Follower(fd)
        self._followers[fd] = follower

    def finish(self) -> None:
        """Copy what the ended container has left, and close. Attached ones get the rest as they read it."""
        for _ in range(LAST_READS_MAX):
            if not self._copy():
                break
        self._close()

    def discard(self) -> None:
        """Close without reading: the container has never run."""
        if self.is_open:
            os.close(self._fd)
            self._fd = -1

    def _copy_some(self) -> None:
        self._copy()

    def _copy(self) -> bool:
        """Copy what there is, up to one read; return whether there may be more."""
        if not self.is_open:
            return False
        try:
            chunk = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal open any more.
            chunk = b""
        if not chunk:
            self._close()
            return False
        self._log.write(self._splitter.feed(chunk, time.time_ns()))
        for follower in tuple(self._followers.values()):
            self._pass_on(follower, chunk)
        return True

    def _pass_on(self, follower: Follower, chunk: bytes = b"") -> None:
        if not follower.write(chunk):
            self._drop(follower)
        elif follower.rest:
            self._poller.forget(self._fd)
            self._poller.watch(follower.fd, WRITE, lambda: self._pass_on(follower))
            return
        else:
            self._poller.forget(follower.fd)
        if self.is_open and not any(each.rest for each in self._followers.values()):
            self.watch()

    def _drop(self, follower: Follower) -> None:
        self._poller.forget(follower.fd)
        self._followers.pop(follower.fd, None)
        os.close(follower.fd)

    def _close(self) -> None:
        if not self.is_open:
            return
        self._log.write(self._splitter.finish(time.time_ns()))
        self._poller.forget(self._fd)
        os.close(self._fd)
        self._fd = -1
        for follower in tuple(self._followers.values()):
            follower.last = True
            if not follower.rest:
                self._drop(follower)


class Output:
    """A container's streams and its log, which goes with the last of them."""

    def __init__(self, log: LogFile, poller: Poller) -> None:
        self.log = log
        self._poller = poller
        self._streams: dict[str, Stream] = {}

    def open_pipe(self, name: str) -> int:
        """Return the write end for the container."""
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        self.add(read_end, name)
        return write_end

    def add(self, fd: int, name: str = "stdout") -> None:
        self._streams[name] = Stream(fd, name, self.log, self._poller)

    def watch(self) -> None:
        for stream in self._streams.values():
            stream.watch()

    def attach(self, name: str, fd: int) -> None:
        """See `Stream.attach`; a terminal has no stream of its own for errors."""
        if name in self._streams:
            self._streams[name].attach(fd)
        else:
            os.close(fd)

    def finish(self) -> None:
        for stream in self._streams.values():
            stream.finish()
        self.log.close()

    def discard(self) -> None:
        for stream in self._streams.values():
            stream.discard()
        self.log.close()
