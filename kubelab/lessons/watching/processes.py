"""What the kernel tells of processes: exec and exit on the whole host, if it grants that.

Source: drivers/connector/cn_proc.c; see `linux.proc_connector`. An event does two things. It asks for a look,
which finds out for itself whether the event was on one of the lab's machines (`processor`). And if it was an
exec there, the process is read at once: a `sleep 0.01` is gone at the next look, but was seen.
Where the events are not granted (in a container, without root) the regular looks do without.
Left out: processes that end without having become another program, such as a shell's subshells.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.proc_connector import ProcConnector

EVENTS_MAX = 500  # At a time, to let others go on.
REST_S = 0.1  # While it is only others on this host who are busy, or our machines are for a long time.
NOTES_MAX = 10  # So many times in a row processes are read at once,
NOTES_PER_S = 5.0  # and so often in the long run: a loop in a shell is left to the regular looks.


class ProcessEvents:
    """`note(host_pid, pid_namespace)` reads a process if it is on a machine of ours, and says so."""

    def __init__(self, note: Callable[[int, int], bool], look_soon: Callable[[], None]) -> None:
        self._note = note
        self._look_soon = look_soon
        self._timer: asyncio.TimerHandle | None = None
        self._notes = float(NOTES_MAX)
        self._heard_s = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        try:
            connector = ProcConnector()
        except KernelError:
            yield
            return
        with connector:
            self._listen(connector)
            try:
                yield
            finally:
                self._stop(connector)

    def _listen(self, connector: ProcConnector) -> None:
        asyncio.get_running_loop().add_reader(connector, self._hear, connector)

    def _stop(self, connector: ProcConnector) -> None:
        asyncio.get_running_loop().remove_reader(connector)
        if self._timer is not None:
            self._timer.cancel()

    def _hear(self, connector: ProcConnector) -> None:
        events = list(connector.events(EVENTS_MAX))
        if not events:
            return
        self._look_soon()
        noted = [pid for pid in events if pid and self._note_if_ours(pid)] if self._may_note() else []
        if noted:
            self._notes -= 1
        else:
            loop = asyncio.get_running_loop()
            loop.remove_reader(connector)
            self._timer = loop.call_later(REST_S, self._listen, connector)

    def _may_note(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        self._notes = min(NOTES_MAX, self._notes + (now_s - self._heard_s) * NOTES_PER_S)
        self._heard_s = now_s
        return self._notes >= 1

    def _note_if_ours(self, host_pid: int) -> bool:
        try:
            link = os.readlink(f"/proc/{host_pid}/ns/pid")  # noqa: PTH115 -- a magic link
        except OSError:  # It has ended.
            return False
        return self._note(host_pid, int(link[link.index("[") + 1 : -1]))
