"""What Kubernetes says of its types and fields, read from the docstrings of lightkube-models.

The package has, for every API type, upstream's own sentences and which fields are required. Its modules
need a client library that the lab has no use for, so they are read as text, not imported.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

_PACKAGE = "lightkube-models"
_CLASS = re.compile(r'^class (\w+)\(DictMixin\):\n +r"""(.*?)"""', re.DOTALL | re.MULTILINE)
_PARAMETER = re.compile(r"^\* \*\*(\S+)\*\* ``(.*?)`` - ?", re.MULTILINE)
_PARAMETERS = "**parameters**"


@dataclass(frozen=True, slots=True)
class Description:
    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


def of_type(go_type: str) -> Description:
    """Return what is said of a Go type; nothing if the package does not know it."""
    package, _, name = go_type.rpartition(".")
    docstring = _docstrings(_module(package)).get(name)
    return _parsed(docstring) if docstring else Description()


def _module(package: str) -> str:
    """Return `core_v1` for `k8s.io/api/core/v1`."""
    return "_".join(package.split("/")[-2:]).replace("pkg_", "")


@cache
def _docstrings(module: str) -> Mapping[str, str]:
    return dict(_CLASS.findall(source(module)))


def source(module: str) -> str:
    """Return the text of one module of the package, "" if there is none."""
    from importlib import metadata  # 40 ms, and only `kubectl explain` and its like come here.

    wanted = f"lightkube/models/{module}.py"
    files = [each for each in metadata.files(_PACKAGE) or () if str(each) == wanted]
    return files[0].read_text() if files else ""


def _parsed(docstring: str) -> Description:
    head, _, tail = textwrap.dedent("      " + docstring).partition(_PARAMETERS)
    marks = list(_PARAMETER.finditer(tail))
    ends = [mark.start() for mark in marks[1:]] + [len(tail)]
    fields = {mark[1]: _joined(tail[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)}
    required = frozenset(mark[1] for mark in marks if not mark[2].startswith("Optional"))
    return Description(_joined(head), fields, required)


def _joined(text: str) -> str:
    """Return *text* with its lines joined to paragraphs."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
