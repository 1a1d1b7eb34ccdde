"""`kubelab store snapshot save|restore|status`: copies of the lab's store, in etcd's own format; `kubelab
store replace`: a member of it that is damaged.

Source: etcdctl and etcdutl, snapshot; the names of the options are theirs.
"""

import asyncio
import math
import os
from pathlib import Path

import click
import msgspec

from kubelab.cli.table import table
from kubelab.language import Text

DEFAULT_TOKEN = "etcd-cluster"  # noqa: S105 - etcd's; it tells clusters apart, and is no secret

_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group(help=str(Text(es="El almacén del laboratorio.", en="The lab's store.")))
def store() -> None:
    pass


@store.group(
    help=str(
        Text(
            es="Copias del almacén, en el formato de etcd: las entienden etcdctl y etcdutl.",
            en="Snapshots of the store, in etcd's format: etcdctl and etcdutl understand them.",
        )
    )
)
def snapshot() -> None:
    pass


@snapshot.command(
    help=str(
        Text(
            es="Guarda en FILE el almacén del laboratorio, en marcha o parado.",
            en="Save the store of the lab, whether it runs or not, to FILE.",
        )
    )
)
@_file
def save(file: Path) -> None:
    from kubelab.cluster.lab.directory import LabDirectory

    directory = LabDirectory.default()
    size_bytes = _save_running(file) if directory.holder() is not None else _save_stopped(file)
    click.echo(str(_SAVED.format(path=file, size=human(size_bytes))))


def _save_running(file: Path) -> int:
    from kubelab.cluster.lab.control import ControlClient
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.store.segment import disk_errors

    unfinished = file.with_name(f"{file.name}.part")
    with disk_errors(file):
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with ControlClient.connect(LabDirectory.default().control) as client:
                size_bytes = client.save_store(fd)
            os.fsync(fd)
            unfinished.rename(file)
        finally:
            os.close(fd)
            unfinished.unlink(missing_ok=True)
    return size_bytes


def _save_stopped(file: Path) -> int:
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.lab.stopped_store import member_directories
    from kubelab.cluster.store.member_restore import stopped_store
    from kubelab.cluster.store.snapshot_file import pieces_of, write_snapshot

    mvcc = stopped_store(list(member_directories(LabDirectory.default()).values()))
    return asyncio.run(write_snapshot(pieces_of(mvcc), file))


@snapshot.command(
    help=str(
        Text(
            es="Restaura FILE en el laboratorio, en marcha o parado; con --data-dir, en el de un miembro "
            "nuevo.",
            en="Restore FILE into the lab, whether it runs or not; by --data-dir, into a new member's "
            "directory.",
        )
    )
)
@_file
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help=str(Text(es="Directorio de un miembro nuevo.", en="Directory of a new member.")),
)
@click.option(
    "--name",
    default="default",
    show_default=True,
    help=str(Text(es="Nombre del miembro nuevo.", en="Name of the new member.")),
)
@click.option(
    "--initial-cluster",
    metavar="NAME=URL,…",
    help=str(Text(es="Todos los miembros del clúster nuevo.", en="All members of the new cluster.")),
)
@click.option(
    "--initial-cluster-token",
    default=DEFAULT_TOKEN,
    show_default=True,
    help=str(Text(es="Lo que distingue al clúster nuevo.", en="What tells the new cluster apart.")),
)
@click.option(
    "--skip-hash-check",
    is_flag=True,
    help=str(
        Text(
            es="FILE es la base de datos copiada de un etcd: no lleva suma.",
            en="FILE is a database copied from an etcd, and has no checksum.",
        )
    ),
)
@click.option(
    "--force",
    is_flag=True,
    help=str(
        Text(
            es="Aparta el almacén que haya, con el sufijo .before, hasta la próxima vez o `kubelab clean`.",
            en="Put a store that is there aside, named .before, until the next time or `kubelab clean`.",
        )
    ),
)
@click.option(
    "--bump-revision",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help=str(
        Text(
            es="Suma N a la revisión y da por compactado lo anterior, para quien vio otras posteriores; el "
            "laboratorio en marcha lo hace solo.",
            en="Add N to the revision and count all before as compacted, for those who have seen later ones; "
            "a running lab does so by itself.",
        )
    ),
)
@click.option(
    "--yes",
    "-y",
    is_flag=True,
    help=str(Text(es="No preguntes antes.", en="Do not ask first.")),
)
def restore(
    file: Path,
    data_dir: Path | None,
    name: str,
    initial_cluster: str | None,
    initial_cluster_token: str,
    *,
    skip_hash_check: bool,
    force: bool,
    bump_revision: int,
    yes: bool,
) -> None:
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.lab.stopped_store import restore_lab
    from kubelab.cluster.store.member_config import found_cluster
    from kubelab.cluster.store.member_restore import restore_member
    from kubelab.cluster.store.revision_bump import bumped
    from kubelab.cluster.store.snapshot_file import read_snapshot

    mvcc = read_snapshot(file, check_hash=not skip_hash_check)
    if bump_revision:
        mvcc = bumped(mvcc, mvcc.revision + bump_revision)
    if data_dir is None and LabDirectory.default().holder() is not None:
        if not yes:
            click.confirm(str(_SURELY.format(path=file, revision=mvcc.revision)), abort=True)
        _restore_running(file, check_hash=not skip_hash_check)
        return
    if data_dir is None:
        with LabDirectory.default().held():
            restored = restore_lab(LabDirectory.default(), mvcc, force=force)
    else:
        cluster_id, cluster = found_cluster(initial_cluster_token, _cluster(initial_cluster, name))
        own = next((member.id for member in cluster if member.name == name), None)
        if own is None:
            raise click.UsageError(str(_NOT_A_MEMBER.format(name=name)))
        restore_member(data_dir, own, cluster_id, cluster, mvcc)
        restored = [data_dir]
    for directory in restored:
        click.echo(str(_RESTORED.format(path=directory, revision=mvcc.revision)))


def _restore_running(file: Path, *, check_hash: bool) -> None:
    from kubelab.cluster.lab.control import ControlClient
    from kubelab.cluster.lab.directory import LabDirectory

    with file.open("rb") as opened, ControlClient.connect(LabDirectory.default().control) as client:
        revision = client.restore_store(opened.fileno(), check_hash=check_hash)
    click.echo(str(_RESTORED_RUNNING.format(path=file, revision=revision)))


def _cluster(initial_cluster: str | None, name: str) -> dict[str, str]:
    words = initial_cluster or f"{name}=http://localhost:2380"
    pairs = dict(member.partition("=")[::2] for member in words.split(","))
    if not all(pairs) or not all(pairs.values()):
        raise click.UsageError(str(_NO_CLUSTER.format(words=words)))
    return pairs


@store.command(
    help=str(
        Text(
            es="Con el laboratorio parado, aparta lo que guarda el miembro de MASTER (dañado, por ejemplo): "
            "los demás se lo dan todo de nuevo cuando se levante.",
            en="While the lab does not run, put aside what the member on MASTER keeps (damaged, say): the "
            "others give it everything anew when the lab starts.",
        )
    )
)
@click.argument("master")
def replace(master: str) -> None:
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.lab.stopped_store import replace_member

    directory = LabDirectory.default()
    with directory.held():
        replace_member(directory, master)
    click.echo(str(_REPLACED.format(name=master)))


@snapshot.command(
    help=str(
        Text(
            es="Qué hay en FILE: suma, revisión, claves y tamaño, como etcdutl.",
            en="What is in FILE: hash, revision, keys and size, as etcdutl says it.",
        )
    )
)
@_file
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(file: Path, output: str) -> None:
    from kubelab.cluster.store.snapshot_file import status_of

    found = status_of(file)
    if output == "json":
        fields = {
            "hash": found.hash,
            "revision": found.revision,
            "totalKey": found.total_keys,
            "totalSize": found.size_bytes,
        }
        click.echo(msgspec.json.encode(fields).decode())
        return
    row = (f"{found.hash:x}", str(found.revision), str(found.total_keys), human(found.size_bytes))
    click.echo("\n".join(table(("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"), [row])))


def human(size_bytes: int) -> str:
    """Return a size as etcd's tools write it (go-humanize: powers of 1000, rounded twice)."""
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    tenths = math.floor(size * 10 + 0.5) / 10
    return f"{tenths:.1f} {unit}" if unit != "B" and tenths < 10 else f"{tenths:.0f} {unit}"


_SAVED = Text(es="Guardado en {path} ({size}).", en="Saved to {path} ({size}).")
_RESTORED = Text(
    es="{path} empieza con la revisión {revision}.", en="{path} begins with revision {revision}."
)
_SURELY = Text(
    es="El clúster vuelve a como está en {path} (revisión {revision}): lo escrito después se pierde, y sus "
    "pods terminan. ¿Seguir?",
    en="The cluster goes back to what is in {path} (revision {revision}): what was written later is lost, "
    "and its pods end. Go on?",
)
_RESTORED_RUNNING = Text(
    es="El clúster es otra vez el de {path}, desde la revisión {revision}; el almacén de antes queda en el "
    "directorio de cada master, con el sufijo .before, hasta la próxima restauración o `kubelab clean`.",
    en="The cluster is again what is in {path}, from revision {revision} on; the store of before is in each "
    "master's directory, named .before, until the next restoration or `kubelab clean`.",
)
_REPLACED = Text(
    es="Al levantar el laboratorio (`kubelab up`), los demás darán todo de nuevo al miembro de {name}; lo "
    "que tenía queda en su directorio, con el sufijo .before.",
    en="When the lab starts (`kubelab up`), the other members will give the one on {name} everything anew; "
    "what it had is in its directory, named .before.",
)
_NOT_A_MEMBER = Text(
    es="{name} no está en --initial-cluster: nómbralo allí con su URL, como en --initial-cluster {name}=URL.",
    en="{name} is not in --initial-cluster: name it there with its URL, as in --initial-cluster {name}=URL.",
)
_NO_CLUSTER = Text(
    es="{words} no es un clúster: escribe NOMBRE=URL, separados por comas.",
    en="{words} is no cluster: write NAME=URL, with commas between them.",
)
