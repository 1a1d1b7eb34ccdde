"""The names of images: normalised as containerd does, and the pull policy that Kubernetes gives them. Pure.

Source: distribution/reference, normalize.go (ParseDockerRef) and regexp.go; kubernetes, pkg/apis/core/v1/
defaults.go (SetDefaults_Container).
Left out: digests other than sha256.
"""

import functools
import re
from dataclasses import dataclass
from typing import Literal

from kubelab.cluster.images.image import ImageError
from kubelab.language import Text

PullPolicy = Literal["Always", "IfNotPresent", "Never"]

DOCKER_IO = "docker.io"
NAME_LENGTH_MAX = 255
SHOWN_LENGTH_MAX = 120
_KNOWN_MAX = 256
_LEGACY = "index.docker.io"
_OFFICIAL = "library/"
_LATEST = "latest"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?"
    rf"(?:@(?P<digest>sha256:[a-f0-9]{{64}}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """`tag` is empty where there is a digest, as containerd has it: the digest alone says which image."""

    domain: str
    path: str
    tag: str
    digest: str

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The name as people write it."""
        name = self.repository.removeprefix(f"{DOCKER_IO}/{_OFFICIAL}").removeprefix(f"{DOCKER_IO}/")
        return name + self._end()

    def __str__(self) -> str:
        return self.repository + self._end()

    def _end(self) -> str:
        return f"@{self.digest}" if self.digest else f":{self.tag}"


@functools.lru_cache(maxsize=_KNOWN_MAX)
def parse(text: str) -> Reference:
    """Return what *text* refers to, in full.

    Raises:
        ImageError: it is no reference.
    """
    match = _REFERENCE.fullmatch("/".join(_split_domain(text)))
    if match is None or len(match["domain"]) + 1 + len(match["path"]) > NAME_LENGTH_MAX:
        raise ImageError(_INVALID.format(text=shown(text)))
    digest = match["digest"] or ""
    tag = "" if digest else match["tag"] or _LATEST
    return Reference(match["domain"], match["path"], tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_domain = first == "localhost" or any(c in first for c in ".:") or first.lower() != first
    domain, path = (first, rest) if slash and is_domain else (DOCKER_IO, text)
    if domain == _LEGACY:
        domain = DOCKER_IO
    if domain == DOCKER_IO and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def default_policy(text: str) -> PullPolicy:
    """Return the imagePullPolicy of a container that names none."""
    name = text.partition("@")[0].rpartition("/")[2]
    has_digest = "@" in text
    tag = name.partition(":")[2] or ("" if has_digest else _LATEST)
    return "Always" if tag == _LATEST else "IfNotPresent"


def is_digest(text: object) -> bool:
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def shown(text: str) -> str:
    """Return text of somebody else's for one of our sentences: one line, printable, not long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean if len(clean) <= SHOWN_LENGTH_MAX else f"{clean[:SHOWN_LENGTH_MAX]}..."


_INVALID = Text(
    es='"{text}" no nombra una imagen (invalid reference format): se escribe [registro/]nombre[:etiqueta]',
    en='"{text}" names no image (invalid reference format): write [registry/]name[:tag]',
)
