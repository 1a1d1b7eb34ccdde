"""Tracks of a third party, made of the lesson in `lesson_files`, and repositories and archives of them."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from lesson_files import ENGLISH, SPANISH

from kubelab.lessons.parse import text_hash


@pytest.fixture(autouse=True, scope="module")
def english() -> Iterator[None]:
    """For the test modules that import it: refusals in English."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBELAB_LANG", "en")
        yield


PRIVILEGES = "root-shell, setup"


def track_yaml(id_: str = "puzzles", privileges: str = PRIVILEGES, more: str = "") -> str:
    title = id_.capitalize()
    head = f"format: 1\nid: {id_}\ntitle: {{es: '{title} (es)', en: {title}}}\n"
    return f"{head}privileges: [{privileges}]\nlessons: [01-sleep]\n{more}"


def tree_of(id_: str = "puzzles", *, spanish: str = SPANISH, **options: str) -> dict[str, bytes]:
    """Return the files of a sound track."""
    texts = {
        "track.yaml": track_yaml(id_, **options),
        "01-sleep/es.md": spanish,
        "01-sleep/en.md": ENGLISH.replace("HASH", text_hash(spanish)),
        "01-sleep/files/note.txt": "sleep $SECS",
    }
    return {path: text.encode() for path, text in texts.items()}


def write(tree: dict[str, bytes], directory: Path) -> Path:
    for path, content in tree.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    return directory


def git(directory: Path, *arguments: str) -> str:
    who = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(directory: Path, tree: dict[str, bytes]) -> str:
    """Make a repository, or add to it; return the commit."""
    write(tree, directory)
    git(directory, "init", "--quiet", "--initial-branch=main")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message=x")
    return git(directory, "rev-parse", "HEAD")


def tar(
    path: Path, *members: tarfile.TarInfo, tree: dict[str, bytes] | None = None, mode: str = "w:gz"
) -> Path:
    """Write an archive of the files in *tree*, then of these members, which have no content."""
    with tarfile.open(path, mode) as archive:
        for name, content in (tree or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
        for member in members:
            archive.addfile(member)
    return path


def member(name: str, type_: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = type_, linkname
    return made
