"""A field of a cgroup by its cgroup-v2 name: which file it is in, and what of the file is meant.

Source: Documentation/admin-guide/cgroup-v2.rst, "Interface Files" (single values, flat keyed, nested keyed).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kubelab.language import Text
from kubelab.lessons.located import Node, unknown
from kubelab.lessons.question import Question

CONTROLLERS = ("cgroup", "cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma")
KEYED = (
    "cgroup.events", "cgroup.stat", "cpu.stat", "cpu.stat.local", "io.max", "io.stat", "memory.events",
    "memory.events.local", "memory.stat", "memory.swap.events", "pids.events", "pids.events.local",
    "cpu.pressure", "io.pressure", "memory.pressure",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CgroupField:
    """A file by its cgroup-v2 name, with a key in it if it has keys: `memory.max`, `memory.events.oom_kill`,
    `cpu.stat.nr_throttled`, `memory.pressure.some.total`, `io.stat.rbytes` (of all devices together)."""

    file: str
    key: str = ""

    @classmethod
    def read(cls, node: Node) -> "CgroupField":
        text = node.text()
        controller = text.partition(".")[0]
        if controller not in CONTROLLERS:
            raise unknown(node, Text("controlador", "controller"), controller, CONTROLLERS)
        if not re.fullmatch(r"[a-z]+(\.[A-Za-z0-9_:]+)+", text):
            raise node.error(
                f"«{text}» no es un campo como memory.max.", f"“{text}” is no field like memory.max."
            )
        keyed = [name for name in KEYED if text.startswith(f"{name}.")]
        file = text if text in KEYED or not keyed else max(keyed, key=len)
        return cls(file, text.removeprefix(file).removeprefix("."))

    def __str__(self) -> str:
        return f"{self.file}.{self.key}" if self.key else self.file

    def value(self, text: str) -> int | str | None:
        """Return what *text*, the file's, says of it; None if the key is not in there."""
        if not self.key:
            return _typed(" ".join(text.split()))
        return _keyed(text, self.key)


def _keyed(text: str, key: str) -> int | str | None:
    """A key of a nested-keyed file is that of one line (`8:0.rbytes`), or else the sum of all lines'."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    flat = {words[0]: words[1] for words in lines if len(words) == 2 and "=" not in words[1]}
    if key in flat:
        return _typed(flat[key])
    nested = {words[0]: _pairs(words[1:]) for words in lines}
    name, _, below = key.rpartition(".")
    if name in nested:
        return _typed(nested[name][below]) if below in nested[name] else None
    return _together([pairs[key] for pairs in nested.values() if key in pairs])


def _pairs(words: list[str]) -> Mapping[str, str]:
    return {name: value for name, is_, value in (word.partition("=") for word in words) if is_}


def _together(values: list[str]) -> int | str | None:
    """Return the sum of numbers; of what is none ("max") the first."""
    numbers = [int(value) for value in values if value.isdecimal()]
    if values and len(numbers) == len(values):
        return sum(numbers)
    return values[0] if values else None


def _typed(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


@dataclass(frozen=True, slots=True)
class CgroupText:
    """What a cgroup's file says, in v2's format; `text` is None while there is no such cgroup. `file` is
    where it is on the machine, whichever version its controller is mounted as."""

    file: str
    text: str | None


@dataclass(frozen=True, slots=True)
class CgroupFile(Question[CgroupText]):
    """What the file says of the cgroup at `path` below the machine's own. `file` "": whether there is one;
    the answer has then the directory, and the text "" if it is there."""

    machine: str
    path: str
    file: str = ""
