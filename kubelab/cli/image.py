"""`kubelab image ls | pull | load | rm | history | inspect`: the images that containers can be started from.

They lie on this computer, not in a lab: no lab need run, and all labs share them (see `images.store`).
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from kubelab.cli.table import table
from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.cluster.images.image import History, Image
    from kubelab.cluster.images.progress import Progress
    from kubelab.cluster.images.store import ImageStore

QUIET_S = 1.0  # What is done sooner needs no progress.
ON_TERMINAL_EVERY_S = 0.2
IN_LOG_EVERY_S = 5.0
_ID_LENGTH = len("sha256:") + 12
_COMMAND_LENGTH_MAX = 60

_T = TypeVar("_T")


@click.group(
    help=str(
        Text(
            es="Imágenes de contenedor: las del laboratorio y las que traigas.",
            en="Container images: the lab's own, and those that you bring.",
        )
    )
)
def image() -> None: ...


@image.command(help=str(Text(es="Las imágenes que hay.", en="The images that there are.")))
def ls() -> None:
    for line in table([str(name) for name in _COLUMNS], [_row(each) for each in _store().images()]):
        click.echo(line)


def _row(found: "Image") -> tuple[str, ...]:
    from kubelab.cluster.images.reference import parse

    size = str(_VIEW) if found.is_view_of_usr and not found.layers else readable(found.size_bytes)
    return parse(found.reference).familiar, found.id[:_ID_LENGTH], str(len(found.layers)), size


@image.command(
    help=str(Text(es="Trae imágenes de su registro.", en="Bring images from their registry.")),
)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--user", help=str(Text(es="Usuario del registro.", en="User at the registry.")))
@click.option(
    "--password",
    envvar="KUBELAB_REGISTRY_PASSWORD",
    help=str(
        Text(
            es="Contraseña; mejor en KUBELAB_REGISTRY_PASSWORD. Sin ella se pregunta.",
            en="Password; better in KUBELAB_REGISTRY_PASSWORD. Without it you are asked.",
        )
    ),
)
@click.option(
    "--insecure",
    is_flag=True,
    help=str(Text(es="Acepta un registro sin HTTPS.", en="Accept a registry without HTTPS.")),
)
def pull(references: tuple[str, ...], user: str | None, password: str | None, *, insecure: bool) -> int:
    from kubelab.cluster.images.registry import Credentials

    credentials = Credentials(user, password or _asked_password()) if user else None
    store = _store()

    async def bring(name: str, progress: "Progress") -> "Image":
        return await store.pull(name, "Always", progress=progress, credentials=credentials, insecure=insecure)

    for name in references:
        found = _followed(partial(bring, name))
        if found is None:
            return 130
        click.echo(f"{found.reference}  {found.id[:_ID_LENGTH]}")
    return 0


def _asked_password() -> str:
    secret: str = click.prompt(str(_PASSWORD), hide_input=True, err=True)
    return secret


@image.command(
    help=str(
        Text(
            es="Carga las imágenes de FILE: un layout OCI (directorio o tar) o lo que escribe `docker save`.",
            en="Load the images in FILE: an OCI layout (directory or tar), or what `docker save` writes.",
        )
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--name",
    default="",
    help=str(
        Text(es="Cómo se llamará, si el archivo no lo dice.", en="What to call it, if the file does not say.")
    ),
)
def load(file: Path, name: str) -> int:
    store = _store()
    found = _followed(lambda progress: store.load(file, name=name, progress=progress))
    if found is None:
        return 130
    for each in found:
        click.echo(f"{each.reference}  {each.id[:_ID_LENGTH]}")
    return 0


@image.command(
    help=str(
        Text(
            es="Borra imágenes y las capas que ninguna otra usa; las del laboratorio vuelven al usarlas.",
            en="Remove images, and the layers that no other uses; the lab's own come back when used.",
        )
    )
)
@click.argument("references", nargs=-1, required=True, metavar="IMAGE...")
def rm(references: tuple[str, ...]) -> None:
    store = _store()
    for name in references:
        removed = asyncio.run(store.remove(name))
        click.echo(_REMOVED.format(image=removed.reference))


@image.command(
    help=str(
        Text(
            es="Cómo se hizo la imagen, paso a paso, el último primero.",
            en="How the image was made, step by step, the last one first.",
        )
    )
)
@click.argument("reference", metavar="IMAGE")
def history(reference: str) -> None:
    steps = _store().history(reference)
    header = [str(name) for name in _HISTORY_COLUMNS]
    for line in table(header, [_step(step) for step in reversed(steps)]):
        click.echo(line)


def _step(step: "History") -> tuple[str, ...]:
    command = " ".join(step.created_by.split())
    short = command if len(command) <= _COMMAND_LENGTH_MAX else f"{command[: _COMMAND_LENGTH_MAX - 3]}..."
    layer = step.layer
    return (
        layer.diff_id[:_ID_LENGTH] if layer else "-",
        step.created[: len("2026-01-31")] or "-",
        readable(layer.size_bytes) if layer else "0 B",
        short or step.comment or "-",
    )


@image.command(
    help=str(
        Text(
            es="Todo lo que se sabe de la imagen, en JSON: su nombre, sus capas y su configuración.",
            en="All that is known of the image, as JSON: its name, its layers and its config.",
        )
    )
)
@click.argument("reference", metavar="IMAGE")
def inspect(reference: str) -> None:
    import json

    import msgspec

    store = _store()
    found = store.resolve(reference)
    document = {
        "id": found.id,
        "reference": found.reference,
        "repoDigest": found.repo_digest,
        "layers": [
            {
                "digest": layer.digest,
                "diffId": layer.diff_id,
                "mediaType": layer.media_type,
                "size": layer.size_bytes,
                "directory": str(store.path / "layers" / layer.diff_id.partition(":")[2]),
            }
            for layer in found.layers
        ],
        "config": msgspec.json.decode(store.document(reference)),
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _store() -> "ImageStore":
    """Open the store as a lab does: the images' files are of many users."""
    from kubelab.cli.rootless import own_files_of_others

    own_files_of_others()
    from kubelab.cluster.images.store import ImageStore

    return ImageStore.open()


def _followed(act: "Callable[[Progress], Awaitable[_T]]") -> _T | None:
    """Return what *act* returns, None if a signal has ended it; tell how far it is when it takes long."""
    from kubelab.cli.interrupt import interruptible
    from kubelab.cluster.images.progress import Progress

    async def follow() -> _T:
        progress = Progress()
        async with asyncio.TaskGroup() as group:
            teller = group.create_task(_tell(progress))
            try:
                return await act(progress)
            finally:
                teller.cancel()

    return interruptible(follow())


async def _tell(progress: "Progress") -> None:
    on_terminal = sys.stderr.isatty()
    await asyncio.sleep(QUIET_S)
    with _cleared_at_the_end(on_terminal):
        while True:
            if on_terminal:
                click.echo(f"\r\x1b[K{told(progress)}", nl=False, err=True)
            else:
                click.echo(told(progress), err=True)
            await asyncio.sleep(ON_TERMINAL_EVERY_S if on_terminal else IN_LOG_EVERY_S)


@contextmanager
def _cleared_at_the_end(on_terminal: bool) -> Iterator[None]:
    """Leave no half line on a terminal."""
    try:
        yield
    finally:
        if on_terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def told(progress: "Progress") -> str:
    """Return how far an image has come, as a line."""
    if not progress.layers:
        return str(_READ.format(size=readable(progress.read_bytes)))
    done = sum(layer.stage == "done" for layer in progress.layers.values())
    parts = [str(_LAYERS.format(done=done, count=len(progress.layers)))]
    for stage, text in (("download", _DOWNLOADING), ("unpack", _UNPACKING)):
        active = [layer for layer in progress.layers.values() if layer.stage == stage]
        if active:
            size = "/".join(_sizes(sum(a.done_bytes for a in active), sum(a.total_bytes for a in active)))
            parts.append(str(text.format(size=size)))
    return ", ".join(parts)


def _sizes(done_bytes: int, total_bytes: int) -> Iterator[str]:
    yield readable(done_bytes)
    if total_bytes:
        yield readable(total_bytes)


def readable(size_bytes: int) -> str:
    """Return a size as people read it, in units of 1024."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


_COLUMNS = (
    Text(es="IMAGEN", en="IMAGE"),
    Text(es="ID", en="ID"),
    Text(es="CAPAS", en="LAYERS"),
    Text(es="TAMAÑO", en="SIZE"),
)
_HISTORY_COLUMNS = (
    Text(es="CAPA", en="LAYER"),
    Text(es="CREADA", en="CREATED"),
    Text(es="TAMAÑO", en="SIZE"),
    Text(es="PASO", en="STEP"),
)
_VIEW = Text(es="vista de /usr", en="view of /usr")
_PASSWORD = Text(es="Contraseña", en="Password")
_REMOVED = Text(es="Borrada: {image}", en="Removed: {image}")
_READ = Text(es="leídos {size}", en="read {size}")
_LAYERS = Text(es="{done}/{count} capas", en="{done}/{count} layers")
_DOWNLOADING = Text(es="descargando {size}", en="downloading {size}")
_UNPACKING = Text(es="desempaquetando {size}", en="unpacking {size}")
