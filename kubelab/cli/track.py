"""`kubelab track add | list | show | update | pin | unpin | remove`: tracks that others wrote.

What a track may do is told, and agreed to, before it is installed or an update of it may do more.
"""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubelab.cluster.errors import LabError
from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.lessons.thirdparty.fetching import Fetched
    from kubelab.lessons.thirdparty.installed import InstalledTracks, Record
    from kubelab.lessons.thirdparty.offer import Offer
    from kubelab.lessons.thirdparty.source import Source

SHORT = 12  # Digits of a commit or hash that are shown.


@click.group(
    help=str(
        Text(
            es="Tracks que otros han escrito: añadir, ver, actualizar, fijar y quitar.",
            en="Tracks that others wrote: add, look at, update, pin and remove them.",
        )
    )
)
def track() -> None:
    pass


_YES = click.option(
    "--yes", "-y", is_flag=True, help=str(Text(es="Acepta sin preguntar.", en="Agree without being asked."))
)
_IDS = click.argument("ids", nargs=-1, metavar="[ID]...")
_SOME_IDS = click.argument("ids", nargs=-1, required=True, metavar="ID...")


@track.command(
    help=str(
        Text(
            es="Instala los tracks de SOURCE: un directorio, un archivo (tar, tar.gz, tar.xz, zip) o la URL "
            "de un repositorio de git (https, ssh, git, file), con #REF si no es su rama por omisión.",
            en="Install the tracks of SOURCE: a directory, an archive (tar, tar.gz, tar.xz, zip) or the URL "
            "of a git repository (https, ssh, git, file), with #REF unless it is its default branch.",
        )
    )
)
@click.argument("source")
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    help=str(
        Text(
            es="Solo este track, si hay varios; se puede repetir.",
            en="Only this track, if there are several; may be repeated.",
        )
    ),
)
@click.option(
    "--pin",
    is_flag=True,
    help=str(Text(es="Fíjalo: `update` no lo cambiará.", en="Pin it: `update` will not change it.")),
)
@_YES
def add(source: str, only: Sequence[str], pin: bool, yes: bool) -> int:
    from kubelab.lessons.thirdparty.installed import InstalledTracks, record_of
    from kubelab.lessons.thirdparty.offer import wanted
    from kubelab.lessons.thirdparty.source import Source

    parsed = Source.parse(source)
    installed = InstalledTracks.default()
    with installed.staging() as staging:
        try:
            offers = wanted(_fetch(parsed, staging), only)
        except LabError as error:
            raise _told(error) from error
        for offer in offers:
            _refuse_taken(installed, offer)
        click.echo("\n\n".join(_described(offer) for offer in offers))
        if not _agreed(_TRUST, yes):
            click.echo(_NOTHING_DONE, err=True)
            return 1
        for offer in offers:
            installed.install(offer, record_of(offer, datetime.now(UTC), pinned=pin), staging)
            click.echo(_INSTALLED.format(id=offer.id, lesson=offer.track.lessons[0].id))
        if os.geteuid() != 0:
            click.echo(_wrapped(str(_FOR_THIS_USER), ""))
    return 0


@track.command("list", help=str(Text(es="Los tracks instalados.", en="The installed tracks.")))
def list_tracks() -> int:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.thirdparty.installed import InstalledTracks

    installed = InstalledTracks.default()
    catalog = Catalog.of_installed(installed)
    problems = {problem.id: problem.sentence for problem in catalog.problems}
    tracks = {track.id: track for track in catalog.tracks}
    for id_ in installed.ids():
        if id_ in problems:
            click.echo(f"✗ {id_}")
        else:
            count = len(tracks[id_].lessons)
            click.echo(f"✓ {id_}  {tracks[id_].title}  {_LESSONS.format(count=count)}")
        click.echo(f"    {_origin(installed, id_)}")
        if id_ in problems:
            click.echo(_wrapped(str(problems[id_]), "    "))
    if not installed.ids():
        click.echo(_NO_TRACKS)
    return 1 if problems else 0


@track.command(help=str(Text(es="Todo lo que se sabe del track ID.", en="All that is known of track ID.")))
@click.argument("id_", metavar="ID")
def show(id_: str) -> int:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.thirdparty.installed import InstalledTracks

    installed = InstalledTracks.default()
    record = installed.record(id_)
    catalog = Catalog.of_installed(installed)
    found = next((track for track in catalog.tracks if track.id == id_), None)
    click.echo(f"{found.title if found else id_} ({id_})")
    _tell(_SOURCE, str(record.source) + (f" ({record.directory})" if record.directory else ""))
    if record.source.kind != "directory":
        _tell(_RESOLVED[record.source.kind], record.resolved)
    _tell(_HASH, record.tree)
    _tell(_WHERE, str(installed.copy_of(id_, record)))
    _tell(_SINCE, record.agreed)
    _tell(_PINNED, str(_YES_WORD if record.pinned else _NO_WORD))
    click.echo(_privileges(record.privileges))
    if found is None:
        problem = next(problem for problem in catalog.problems if problem.id == id_)
        click.echo(_wrapped(f"✗ {problem.sentence}", ""))
        return 1
    for lesson in found.lessons:
        click.echo(f"  {lesson.id:28} {lesson.structure.minutes:>3} min  {lesson.title}")
    return 0


@track.command(
    help=str(
        Text(
            es="Trae otra vez los tracks ID (sin ninguno, todos) de donde vinieron. Los fijados se quedan "
            "como están.",
            en="Get tracks ID (without any, all) again from where they came. Those that are pinned stay as "
            "they are.",
        )
    )
)
@_IDS
@_YES
def update(ids: Sequence[str], yes: bool) -> int:
    from kubelab.lessons.thirdparty.installed import InstalledTracks

    installed = InstalledTracks.default()
    if not (ids or installed.ids()):
        click.echo(_NO_TRACKS)
    failed = False
    for id_ in ids or installed.ids():
        try:
            click.echo(f"{id_}: {_update(installed, id_, installed.record(id_), yes)}")
        except LabError as error:
            failed = True
            _complain(error, f"{id_}: ")
    return 1 if failed else 0


@track.command(
    help=str(
        Text(
            es="Fija los tracks ID en su estado actual: `update` no los cambia.",
            en="Pin tracks ID to their present state: `update` does not change them.",
        )
    )
)
@_SOME_IDS
def pin(ids: Sequence[str]) -> None:
    _set_pinned(ids, _IS_PINNED, pinned=True)


@track.command(
    help=str(Text(es="Deja que `update` cambie los tracks ID.", en="Let `update` change tracks ID again."))
)
@_SOME_IDS
def unpin(ids: Sequence[str]) -> None:
    _set_pinned(ids, _IS_NOT_PINNED, pinned=False)


@track.command(
    help=str(
        Text(
            es="Quita los tracks ID; lo que hayas hecho en ellos se recuerda.",
            en="Remove tracks ID; what you have done in them is remembered.",
        )
    )
)
@_SOME_IDS
def remove(ids: Sequence[str]) -> None:
    from kubelab.lessons.thirdparty.installed import InstalledTracks

    installed = InstalledTracks.default()
    for id_ in ids:
        installed.remove(id_)
        click.echo(_REMOVED.format(id=id_))


def _set_pinned(ids: Sequence[str], said: Text, *, pinned: bool) -> None:
    from kubelab.lessons.thirdparty.installed import InstalledTracks

    installed = InstalledTracks.default()
    for id_ in ids:
        record = installed.set_pinned(id_, pinned=pinned)
        click.echo(f"{id_}: {said.format(state=record.resolved[:SHORT])}")


def _refuse_taken(installed: "InstalledTracks", offer: "Offer") -> None:
    from kubelab.lessons.catalog import own_ids

    if offer.id in own_ids():
        raise LabError(_BUILT_IN.format(id=offer.id))
    if offer.id in installed.ids():
        try:
            source = installed.record(offer.id).source
        except LabError:
            source = None
        said = _THERE if source == offer.source else _TAKEN
        raise LabError(said.format(id=offer.id, source=source or "?"))


def _update(installed: "InstalledTracks", id_: str, record: "Record", yes: bool) -> Text:
    """Bring the track up to date; return what has happened. Raises LabError."""
    from kubelab.lessons.thirdparty.installed import record_of
    from kubelab.lessons.thirdparty.offer import offered_again

    sound = installed.is_sound(id_)
    if record.pinned and sound:
        return _STAYS.format(state=record.resolved[:SHORT])
    with installed.staging() as staging:
        fetched = _fetch(record.source, staging, record.resolved if record.pinned else "")
        offer = offered_again(fetched, id_, record.directory)
        new = record_of(offer, datetime.now(UTC), pinned=record.pinned)
        if record.pinned and new.tree != record.tree:
            raise LabError(_PIN_LOST.format(id=id_))
        change = {"old": record.resolved[:SHORT], "new": new.resolved[:SHORT]}
        if sound and new.tree == record.tree and set(new.privileges) <= set(record.privileges):
            return _UNCHANGED.format(state=change["old"])
        if not set(new.privileges) <= set(record.privileges):
            click.echo(_described(offer))
            if not _agreed(_MORE.format(id=id_), yes):
                return _KEPT.format(**change)
        installed.replace(offer, new, staging)
        return (_UPDATED if change["old"] != change["new"] else _MENDED).format(**change)


def _fetch(source: "Source", staging: Path, resolved: str = "") -> "Fetched":
    from kubelab.lessons.thirdparty.fetching import fetch

    place = staging / "git"
    place.mkdir()
    line = _Progress(source)
    try:
        return fetch(source, place, line.tell, resolved)
    finally:
        line.erase()


class _Progress:
    """What takes its time, for whoever waits: on a terminal one line that changes, elsewhere a single one."""

    def __init__(self, source: "Source") -> None:
        self._source = source
        self._told = False

    def tell(self, elapsed_s: float) -> None:
        line = str(_FETCHING.format(source=self._source, seconds=round(elapsed_s)))
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
        elif not self._told:
            click.echo(line, err=True)
        self._told = True

    def erase(self) -> None:
        if self._told and sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)


def _described(offer: "Offer") -> str:
    """Return what whoever agrees should know: what it is, from where, and what it may do."""
    count = str(_LESSONS.format(count=len(offer.track.lessons)))
    kind = _RESOLVED[offer.source.kind]
    lines = [
        f"{offer.track.title} ({offer.id}), {count}",
        f"  {_SOURCE}: {offer.source}",
        f"  {kind}: {offer.resolved[:SHORT]}",
        *(_wrapped(f"{_WARNING}: {problem}", "  ", "  ") for problem in offer.warnings),
        _privileges(offer.privileges),
    ]
    return "\n".join(lines)


def _privileges(privileges: Sequence[str]) -> str:
    from kubelab.lessons.privileges import WORDS

    known = [_wrapped(f"- {name}: {WORDS[name]}", "    ", "  ") for name in privileges if name in WORDS]
    return "\n".join([f"  {_MAY}", *known])


def _agreed(question: Text, yes: bool) -> bool:
    """Ask, unless *yes*. Raises LabError where there is nobody to ask."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError(_NOBODY)
    click.echo("")
    click.echo(_wrapped(str(question), ""))
    try:
        answer: str = click.prompt(str(_ASK), default="", show_default=False, prompt_suffix=" ")
    except click.Abort:
        click.echo("")
        raise
    return answer.strip().lower() in ("y", "yes", "s", "si", "sí")


def _complain(error: LabError, prefix: str = "") -> None:
    click.echo(f"kubelab: {prefix}{_told(error)}", err=True)


def _told(error: LabError) -> LabError:
    """Print the problems of a faulty track, as `kubelab lesson lint` does; return the error itself."""
    from kubelab.lessons.thirdparty.offer import FaultyTrackError

    if isinstance(error, FaultyTrackError):
        for problem in error.problems:
            click.echo(f"{_WARNING}: {problem}" if problem.advice else str(problem), err=True)
    return error


def _origin(installed: "InstalledTracks", id_: str) -> str:
    try:
        record = installed.record(id_)
    except LabError as error:
        return str(error)
    pinned = f"  {_PINNED_MARK}" if record.pinned else ""
    return f"{record.source}  {record.resolved[:SHORT]}{pinned}"


def _tell(label: Text, value: str) -> None:
    click.echo(f"  {label}: {value}")


def _wrapped(text: str, indent: str, hanging: str = "") -> str:
    return click.wrap_text(text, 100, indent, indent + hanging)


_SOURCE = Text(es="de", en="from")
_RESOLVED = {
    "git": Text(es="commit", en="commit"),
    "archive": Text(es="SHA-256", en="SHA-256"),
    "directory": Text(es="hash", en="hash"),
}
_HASH = Text(es="hash", en="hash")
_WHERE = Text(es="copia", en="copy")
_SINCE = Text(es="aceptado", en="agreed")
_PINNED = Text(es="fijado", en="pinned")
_PINNED_MARK = Text(es="[fijado]", en="[pinned]")
_YES_WORD = Text(es="sí", en="yes")
_NO_WORD = Text(es="no", en="no")
_LESSONS = Text(es="lecciones: {count}", en="lessons: {count}")
_MAY = Text(es="Puede:", en="It may:")
_WARNING = Text(es="aviso", en="warning")
_FETCHING = Text(es="Trayendo {source} ({seconds} s)…", en="Getting {source} ({seconds} s)…")
_TRUST = Text(
    es="El laboratorio protege este equipo de accidentes, no de mala fe: root en una de sus máquinas es "
    "root. Acepta solo si te fías de quien lo escribió.",
    en="The lab keeps accidents away from this computer, not malice: root on one of its machines is root. "
    "Agree only if you trust whoever wrote this.",
)
_MORE = Text(
    es="La versión nueva de «{id}» pide más que la que aceptaste.",
    en="The new version of “{id}” asks for more than the one that you agreed to.",
)
_ASK = Text(es="¿Aceptas? [s/N]", en="Do you agree? [y/N]")
_NOBODY = Text(
    es="esto hay que aceptarlo, y aquí no hay terminal en el que preguntar: repítelo con --yes si te fías.",
    en="this has to be agreed to, and there is no terminal here to ask on: say --yes if you trust it.",
)
_NOTHING_DONE = Text(es="No se ha instalado nada.", en="Nothing was installed.")
_INSTALLED = Text(
    es="✓ {id} está instalado: `kubelab`, o `kubelab --plain {lesson}`.",
    en="✓ {id} is installed: `kubelab`, or `kubelab --plain {lesson}`.",
)
_FOR_THIS_USER = Text(
    es="Es para tu usuario: si abres el laboratorio con sudo, añádelo también con sudo.",
    en="It is there for your user: if you open the lab with sudo, add it with sudo as well.",
)
_NO_TRACKS = Text(
    es="No hay tracks instalados: `kubelab track add SOURCE` añade uno.",
    en="No tracks are installed: `kubelab track add SOURCE` adds one.",
)
_BUILT_IN = Text(
    es="kubelab, o KUBELAB_LESSONS, trae ya un track «{id}»: pide a su autor otro id.",
    en="kubelab, or KUBELAB_LESSONS, has a track “{id}” already: ask its author for another id.",
)
_THERE = Text(
    es="«{id}» ya está instalado desde ahí: `kubelab track update {id}` lo actualiza.",
    en="“{id}” is installed from there already: `kubelab track update {id}` brings it up to date.",
)
_TAKEN = Text(
    es="ya hay un track «{id}», de {source}: quítalo antes con `kubelab track remove {id}`.",
    en="there is a track “{id}” already, from {source}: take it away first with `kubelab track remove {id}`.",
)
_STAYS = Text(es="fijado en {state}, se queda.", en="pinned to {state}, it stays.")
_UNCHANGED = Text(es="sin cambios ({state}).", en="unchanged ({state}).")
_UPDATED = Text(es="{old} → {new}", en="{old} → {new}")
_MENDED = Text(es="{new}, como debía estar.", en="{new}, as it should be.")
_KEPT = Text(es="se queda en {old}.", en="it stays at {old}.")
_PIN_LOST = Text(
    es="de donde vino ya no está lo que se fijó: `kubelab track unpin {id}`, y actualízalo otra vez.",
    en="what was pinned is no longer there where it came from: `kubelab track unpin {id}`, and update again.",
)
_IS_PINNED = Text(es="fijado en {state}.", en="pinned to {state}.")
_IS_NOT_PINNED = Text(
    es="ya no está fijado (en {state} por ahora).", en="no longer pinned (at {state} for now)."
)
_REMOVED = Text(
    es="✓ {id} se ha quitado; tu progreso se queda.", en="✓ {id} is removed; your progress stays."
)
