"""In which form a client wants its answer, and which kind of body it sends.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go.
Left out: protobuf and YAML answers: clients that ask for protobuf offer to take JSON as well.
"""

from enum import StrEnum
from functools import lru_cache

from kubelab.cluster.apiserver import refusals

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
BODIES = (JSON, YAML, PROTOBUF)
_META = "meta.k8s.io"
_ACCEPTS_REMEMBERED = 64  # Clients have few ways to ask, and ask so each time.


class Form(StrEnum):
    OBJECT = "object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"


@lru_cache(_ACCEPTS_REMEMBERED)
def accepted_form(accept: str) -> Form:
    """Return the first form of JSON that *accept* names and we have."""
    for clause in (accept or "*/*").split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        if media_type not in {JSON, "*/*", "application/*"}:
            continue
        named = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if "as" not in named:
            return Form.OBJECT
        if named["as"] in set(Form) and (named.get("g"), named.get("v")) == (_META, "v1"):
            return Form(named["as"])
    raise refusals.not_acceptable((JSON,))


def media_type(content_type: str) -> str:
    """Return the media type alone, JSON when none is given."""
    return content_type.partition(";")[0].strip().lower() or JSON
