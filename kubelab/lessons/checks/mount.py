"""`mount`: what is mounted at a path, as a process or a machine sees it.

Source: mount(8), mount_namespaces(7), proc(5) on mountinfo, Documentation/filesystems/overlayfs.rst. The
mount that counts is the one that is seen: see `mount_table`.
Left out: symbolic links on the way to the mount point: it is named as mountinfo has it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from kubelab.language import Text
from kubelab.lessons.checks.check import NOT_LOOKED_YET, CannotSee, Finding, Scope, check
from kubelab.lessons.checks.mount_table import clean, file_system_of, join, mount_at
from kubelab.lessons.checks.seen_from import SeenFrom
from kubelab.lessons.checks.subject import Subject, View
from kubelab.lessons.observation import Mount, Observation, Unseen
from kubelab.lessons.view import Verdict

Propagation = Literal["private", "shared", "slave", "unbindable"]
MountField = Literal["type", "source", "root", "options", "propagation", "layers", "upper"]

_FIELDS: Mapping[str, Callable[[Mount], Any]] = {
    "type": lambda mount: mount.type,
    "source": lambda mount: mount.source,
    "root": lambda mount: mount.root,
    "options": lambda mount: list(_options(mount)),
    "propagation": lambda mount: _propagation(mount),
    "layers": lambda mount: list(mount.layers()),
    "upper": lambda mount: _option(mount, "upperdir"),
}


@dataclass(frozen=True, slots=True)
class _Wish:
    """One thing that is asked of a mount; `observed` says what is so."""

    expected: Text
    holds: bool
    observed: Text


@check
class MountCheck(SeenFrom):
    """Something is mounted at a path, with these properties, or nothing is. Of several mounts over each other
    the topmost counts. Its value is what `field` names of the mount."""

    mount: Annotated[str, "The mount point, as it is seen from there: a path from the root directory."]
    of: Annotated[Subject, "Who sees it; by default the machine."] = Subject()
    machine: Annotated[str, "The machine that is looked at; by default the lesson's own."] = ""
    absent: Annotated[bool, "Nothing may be mounted there."] = False
    type: Annotated[str | None, "The type of its file system: tmpfs, overlay, proc, ext4, …"] = None
    source: Annotated[str | None, "What is mounted, as findmnt(8) has it under SOURCE."] = None
    root: Annotated[
        str | None, "The directory of the file system that is mounted there; `/` is all of it."
    ] = None
    bind: Annotated[
        bool, "It is a bind mount: a part of a file system, or one that is mounted elsewhere as well."
    ] = False
    options: Annotated[tuple[str, ...], "Options that it has: ro, nosuid, size=64k, …"] = ()
    not_options: Annotated[tuple[str, ...], "Options that it does not have."] = ()
    propagation: Annotated[Propagation | None, "Whether mounts below it are passed on, or received."] = None
    layers: Annotated[
        tuple[str, ...], "Lower directories of the overlay, the uppermost first; all of them."
    ] = ()
    lower: Annotated[str | None, "One of the overlay's lower directories."] = None
    upper: Annotated[str | None, "The overlay's upper directory, where changes go."] = None
    work: Annotated[str | None, "The overlay's work directory."] = None
    field: Annotated[MountField, "What of the mount is the value."] = "type"

    example = "{mount: /mnt/data, of: {comm: bash}, type: tmpfs, options: [nosuid]}"

    def value(self, observation: Observation, scope: Scope) -> Any:
        found = mount_at(*self._table(self.views(observation, scope)[0]))
        return _FIELDS[self.field](found) if found else None

    def expected(self, scope: Scope) -> Text:
        place = self.place(scope)
        if self.absent:
            return Text(
                f"{place.es}, nada montado en {self.mount}", f"{place.en}, nothing mounted on {self.mount}"
            )
        wishes = [wish.expected for wish in self._wishes(_NOTHING, ())]
        es, en = (", ".join(texts) for texts in (map(_es, wishes), map(_en, wishes)))
        return Text(
            f"{place.es}, un montaje en {self.mount}{': ' if wishes else ''}{es}",
            f"{place.en}, a mount on {self.mount}{': ' if wishes else ''}{en}",
        )

    def judge_view(self, view: View, observation: Observation, scope: Scope) -> Finding:
        mounts, path = self._table(view)
        found, look = mount_at(mounts, path), self._look(view)
        if found is None:
            return self.finding(self.absent, scope, _not_mounted(mounts, path), look)
        if self.absent:
            return self.finding(False, scope, _described(found), look)
        missed = [wish.observed for wish in self._wishes(found, mounts) if not wish.holds]
        if not missed:
            return self.finding(True, scope, _described(found), look)
        observed = Text("; ".join(map(_es, missed)), "; ".join(map(_en, missed)))
        return self.finding(False, scope, observed, look)

    def _table(self, view: View) -> tuple[tuple[Mount, ...], str]:
        """Return the mounts of its mount namespace, and the path there. Raises CannotSee."""
        mounts = view.state.mounts.get(view.namespace("mnt") or 0)
        if mounts is None:
            raise CannotSee(NOT_LOOKED_YET, Verdict.NOT_YET)
        if isinstance(mounts, Unseen):
            raise CannotSee(mounts.reason)
        return mounts, join(view.root, self.mount)

    def _look(self, view: View) -> str:
        columns = "TARGET,SOURCE,FSTYPE,OPTIONS,PROPAGATION"
        if view.process is None or view.namespace("mnt") == view.state.namespaces.get("mnt"):
            return f"findmnt -o {columns} {join(view.root, self.mount)}"
        return f"findmnt -N {view.process.pid} -o {columns} {join(view.root, self.mount)}"

    def _wishes(self, mount: Mount, mounts: Sequence[Mount]) -> Iterator[_Wish]:
        """Yield what is asked of *mount*, one of *mounts*."""
        yield from self._identity_wishes(mount)
        if self.bind:
            kind = Text("enlazado (bind)", "a bind mount")
            whole = Text(f"es todo un {mount.type}, no un bind", f"it is a whole {mount.type}, no bind mount")
            yield _Wish(kind, _is_bind(mount, mounts), whole)
        yield from self._option_wishes(mount)
        if self.propagation is not None:
            is_ = _propagation(mount)
            yield _Wish(
                Text(f"propagación {self.propagation}", f"propagation {self.propagation}"),
                self.propagation in is_.split(","),
                Text(f"su propagación es {is_}", f"its propagation is {is_}"),
            )
        yield from self._overlay_wishes(mount)

    def _identity_wishes(self, mount: Mount) -> Iterator[_Wish]:
        if self.type is not None:
            yield _equal(Text("tipo", "type"), self.type, mount.type)
        if self.source is not None:
            yield _equal(Text("origen", "source"), self.source, mount.source)
        if self.root is not None:
            yield _equal(Text("directorio montado", "mounted directory"), clean(self.root), mount.root)

    def _option_wishes(self, mount: Mount) -> Iterator[_Wish]:
        has = _options(mount)
        observed = Text(f"sus opciones son {','.join(has)}", f"its options are {','.join(has)}")
        if self.options:
            wanted = ", ".join(self.options)
            expected = Text(f"opciones {wanted}", f"options {wanted}")
            yield _Wish(expected, set(self.options) <= set(has), observed)
        if self.not_options:
            unwanted = ", ".join(self.not_options)
            expected = Text(f"sin las opciones {unwanted}", f"without the options {unwanted}")
            yield _Wish(expected, not set(self.not_options) & set(has), observed)

    def _overlay_wishes(self, mount: Mount) -> Iterator[_Wish]:
        layers = ":".join(mount.layers())
        if self.layers:
            yield _equal(Text("capas inferiores", "lower layers"), ":".join(self.layers), layers)
        if self.lower is not None:
            yield _Wish(
                Text(f"{self.lower} entre sus capas inferiores", f"{self.lower} among its lower layers"),
                self.lower in mount.layers(),
                Text(f"sus capas inferiores son {layers or '-'}", f"its lower layers are {layers or '-'}"),
            )
        if self.upper is not None:
            yield _equal(Text("capa superior", "upper layer"), self.upper, _option(mount, "upperdir"))
        if self.work is not None:
            yield _equal(
                Text("directorio de trabajo", "work directory"), self.work, _option(mount, "workdir")
            )


_NOTHING = Mount(0, 0, "", "/", "", (), (), "", "", ())


def _equal(name: Text, wanted: str, is_: str | None) -> _Wish:
    return _Wish(
        Text(f"{name.es} {wanted}", f"{name.en} {wanted}"),
        is_ == wanted,
        Text(f"{name.es}: {is_ or '-'}", f"{name.en}: {is_ or '-'}"),
    )


def _es(text: Text) -> str:
    return text.es


def _en(text: Text) -> str:
    return text.en


def _options(mount: Mount) -> tuple[str, ...]:
    """Return the options of the mount and those of its file system; `ro` of either makes it read-only."""
    options = tuple(dict.fromkeys((*mount.options, *mount.super_options)))
    return tuple(option for option in options if option != "rw" or "ro" not in options)


def _option(mount: Mount, name: str) -> str | None:
    pairs = (option.partition("=") for option in mount.super_options)
    return next((value for key, _, value in pairs if key == name), None)


def _propagation(mount: Mount) -> str:
    """Return "shared", "slave", "shared,slave", "unbindable" or "private"."""
    names = {"shared": "shared", "master": "slave", "unbindable": "unbindable"}
    return (
        ",".join(names[tag] for field in mount.propagation if (tag := field.partition(":")[0]) in names)
        or "private"
    )


def _is_bind(mount: Mount, mounts: Sequence[Mount]) -> bool:
    """The kernel does not remember how a mount came about: what a bind mount does is tell from the others."""
    twins = (other for other in mounts if other.id != mount.id and other.device == mount.device)
    return mount.root != "/" or any(other.root == mount.root for other in twins)


def _not_mounted(mounts: Sequence[Mount], path: str) -> Text:
    below = file_system_of(mounts, path)
    if below is None:
        return Text("nada está montado ahí", "nothing is mounted there")
    return Text(
        f"nada está montado ahí: {path} está en lo montado en {below.point} ({below.type})",
        f"nothing is mounted there: {path} lies on what is mounted on {below.point} ({below.type})",
    )


def _described(mount: Mount) -> Text:
    source = mount.source if mount.root == "/" else f"{mount.source}[{mount.root}]"
    options = ",".join(mount.options)
    return Text(
        f"{source} ({mount.type}; {options}) está montado ahí",
        f"{source} ({mount.type}; {options}) is mounted there",
    )
