"""Where a track is got from, as a person writes it: a directory, an archive, or a git repository.

    ./my-track   my-track.tar.xz   https://host/tracks.git#v2   host/tracks.git@v2   git@host:me/tracks.git

Pure but for looking whether such a path exists.
Source: git-clone(1), "GIT URLS"; git-check-ref-format(1).
Left out: archives behind a URL (whoever downloads one can look at it first), passwords in URLs (they would
lie in the record; git's and ssh's own helpers keep them better).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.tree import shown

Kind = Literal["directory", "archive", "git"]

TRANSPORTS = ("https", "ssh", "git", "file")

_SCP = re.compile(r"(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^:]+)")
_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/\S*\.git")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_REF_AFTER_AT = re.compile(r"(?P<url>.*\.git/?)@(?P<ref>[^@]*)")


@dataclass(frozen=True, slots=True)
class Source:
    """`location` is an absolute path or a URL; `ref` a branch, tag or commit ("": the repository's HEAD)."""

    kind: Kind
    location: str
    ref: str = ""

    def __str__(self) -> str:
        return f"{self.location}#{self.ref}" if self.ref else self.location

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Raises LabError."""
        path = Path(text)
        if text and _exists(path):
            return cls("directory" if path.is_dir() else "archive", str(path.resolve()))
        location, ref = _split_ref(text)
        url = _url(location)
        if url is None and ref and _exists(Path(location)):
            raise LabError(_REF_OF_DIRECTORY.format(url=shown(f"{Path(location).resolve().as_uri()}#{ref}")))
        if url is None:
            raise LabError(_NOTHING.format(text=shown(text)))
        _check_url(url)
        if ref and not is_ref(ref):
            raise LabError(_BAD_REF.format(ref=shown(ref)))
        return cls("git", url, ref)


def is_ref(text: str) -> bool:
    return bool(_REF.fullmatch(text)) and ".." not in text and not text.endswith((".lock", "/", "."))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # Too long for a path, or with a zero byte in it.
        return False


def _split_ref(text: str) -> tuple[str, str]:
    location, separator, ref = text.partition("#")
    if separator:
        if not ref:
            raise LabError(_BAD_REF.format(ref=""))
        return location, ref
    if match := _REF_AFTER_AT.fullmatch(text):
        if not match["ref"]:
            raise LabError(_BAD_REF.format(ref=""))
        return match["url"], match["ref"]
    return text, ""


def _url(text: str) -> str | None:
    """Return the URL that *text* is or stands for, None if it looks like none."""
    if "::" in text:  # A remote helper, which is a program: ext::, fd::.
        raise _transport(text.partition("::")[0])
    if "://" in text:
        return text.removeprefix("git+")
    if match := _SCP.fullmatch(text):
        return f"ssh://{match['user']}@{match['host']}/{match['path'].lstrip('/')}"
    return f"https://{text}" if _BARE.fullmatch(text) else None


def _check_url(url: str) -> None:
    if shown(url) != url or any(character.isspace() for character in url):
        raise LabError(_NOTHING.format(text=shown(url)))
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise LabError(_NOTHING.format(text=shown(url))) from error
    if parts.scheme not in TRANSPORTS:
        raise _transport(parts.scheme)
    if parts.password is not None:
        raise LabError(_PASSWORD)
    # ssh would take a host or a user with a hyphen before it for an option.
    if host.startswith("-") or (parts.username or "").startswith("-") or parts.path in ("", "/"):
        raise LabError(_NOTHING.format(text=shown(url)))
    if bool(host) == (parts.scheme == "file"):
        raise LabError(_NOTHING.format(text=shown(url)))


def _transport(scheme: str) -> LabError:
    listed = ", ".join(TRANSPORTS)
    return LabError(_TRANSPORT.format(scheme=shown(scheme), listed=listed))


_NOTHING = Text(
    "«{text}» no es un directorio, ni un archivo, ni una URL de git: revisa cómo está escrito.",
    "“{text}” is no directory, no archive and no git URL: look at how it is written.",
)
_REF_OF_DIRECTORY = Text(
    "de un directorio se toma lo que hay en él; para un #REF de su repositorio escribe {url}.",
    "of a directory, what is in it is taken; for a #REF of its repository write {url}.",
)
_TRANSPORT = Text(
    "no se usa «{scheme}» para traer tracks: solo {listed}.",
    "“{scheme}” is not used to get tracks: only {listed}.",
)
_BAD_REF = Text(
    "«{ref}» no es una rama, etiqueta ni commit: escribe URL#v1, por ejemplo.",
    "“{ref}” is no branch, tag or commit: write URL#v1, for example.",
)
_PASSWORD = Text(
    "esa URL lleva una contraseña, que quedaría guardada: usa ssh, o quítala.",
    "that URL has a password in it, which would be kept: use ssh, or leave it out.",
)
