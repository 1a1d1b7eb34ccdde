"""The authors' reference of lesson format 1, made from the code: `lessons/README.md` is what this returns.

The frame is reference.md beside this file. Tables come from the dataclasses that read the YAML: type,
default, and the text that each field is annotated with. What a check says comes from its `example`, evaluated
over a sample of a live state. In English alone: what learners read is in both languages, in the code.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Annotated, Any, Literal, get_args, get_origin

from kubelab.lessons.checks import CHECKS, Check
from kubelab.lessons.checks.kinds import RESOURCES, KindName
from kubelab.lessons.compare import Comparison
from kubelab.lessons.format import (
    Choice,
    Cluster,
    Predict,
    StepCheck,
    StepStructure,
    Structure,
    Variable,
    Wrong,
)
from kubelab.lessons.lint import CODE_COLUMNS, RUNGS, TITLE_COLUMNS
from kubelab.lessons.located import read_yaml
from kubelab.lessons.parse import TrackFile, Translation
from kubelab.lessons.sample import MACHINE, before_and_after
from kubelab.lessons.schema import yaml_name

_FRAME = (TrackFile, Structure, Translation, StepStructure, Wrong, Predict, Variable, Cluster, StepCheck)
_WORDS: Mapping[Any, str] = {str: "text", int: "integer", bool: "true or false", Any: "any value"}


def reference() -> str:
    """Return the whole reference as Markdown."""
    frame = resources.files("kubelab.lessons").joinpath("reference.md").read_text(encoding="utf-8")
    parts = {f"fields {class_.__name__}": _table(class_) for class_ in _FRAME} | {
        "rungs": str(RUNGS),
        "code_columns": str(CODE_COLUMNS),
        "title_columns": str(TITLE_COLUMNS),
        "machine": MACHINE,
        "checks": "\n\n".join(_check(name, class_) for name, class_ in CHECKS.items()),
        "types": "\n\n".join(_type(class_) for class_ in _parts_of_checks()),
    }
    return re.sub(r"\{\{([\w ]+)\}\}", lambda match: parts[match[1]], frame)


def _check(name: str, class_: type[Check]) -> str:
    check = Check.read(read_yaml(class_.example, "example"))
    before, after = before_and_after(check)
    lines = [
        f"### `{name}`",
        "",
        _sentence(class_),
        "",
        _table(class_),
        "",
        f"```yaml\n- {class_.example}\n```",
        "",
        f"- expected: {before.expected.en}",
        *(
            f"- observed when *{finding.verdict}*: {finding.observed.en}" + _look(finding.look)
            for finding in (before, after)
        ),
    ]
    return "\n".join(lines)


def _look(command: str) -> str:
    return f" (look: `{command}`)" if command else ""


def _type(class_: type) -> str:
    served = ", ".join(map(str, map(KindName, RESOURCES)))
    words = f" The lab's own cluster serves: {served}." if class_ is KindName else ""
    return f"### {_title(class_)}\n\n{_sentence(class_)}{words}\n\n{_table(class_)}".rstrip()


def _sentence(class_: type) -> str:
    return " ".join((class_.__doc__ or "").split())


def _table(class_: type) -> str:
    """Return the keys of *class_* as a table; "" for one that is written as a single word."""
    rows = [_row(class_, field) for field in _written_fields(class_)]
    if not rows:
        return ""
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])


def _row(class_: type, field: "dataclasses.Field[Any]") -> str:
    hint = typing.get_type_hints(class_, include_extras=True)[field.name]
    type_, meaning = get_args(hint)[:2]
    return f"| `{yaml_name(field.name)}` | {_named(type_)} | {_default(field)} | {meaning} |"


def _written_fields(class_: type) -> "Iterator[dataclasses.Field[Any]]":
    """Yield the fields with a meaning of their own, but not those that all comparisons share."""
    hints = typing.get_type_hints(class_, include_extras=True)
    shared = typing.get_type_hints(Comparison) if class_ is not Comparison else {}
    for field in dataclasses.fields(class_):
        if get_origin(hints[field.name]) is Annotated and field.name not in shared:
            yield field


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return ""
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default in (None, "", ()):
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _named(type_: Any) -> str:
    """Return how the type is called in the tables, linked to where it is explained."""
    if type_ in _WORDS:
        return _WORDS[type_]
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return _named(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of: {_named(arguments[0])}"
    if origin in (types.UnionType, typing.Union):
        return _named(next(option for option in arguments if option is not type(None)))
    if origin is not None and issubclass(origin, Mapping):
        return f"map of: {_named(arguments[1])}"
    return _link(type_)


def _link(class_: type) -> str:
    if issubclass(class_, Check):
        return "[check](#checks)" if class_ is Check else "[check](#checks) that has a value"
    if class_ is Choice:
        return "[check](#checks) or [comparison](#comparison)"
    title = _HEADINGS.get(class_) or _title(class_)
    return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"


_HEADINGS: Mapping[type, str] = {
    StepStructure: "Steps",
    StepCheck: "Checks",
    Wrong: "Wrong attempts",
    Predict: "Predictions",
    Variable: "Variables",
    Cluster: "Cluster",
}
_TITLES: Mapping[type, str] = {KindName: "Kind of object"}


def _title(class_: type) -> str:
    """Return "Process selector" for ProcessSelector."""
    return _TITLES.get(class_) or re.sub(r"(?<!^)([A-Z])", r" \1", class_.__name__).capitalize()


def _parts_of_checks() -> list[type]:
    """Return every type that a key of a check has and that is explained by itself, by title."""
    found: dict[type, None] = {}
    for class_ in CHECKS.values():
        _collect(class_, found)
        if issubclass(class_, Comparison):
            found[Comparison] = None
    return sorted(found, key=_title)


def _collect(class_: type, found: dict[type, None]) -> None:
    for hint in typing.get_type_hints(class_).values():
        for part in _classes(hint):
            if part not in found:
                found[part] = None
                _collect(part, found)


def _classes(hint: Any) -> Iterator[type]:
    """Yield the dataclasses in a type hint that YAML is read into."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if hasattr(hint, "read") or any(_written_fields(hint)):
            yield hint
        return
    for argument in get_args(hint):
        yield from _classes(argument)
