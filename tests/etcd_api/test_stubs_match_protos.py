"""What `make stubs` made is what the .proto files say: descriptors are compared, without a compiler."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from kubelab.cluster.store.rpc import pb

PROTOS = sorted(Path(pb.__path__[0]).glob("*.proto"))


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
def test_a_generated_file_says_what_its_proto_says(proto: Path) -> None:
    module = import_module(f"{pb.__name__}.{proto.stem}_pb2")
    assert sorted(declared_file(module.DESCRIPTOR)) == sorted(statements(proto.read_text()))


def statements(text: str) -> Iterator[str]:
    """Yield each declaration of a .proto with the names of what it is in: `RangeRequest: bytes key = 1`."""
    scope: list[str] = []
    for line in re.sub(r"//.*", "", text).splitlines():
        words = line.strip().rstrip(";")
        if words.startswith(("syntax", "import")) or not words:
            continue
        if words.endswith("{}"):
            yield place([*scope, words.split()[1]])
        elif words.endswith("{"):
            scope.append(words.split()[1])
            yield place(scope)
        elif words == "}":
            scope.pop()
        else:
            yield f"{place(scope)} {words}".strip()


def place(scope: list[str]) -> str:
    return ".".join(scope) + ":" if scope else ""


def declared_file(file: FileDescriptor) -> Iterator[str]:
    yield f"package {file.package}"
    for service in file.services_by_name.values():
        yield f"{service.name}:"
        for method in service.methods:
            asked = "stream " * method.client_streaming + method.input_type.name
            answered = "stream " * method.server_streaming + method.output_type.name
            yield f"{service.name}: rpc {method.name}({asked}) returns ({answered})"
    for enum in file.enum_types_by_name.values():
        yield from declared_enum(enum, [])
    for message in file.message_types_by_name.values():
        yield from declared_message(message, [])


def declared_message(message: Descriptor, scope: list[str]) -> Iterator[str]:
    inside = [*scope, message.name]
    yield place(inside)
    for oneof in message.oneofs:
        yield place([*inside, oneof.name])
    for field in message.fields:
        oneof = field.containing_oneof
        yield f"{place([*inside, oneof.name] if oneof else inside)} {declared_field(field)}"
    for enum in message.enum_types:
        yield from declared_enum(enum, inside)
    for nested in message.nested_types:
        yield from declared_message(nested, inside)


def declared_enum(enum: EnumDescriptor, scope: list[str]) -> Iterator[str]:
    inside = [*scope, enum.name]
    yield place(inside)
    for value in enum.values:
        yield f"{place(inside)} {value.name} = {value.number}"


def declared_field(field: FieldDescriptor) -> str:
    repeated = "repeated " if field.is_repeated else ""
    return f"{repeated}{type_name(field)} {field.name} = {field.number}"


def type_name(field: FieldDescriptor) -> str:
    kind = field.message_type or field.enum_type
    if kind is None:
        return SCALARS[field.type]
    return f"{kind.file.package}.{kind.name}" if kind.file is not field.file else kind.name


SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}
