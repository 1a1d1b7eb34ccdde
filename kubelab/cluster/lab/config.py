"""What can be chosen about a lab before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.language import Text

MASTERS = (1, 3, 5)
StoreChoice = Literal["raft", "etcd"] | tuple[str, ...]
"""The lab's own store, real members of etcd on the masters, or the URLs of an etcd that is there already."""


@dataclass(frozen=True, slots=True)
class LabConfig:
    """`port` is the API servers' on 127.0.0.1, 0 for a free one. `programs`: what is put on every machine's
    PATH, name to path on the host; a program that is not there is left out. `fresh`: what an earlier lab in
    this directory has kept is forgotten. `command`: what the lab runs when `kubelab` is typed on a machine,
    none for no such thing (`errand`). `store_quota_mib`: what the store keeps at most, None for what
    etcd keeps.

    Raises:
        LabError: there cannot be such a lab.
    """

    minions: int = 2
    port: int = 0
    directory: LabDirectory = field(default_factory=LabDirectory.default)
    programs: Mapping[str, Path] = field(default_factory=dict)
    masters: int | None = None
    store: StoreChoice | None = None
    store_quota_mib: int | None = None
    fresh: bool = False
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.masters is not None and self.masters not in MASTERS:
            raise LabError(_MASTERS.format(count=self.masters))


def store_choice(words: str | None) -> StoreChoice | None:
    """Return what `--store` asks for in *words*.

    Raises:
        LabError: that is no store.
    """
    if words is None:
        return None
    if words in ("raft", "etcd"):
        return "raft" if words == "raft" else "etcd"
    urls = tuple(url.strip().rstrip("/") for url in words.split(","))
    if not all(url.startswith(("https://", "http://")) and len(url) > len("https://") for url in urls):
        raise LabError(_STORE.format(store=words))
    return urls


_MASTERS = Text(
    es="Con {count} masters no se puede: elige 1, 3 o 5, que siempre tienen mayoría.",
    en="There cannot be {count} masters: choose 1, 3 or 5, of which there is always a majority.",
)
_STORE = Text(
    es="No hay ningún almacén {store}: elige raft, etcd o las URL de un etcd (https://…).",
    en="There is no store {store}: choose raft, etcd or the URLs of an etcd (https://…).",
)
