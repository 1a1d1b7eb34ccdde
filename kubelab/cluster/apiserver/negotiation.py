"""In which form a client wants its answer, and which kind of body it sends.

A form is what is said (the object, a table, its metadata alone), a media type how. Of what a client likes
equally well it gets JSON, which costs nothing here (objects are kept so): protobuf and YAML are for those who
take nothing else. Upstream would take the first that is named.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go,
handlers/rest.go (AllowsMediaTypeTransform).
Left out: CBOR, which upstream has behind a feature gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from kubelab.cluster.apiserver import refusals

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
BODIES = (JSON, YAML, PROTOBUF)
STREAMED = (JSON, PROTOBUF)
_OF_A_WATCH = ";stream=watch"
META_V1 = "meta.k8s.io/v1"
_META_VERSIONS = {"v1": META_V1, "v1beta1": "meta.k8s.io/v1beta1"}  # Of the same fields.
_ACCEPTS_REMEMBERED = 64  # Clients have few ways to ask, and ask so each time.


class Form(StrEnum):
    OBJECT = "object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class Accepted:
    """`meta_version` is the apiVersion of a form that is not the object itself."""

    form: Form = Form.OBJECT
    media_type: str = JSON
    meta_version: str = META_V1


@dataclass(frozen=True, slots=True)
class _Clause:
    media_type: str
    quality: float
    parameters: dict[str, str]


@lru_cache(_ACCEPTS_REMEMBERED)
def accepted(
    accept: str, *, has_protobuf: bool = True, has_table: bool = True, stream: bool = False
) -> Accepted:
    """Return what *accept* likes best of what there is for a kind.

    Raises:
        ApiError: 406, nothing of it.
    """
    offered = STREAMED if stream else BODIES
    found = list(_acceptable(accept, offered, has_protobuf=has_protobuf, has_table=has_table))
    if not found:
        raise refusals.not_acceptable([f"{each}{_OF_A_WATCH}" for each in offered] if stream else offered)
    quality, best = found[0]
    as_json = replace(best, media_type=JSON)
    return as_json if (quality, as_json) in found else best


def of_document(accept: str) -> str:
    """Return the media type for what has one form alone, a refusal say; JSON if nothing is acceptable."""
    found = _acceptable(accept, BODIES, has_protobuf=True)
    media_types = [each.media_type for _, each in found]
    return JSON if JSON in media_types else next(iter(media_types), JSON)


def _acceptable(
    accept: str, offered: tuple[str, ...], *, has_protobuf: bool, has_table: bool = True
) -> Iterator[tuple[float, Accepted]]:
    for clause in _clauses(accept):
        wanted = _wanted(clause.parameters)
        if wanted is None or (wanted.form is Form.TABLE and not has_table):
            continue
        for media_type in offered:
            told = replace(wanted, media_type=media_type)
            if _matches(clause.media_type, media_type) and _has(told, has_protobuf=has_protobuf):
                yield clause.quality, told


def _clauses(accept: str) -> list[_Clause]:
    """Return the clauses of *accept*, those that are liked most first."""
    clauses = (_clause(text) for text in (accept or "*/*").split(","))
    return sorted((each for each in clauses if each.quality > 0), key=lambda each: -each.quality)


def _clause(text: str) -> _Clause:
    media_type, *parameters = (part.strip() for part in text.split(";"))
    named = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
    try:
        quality = float(named.pop("q", "1"))
    except ValueError:
        quality = 1.0
    return _Clause(media_type.lower(), quality, named)


def _matches(wanted: str, media_type: str) -> bool:
    return wanted in {media_type, "*/*", "application/*"}


def _wanted(parameters: dict[str, str]) -> Accepted | None:
    """Return the form that a clause asks for, None if there is none such."""
    if parameters.get("stream", "watch") != "watch":
        return None
    if not {"as", "g", "v"} & parameters.keys():
        return Accepted()
    version = _META_VERSIONS.get(parameters.get("v", ""))
    if parameters.get("g") != "meta.k8s.io" or version is None or parameters.get("as") not in set(Form):
        return None
    return Accepted(Form(parameters["as"]), meta_version=version)


def _has(wanted: Accepted, *, has_protobuf: bool) -> bool:
    """Tell whether a kind can be had so: tables have no messages, metadata alone has one for each kind (here
    that of v1)."""
    if wanted.media_type != PROTOBUF:
        return True
    if wanted.form is Form.OBJECT:
        return has_protobuf
    return wanted.form is not Form.TABLE and wanted.meta_version == META_V1


def media_type(content_type: str) -> str:
    """Return the media type alone, JSON when none is given."""
    return content_type.partition(";")[0].strip().lower() or JSON
