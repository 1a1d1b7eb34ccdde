"""Where the containers of `kubelab oci` are kept: one directory each, below --root.

    state.json    see `container_state`
    config.json   the description as it was at `create`; later changes of the bundle's do not count
    exec.fifo     the first process waits at it for `start`, which removes it
    making.json   as long as it is not whole: see `abandoned`

Source: OCI runtime specification, runtime.md, Lifecycle; runc, libcontainer/factory_linux.go.
"""
# ruff: noqa: PTH106, PTH102, PTH103, PTH105, PTH107, PTH110, PTH112, PTH123, PTH208

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.errors import LabError
from kubelab.cluster.runtime.oci import abandoned
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

    def reserve(self, id_: str) -> abandoned.Making:
        """Make the container's directory, and take back those whose makers were killed; return the note that
        is in it.

        Raises:
            StateError: there is such a container.
        """
        directory = self.directory(id_)
        os.makedirs(self.root, mode=0o711, exist_ok=True)
        making = abandoned.Making.begun()
        with abandoned.locked(self.root):
            for name in os.listdir(self.root):
                self._take_back(name)
            try:
                os.mkdir(directory, 0o700)
            except FileExistsError:
                raise StateError(_EXISTS.format(id=id_)) from None
            making.write(directory)
        return making

    def take_back(self, id_: str) -> bool:
        """Remove what a killed maker or remover of the container has left; return whether that is so.

        Raises:
            StateError: its maker is at it.
        """
        if not os.path.isdir(self.directory(id_)):
            return False
        with abandoned.locked(self.root):
            if not self._take_back(id_):
                raise StateError(_BEING_MADE.format(id=id_))
        return True

    def _take_back(self, name: str) -> bool:
        """Return whether there is nothing any more. The root is locked."""
        directory = f"{self.root}/{name}"
        making = abandoned.read(directory)
        if os.path.exists(f"{directory}/state.json") or (making and making.is_going_on):
            return False
        if making:
            making.take_back()
        self._remove(directory)
        return True

    def save(self, container: Container, config: dict[str, Any]) -> None:
        directory = self.directory(container.id)
        _write(f"{directory}/config.json", config)
        _write(f"{directory}/state.json", container.to_json())
        os.remove(f"{directory}/{abandoned.NOTE}")

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
        with contextlib.suppress(FileNotFoundError), abandoned.locked(self.root):
            self._remove(directory)

    def _remove(self, directory: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(directory):
                os.remove(f"{directory}/{name}")
            os.rmdir(directory)

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
_BEING_MADE = Text(
    es="el contenedor {id} se está creando ahora mismo: espera a que esté creado",
    en="container {id} is being created at this moment: wait until it is",
)
_UNKNOWN = Text(
    es="no hay ningún contenedor {id} (container does not exist): `kubelab oci list` dice cuáles hay",
    en="container {id} does not exist: `kubelab oci list` tells which do",
)
