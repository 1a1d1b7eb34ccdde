"""Progress as a file that people can keep, hand in or take to another machine: JSON, or CSV for spreadsheets.

Pure. `merge` never takes anything back: a step that either side has passed is passed, at the earlier time; of
the hints the larger count stays; where both sides know a lesson, mine keeps its variables and its place.
CSV has one line per step, and the lesson's own columns on each; a lesson without a step has one line with an
empty step.
"""

import csv
import datetime
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from kubelab.language import Text
from kubelab.lessons import schema
from kubelab.lessons.located import LessonError, Node, unknown
from kubelab.lessons.merge import merge
from kubelab.lessons.record import LessonRecord, StepRecord

FORMAT = 1
HINTS_MAX = 99
FileFormat = Literal["csv", "json"]

COLUMNS = ("lesson", "step", "passed", "hints", "hints-at-pass", "at", "seed", "variables")


@dataclass(frozen=True, slots=True)
class _File:
    format: int
    lessons: tuple[LessonRecord, ...]


def export(records: Sequence[LessonRecord], format_: FileFormat) -> str:
    return _to_csv(records) if format_ == "csv" else _to_json(records)


def parse(text: str, file: str) -> tuple[LessonRecord, ...]:
    """Read what `export` wrote; which of the two formats it is shows in its first character.

    Raises:
        LessonError: it is neither, or a value is not as it must be; with file and line.
    """
    if text.lstrip().startswith(("{", "[")):
        root = _json_node(text, file)
        parsed = schema.read(_File, root)
        if parsed.format != FORMAT:
            raise root.mapping()["format"].error(
                f"el formato {parsed.format} no se conoce; este kubelab lee el {FORMAT}.",
                f"format {parsed.format} is unknown; this kubelab reads {FORMAT}.",
            )
        nodes = root.mapping()["lessons"].sequence()
    else:
        nodes = _csv_nodes(text, file)
    records = [_checked(schema.read(LessonRecord, node), node) for node in nodes]
    return merge((), records)


def _checked(record: LessonRecord, node: Node) -> LessonRecord:
    """Refuse what the types allow and progress cannot be."""
    if not record.lesson:
        raise node.error("falta el id de la lección.", "the lesson's id is missing.")
    steps = node.mapping().get("steps")
    places = steps.sequence() if steps else []
    for step, place in zip(record.steps, places, strict=True):
        _check_step(step, place)
    return record


def _check_step(step: StepRecord, place: Node) -> None:
    if not step.step:
        raise place.error("falta el id del paso.", "the step's id is missing.")
    for hints in (step.hints, step.hints_at_pass or 0):
        if not 0 <= hints <= HINTS_MAX:
            raise place.error(
                f"{hints} no es un número de pistas: va de 0 a {HINTS_MAX}.",
                f"{hints} is no number of hints: it goes from 0 to {HINTS_MAX}.",
            )
    if step.passed is None:
        return
    try:
        datetime.datetime.strptime(step.passed, "%Y-%m-%d %H:%M:%S")  # UTC, as SQLite has it
    except ValueError:
        raise place.error(
            f"«{step.passed}» no es una fecha como 2026-01-31 09:30:00.",
            f"“{step.passed}” is no time like 2026-01-31 09:30:00.",
        ) from None


def _step_fields(step: StepRecord) -> dict[str, Any]:
    return {
        "step": step.step,
        "passed": step.passed,
        "hints": step.hints,
        "hints-at-pass": step.hints_at_pass,
    }


def _lesson_fields(record: LessonRecord) -> dict[str, Any]:
    return {
        "lesson": record.lesson,
        "at": record.at,
        "seed": record.seed,
        "variables": dict(record.variables),
    }


def _to_json(records: Iterable[LessonRecord]) -> str:
    lessons = [_lesson_fields(record) | {"steps": _written(record.steps)} for record in records]
    return json.dumps({"format": FORMAT, "lessons": lessons}, indent=1, ensure_ascii=False) + "\n"


def _written(steps: Iterable[StepRecord]) -> list[dict[str, Any]]:
    return [{key: value for key, value in _step_fields(step).items() if value is not None} for step in steps]


def _to_csv(records: Iterable[LessonRecord]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for record in records:
        lesson = _lesson_fields(record)
        lesson["variables"] = json.dumps(lesson["variables"], ensure_ascii=False)
        writer.writerows([lesson | _step_fields(step) for step in record.steps] or [lesson])
    return out.getvalue()


def _json_node(text: str, file: str) -> Node:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        problem = Text(f"no es JSON válido ({error.msg}).", f"this is not valid JSON ({error.msg}).")
        raise LessonError(file, error.lineno, problem) from error
    return _place(value, _composed(text), file)


def _composed(text: str) -> yaml.Node | None:
    """JSON is YAML but for some rare characters: its composer knows the lines, which json does not tell."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None


def _place(value: Any, where: yaml.Node | None, file: str, line: int = 1) -> Node:
    line = where.start_mark.line + 1 if where else line
    if isinstance(value, dict):
        places = (
            {key.value: place for key, place in where.value} if isinstance(where, yaml.MappingNode) else {}
        )
        entries = {key: _place(item, places.get(key), file, line) for key, item in value.items()}
        return Node(entries, file, line)
    if isinstance(value, list):
        items = where.value if isinstance(where, yaml.SequenceNode) else [None] * len(value)
        return Node([_place(item, at, file, line) for item, at in zip(value, items, strict=True)], file, line)
    if (
        isinstance(value, str)
        and not value.isprintable()
        and any("\ud800" <= sign <= "\udfff" for sign in value)
    ):
        raise LessonError(
            file, line, Text("hay medio carácter Unicode.", "there is half a Unicode character.")
        )
    return Node(value, file, line)


def _csv_nodes(text: str, file: str) -> list[Node]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    nodes: list[Node] = []
    try:
        header = next(reader, [])
        _check_header(header, file)
        begin = reader.line_num + 1
        for row in reader:
            if row:
                nodes.append(_row(header, row, file, begin))
            begin = reader.line_num + 1
    except csv.Error as error:
        problem = Text(f"no es CSV válido ({error}).", f"this is not valid CSV ({error}).")
        raise LessonError(file, reader.line_num, problem) from error
    return nodes


def _check_header(header: Sequence[str], file: str) -> None:
    place = Node(None, file, 1)
    for column in header:
        if column not in COLUMNS:
            raise unknown(place, Text("columna", "column"), column, COLUMNS)
    for column in COLUMNS:
        if header.count(column) != 1:
            raise place.error(
                f"la columna «{column}» debe estar una vez.", f"the column “{column}” must be there once."
            )


def _row(header: Sequence[str], row: Sequence[str], file: str, line: int) -> Node:
    """Return a row as a lesson with one step, or none."""
    if len(row) != len(header):
        problem = Text(
            f"hay {len(row)} valores y no {len(header)}.", f"there are {len(row)} values, not {len(header)}."
        )
        raise LessonError(file, line, problem)
    cells = dict(zip(header, row, strict=True))
    lesson: dict[str, Node] = {key: Node(cells[key], file, line) for key in ("lesson", "at", "seed")}
    lesson["variables"] = _cell_json(cells["variables"], file, line)
    step = {key: Node(cells[key], file, line) for key in ("step", "passed") if cells[key]}
    step |= {key: _cell_integer(cells[key], file, line) for key in ("hints", "hints-at-pass") if cells[key]}
    steps = [Node(step, file, line)] if step else []
    return Node(lesson | {"steps": Node(steps, file, line)}, file, line)


def _cell_json(cell: str, file: str, line: int) -> Node:
    try:
        return _place(json.loads(cell), None, file, line)
    except json.JSONDecodeError as error:
        problem = Text(
            f"en variables no hay JSON válido ({error.msg}).", f"variables has no valid JSON ({error.msg})."
        )
        raise LessonError(file, line, problem) from error


def _cell_integer(cell: str, file: str, line: int) -> Node:
    if not cell.isascii() or not cell.isdigit():
        problem = Text(f"«{cell}» no es un número de pistas.", f"“{cell}” is no number of hints.")
        raise LessonError(file, line, problem)
    return Node(int(cell), file, line)
