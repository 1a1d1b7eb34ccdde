"""Where a running lab keeps its files, and the lock that lets only one lab hold that place.

As root /run/kubelab, otherwise the user's runtime directory (XDG); KUBELAB_DIR names another. Everything in
it is the lab's own and goes away with it: kernel objects do not survive a reboot, nor need their journal.
What the masters keep does survive: it lies in /var/lib/kubelab, the user's state directory, or in the
directory that KUBELAB_DIR names (KUBELAB_STATE, if that is set), until it is asked to go.
"""

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from kubelab.cluster.errors import LabError
from kubelab.language import Text

SOCKET_PATH_BYTES_MAX = 107  # unix(7): sun_path has 108 bytes, the last one zero.


@dataclass(frozen=True, slots=True)
class LabDirectory:
    """`state`: where what survives the lab is kept; None: in the directory itself."""

    path: Path
    state: Path | None = None

    @classmethod
    def default(cls) -> "LabDirectory":
        kept = os.environ.get("KUBELAB_STATE")
        state = Path(kept) if kept else None
        if named := os.environ.get("KUBELAB_DIR"):
            return cls(Path(named), state)
        if os.geteuid() == 0:
            return cls(Path("/run/kubelab"), state or Path("/var/lib/kubelab"))
        state = state or platformdirs.user_state_path("kubelab")
        with warnings.catch_warnings():  # Where there is no XDG_RUNTIME_DIR, it is a place in /tmp.
            warnings.simplefilter("ignore")
            return cls(Path(platformdirs.user_runtime_path("kubelab")), state)

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def control(self) -> Path:
        return self.path / "control.sock"

    @property
    def errand(self) -> Path:
        """The machines' `kubelab`."""
        return self.path / "bin/kubelab"

    @property
    def kubeconfig(self) -> Path:
        return self.path / "admin.conf"

    @property
    def masters(self) -> Path:
        """All that the masters keep on their disks, and that the cluster is again in its next life."""
        return (self.state or self.path) / "masters"

    @property
    def shape(self) -> Path:
        return self.masters / "cluster.json"

    @property
    def pki(self) -> Path:
        return self.masters / "pki"

    @property
    def etcd_pki(self) -> Path:
        return self.pki / "etcd"

    @property
    def pods(self) -> Path:
        """Log files and volumes of pods, by machine."""
        return self.path / "pods"

    @property
    def audit_log(self) -> Path:
        """Who asked the API server for what, a line of JSON each."""
        return self.path / "audit.log"

    def make(self) -> None:
        """Make the directory, for this user alone: keys lie in it.

        Raises:
            LabError: it cannot be had, or is no place for a lab.
        """
        if len(os.fsencode(self.control)) > SOCKET_PATH_BYTES_MAX:
            raise LabError(_TOO_LONG.format(path=self.path))
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self.path.stat().st_uid
        except OSError as error:
            raise self._no_place(error) from error
        if owner != os.geteuid():
            raise LabError(_SOMEBODY_ELSES.format(path=self.path))

    def _open_lock(self) -> int:
        try:
            return os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._no_place(error) from error

    def _no_place(self, error: OSError) -> LabError:
        return LabError(_NO_PLACE.format(path=self.path, why=error.strerror))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold this place for one lab; the kernel lets go of it however the process ends.

        Raises:
            LabError: another process holds it.
        """
        self.make()
        descriptor = self._open_lock()
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                # Whoever asks for the holder locks for an instant as well, and is none.
                if (pid := self.holder()) is not None:
                    raise LabError(_already_running(pid)) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def holder(self) -> int | None:
        """Return the pid of the running lab, None if there is none.

        Raises:
            LabError: the place is not this user's.
        """
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._no_place(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            # The holder writes its pid just after it locks: for that instant the file is empty.
            return int(os.pread(descriptor, 20, 0) or b"0")
        else:
            return None
        finally:
            os.close(descriptor)


_NO_PLACE = Text(
    es="El laboratorio no puede usar {path} ({why}): usa sudo, o indica otro lugar con KUBELAB_DIR.",
    en="The lab cannot use {path} ({why}): use sudo, or name another place with KUBELAB_DIR.",
)
_SOMEBODY_ELSES = Text(
    es="{path} es de otro usuario, y ahí quedarían tus claves: indica otro lugar con KUBELAB_DIR.",
    en="{path} is another user's, and your keys would lie there: name another place with KUBELAB_DIR.",
)
_TOO_LONG = Text(
    es="{path} es demasiado largo para un socket Unix: indica un lugar más corto con KUBELAB_DIR.",
    en="{path} is too long for a Unix socket: name a shorter place with KUBELAB_DIR.",
)


def _already_running(pid: int) -> Text:
    return Text(
        es=f"Ya hay un laboratorio en marcha (pid {pid}): ciérralo con `kill {pid}`, o úsalo desde aquí con "
        "`kubelab shell`, `kubelab kubectl` y `kubelab status`.",
        en=f"A lab is already running (pid {pid}): end it with `kill {pid}`, or use it from here with "
        "`kubelab shell`, `kubelab kubectl` and `kubelab status`.",
    )
