"""Brings what a source has: a tree, and the name of exactly this state of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.thirdparty import git
from kubelab.lessons.thirdparty.archive import read_archive
from kubelab.lessons.thirdparty.source import Source
from kubelab.lessons.tree import Tree, read_tree, tree_hash


@dataclass(frozen=True, slots=True)
class Fetched:
    """`resolved`: the commit, the archive's SHA-256, or the hash of the directory's tree."""

    source: Source
    resolved: str
    tree: Tree


def fetch(source: Source, place: Path, watch: git.Watch, resolved: str = "") -> Fetched:
    """Fetch *source*, as it is now or, from a repository, as it was at the commit *resolved*.

    *place* is an empty directory to work in.

    Raises:
        LabError: it is not there any more, or is refused.
    """
    if source.kind == "git":
        commit = git.fetch(source, place, watch, resolved)
        return Fetched(source, commit.id, commit.tree)
    path = Path(source.location)
    if not path.exists():
        raise LabError(_GONE.format(path=path))
    if source.kind == "directory":
        tree = read_tree(path)
        return Fetched(source, tree_hash(tree), tree)
    tree = read_archive(path)
    with path.open("rb") as file:
        return Fetched(source, hashlib.file_digest(file, "sha256").hexdigest(), tree)


_GONE = Text(
    "{path} ya no está: ponlo ahí otra vez, o añade el track desde donde esté ahora.",
    "{path} is not there any more: put it back, or add the track from where it is now.",
)
