"""The columns that `kubectl get` shows of a custom resource: those of its definition, by JSONPath.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor/
tableconvertor.go; client-go/util/jsonpath (how a value is printed).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from kubelab.cluster.apiserver.columns import Cells, Column
from kubelab.cluster.apiserver.crd.values import go_number
from kubelab.cluster.apiserver.durations import since
from kubelab.cluster.jsonpath import JsonPath
from kubelab.cluster.objects import Object

_META = "k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta"
_NAME = Column("Name", documents=f"{_META}.name")
_AGE_PATH = ".metadata.creationTimestamp"
_AGE = Column("Age", "date", documents=f"{_META}.creationTimestamp")


def columns(definitions: Sequence[Object]) -> tuple[Column, ...]:
    """Return the columns of a version with these additional ones; without any, the age is one."""
    return (_NAME, *(map(_column, definitions) if definitions else (_AGE,)))


def _column(definition: Object) -> Column:
    told = f"Custom resource definition column (in JSONPath format): {definition['jsonPath']}"
    return Column(
        definition["name"],
        definition["type"],
        definition.get("priority") or 0,
        definition.get("description") or told,
        format=definition.get("format") or "",
    )


def cells(definitions: Sequence[Object]) -> Callable[[Object, datetime], Cells]:
    """Return what makes the row of an object."""
    named = [(each["type"], each["jsonPath"]) for each in definitions] or [("date", _AGE_PATH)]
    paths = [(type_, _path(text)) for type_, text in named]

    def row(obj: Object, now: datetime) -> Cells:
        found = [_first(path, obj, type_, now) for type_, path in paths]
        return [obj["metadata"]["name"], *found]

    return row


def _path(text: str) -> JsonPath | None:
    try:
        return JsonPath.parse(f"{{{text}}}")
    except ValueError:
        return None


def _first(path: JsonPath | None, obj: Object, type_: str, now: datetime) -> Any:
    found = path.find(obj) if path else []
    return _cell(found[0], type_, now) if found else None


def _cell(value: Any, type_: str, now: datetime) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if type_ == "string":
        return printed(value)
    if type_ == "date":
        return _age(value, now) if isinstance(value, str) else None
    if type_ == "boolean":
        return value if isinstance(value, bool) else None
    if not is_number:
        return None
    return int(value) if type_ == "integer" else float(value)


def printed(value: Any) -> str:
    """Return *value* as kubectl's JSONPath prints it: JSON for what has parts."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else go_number(value)


def _age(text: str, now: datetime) -> str:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return "<invalid>"
    if moment is not None and moment.tzinfo is None:
        return "<invalid>"
    return since(text or None, now)
