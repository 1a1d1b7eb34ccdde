"""Threads that start programs while this process goes on, so that several children are in the making at once.

What clones a child as vfork does it stands still meanwhile, and with one thread that is everybody. These
threads are machine code and nothing else (see `loaded_program`): each takes a slot's address out of one pipe,
clones, and puts the address into another when its child has executed its command or is dead. They hold no
lock, know no Python and no C library and have no stack, so this process may be forked at any time, and all
its signals are delivered to the thread that it began with.
A child may be dead before `finish` comes to it: whoever waits for all children asks `has` first.
Source: clone3(2), pipe(7).
"""

import mmap
import os
import select
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import loaded_program
from kubelab.cluster.linux.loaded_program import LoadedProgram, Slot, Value

THREADS_MIN, THREADS_MAX = 2, 4
_ADDRESS = struct.Struct("<Q")
_WORDS = struct.Struct("<2IQ")
_CLONE_ARGUMENTS = struct.Struct("<11Q")
# VM, FS, FILES, SIGHAND, THREAD, SYSVSEM.
_THREAD = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000

Then = Callable[[Callable[[], tuple[int, int]]], None]
"""Is called when the child is started or dead, with what returns its pid and pidfd or raises as
`LoadedProgram.start`."""


@dataclass(frozen=True, slots=True)
class _Starting:
    program: LoadedProgram
    slot: Slot
    cgroup_fd: int
    then: Then


class ProgramLauncher:
    """`fileno` can be read when `finish` has something to do, unless `drain` or `launch` has done it since.
    The threads begin with the first program."""

    def __init__(self) -> None:
        self._taken, self._given = os.pipe2(os.O_CLOEXEC)
        self._done, self._told = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._done, False)
        self._threads: list[mmap.mmap] = []
        self._starting: dict[int, _Starting] = {}

    def fileno(self) -> int:
        return self._done

    @property
    def is_idle(self) -> bool:
        return not self._starting

    def has(self, pid: int) -> bool:
        """Is this a child to which `finish` has not come yet?"""
        return any(each.slot.pid == pid for each in self._starting.values())

    def launch(
        self, program: LoadedProgram, values: Mapping[str, Value], flags: int, cgroup_fd: int, then: Then
    ) -> None:
        """Start the program, as `LoadedProgram.start` does, and go on. While there are as many as there are
        threads, wait for one of them. The descriptor of the cgroup is closed when the child has been made.

        Raises:
            KernelError: it is not begun; *then* is not called.
        """
        try:
            self._begin_threads()
            while len(self._starting) >= len(self._threads):
                self._wait()
                self.finish()
            slot = program.take()
            slot.fill(values, flags, cgroup_fd)
        except BaseException:
            _close(cgroup_fd)
            raise
        loaded_program.hide()
        self._starting[slot.base] = _Starting(program, slot, cgroup_fd, then)
        os.write(self._given, _ADDRESS.pack(slot.base))

    def finish(self) -> None:
        """Tell of those that are started or dead; of none if none is."""
        for address in self._addresses():
            self._finish(self._starting.pop(address))

    def _addresses(self) -> list[int]:
        try:
            told = os.read(self._done, _ADDRESS.size * THREADS_MAX)
        except BlockingIOError:
            return []
        return [address for (address,) in _ADDRESS.iter_unpack(told)]

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._done, select.POLLIN)
        poll.poll()

    def _finish(self, starting: _Starting) -> None:
        loaded_program.show()
        _close(starting.cgroup_fd)
        try:
            starting.then(starting.slot.outcome)
        finally:
            starting.program.give_back(starting.slot)

    def drain(self) -> None:
        """Wait until none is starting."""
        while self._starting:
            self._wait()
            self.finish()

    def close(self) -> None:
        """End the threads, after all that they have been given."""
        self.drain()
        os.close(self._given)
        left = len(self._threads)
        while left:  # Each says a last word.
            self._wait()
            left -= len(self._addresses())
        for fd in (self._taken, self._done, self._told):
            os.close(fd)

    def _begin_threads(self) -> None:
        wanted = min(max(os.cpu_count() or 1, THREADS_MIN), THREADS_MAX)
        while len(self._threads) < wanted:
            words = mmap.mmap(-1, _WORDS.size)
            _WORDS.pack_into(words, 0, self._taken, self._told, 0)
            try:
                loaded_program.begin_thread(_CLONE_ARGUMENTS.pack(_THREAD, *[0] * 10), words)
            except KernelError:
                if not self._threads:
                    raise
                return
            self._threads.append(words)


def _close(fd: int) -> None:
    if fd >= 0:
        with suppress(OSError):
            os.close(fd)
