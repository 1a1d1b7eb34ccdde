"""Where the containers of `kubelab oci` are kept: one directory each, below --root.

    state.json    see `container_state`
    config.json   the description as it was at `create`; later changes of the bundle's do not count
    exec.fifo     the first process waits at it for `start`, which removes it

Source: OCI runtime specification, runtime.md, Lifecycle; runc, libcontainer/factory_linux.go.
"""
# ruff: noqa: PTH106, PTH102, PTH103, PTH105, PTH107, PTH123, PTH208

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.errors import LabError
from kubelab.cluster.runtime.oci.container_state import Container
from kubelab.language import Text

_ID = re.compile(r"[\w+.-]{1,1024}")


class StateError(LabError):
    """There is no such container, or it is not in the state that the command needs."""


def default_root() -> str:
    if os.geteuid() == 0:
        return "/run/kubelab/oci"
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/tmp/kubelab-{os.geteuid()}")  # noqa: S108
    return f"{runtime}/kubelab/oci"


@dataclass(frozen=True, slots=True)
class StateFiles:
    root: str

    def directory(self, id_: str) -> str:
        """Raises StateError: nothing can be named so."""
        if not _ID.fullmatch(id_) or id_ in (".", ".."):
            raise StateError(_BAD_ID.format(id=id_))
        return f"{self.root}/{id_}"

    def fifo(self, id_: str) -> str:
        return f"{self.directory(id_)}/exec.fifo"

    def reserve(self, id_: str) -> None:
        """Make the container's directory. Raises StateError: there is such a container."""
        directory = self.directory(id_)
        os.makedirs(self.root, mode=0o711, exist_ok=True)
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            raise StateError(_EXISTS.format(id=id_)) from None

    def save(self, container: Container, config: dict[str, Any]) -> None:
        directory = self.directory(container.id)
        _write(f"{directory}/config.json", config)
        _write(f"{directory}/state.json", container.to_json())

    def load(self, id_: str) -> Container:
        """Raises StateError: there is no such container."""
        try:
            with open(f"{self.directory(id_)}/state.json", encoding="utf-8") as file:
                return Container(**json.load(file))
        except FileNotFoundError:
            raise StateError(_UNKNOWN.format(id=id_)) from None

    def config(self, id_: str) -> dict[str, Any]:
        with open(f"{self.directory(id_)}/config.json", encoding="utf-8") as file:
            document: dict[str, Any] = json.load(file)
            return document

    def remove(self, id_: str) -> None:
        directory = self.directory(id_)
        for name in ("state.json", "config.json", "exec.fifo"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{directory}/{name}")
        try:
            os.rmdir(directory)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def all(self) -> Iterator[Container]:
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.root)):
                with contextlib.suppress(StateError):
                    yield self.load(name)


def _write(path: str, content: dict[str, Any]) -> None:
    """A reader finds the old file or the new one, never half of one."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
        os.fchmod(file.fileno(), 0o600)
    os.replace(temporary, path)


_BAD_ID = Text(
    es="{id!r} no puede ser el nombre de un contenedor: solo letras, cifras y _ + - .",
    en="{id!r} cannot be a container's id: only letters, digits and _ + - . may be",
)
_EXISTS = Text(
    es="ya hay un contenedor {id}: bórralo o elige otro nombre",
    en="container with id {id} exists already: delete it or choose another id",
)
_UNKNOWN = Text(
    es="no hay ningún contenedor {id} (container does not exist): `kubelab oci list` dice cuáles hay",
    en="container {id} does not exist: `kubelab oci list` tells which do",
)
