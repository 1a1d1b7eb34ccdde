"""Print the table of kubelab/cluster/apiserver/merge_topology.py from Kubernetes' own schemas.

    python docs/merge_topology.py FILE...

Source: k8s.io/client-go, applyconfigurations/internal/internal.go, and k8s.io/apiextensions-apiserver,
pkg/client/applyconfiguration/internal/internal.go: each holds the schema of its types, as
structured-merge-diff reads it, in one string. The table is of release 1.37.
"""
# ruff: noqa: T201

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Type = dict[str, Any]

_SERVED = re.compile(
    r"io\.k8s\.(apimachinery|apiextensions-apiserver|api\.(core|apps|batch|autoscaling|policy|scheduling|coordination|discovery"
    r"|networking|rbac|node|certificates|events)\.v[12]\.).*"
)


def types(path: Path) -> dict[str, Type]:
    schema = path.read_text().partition("YAMLObject(`")[2].rpartition("`)")[0]
    return {each["name"]: each for each in yaml.safe_load(schema)["types"]}


def rows(known: dict[str, Type]) -> Iterator[str]:
    """Yield a line for each type that is atomic, or has a field that is not merged as its type says."""
    for name, type_ in sorted(known.items()):
        if not _SERVED.fullmatch(name) or "beta" in name:
            continue
        map_ = type_.get("map") or {}
        fields = [
            f"{each['name']}={how}" for each in map_.get("fields", ()) if (how := topology(each, known))
        ]
        words = (["atomic"] if map_.get("elementRelationship") == "atomic" else []) + fields
        if words:
            yield f"{go_name(name)} {' '.join(words)}"


def topology(field: Type, known: dict[str, Type]) -> str:
    type_ = field["type"]
    if relationship := type_.get("elementRelationship") or type_.get("map", {}).get("elementRelationship"):
        return "granular" if relationship == "separable" else str(relationship)
    if type_.get("list", {}).get("elementRelationship") != "associative":
        return ""
    return keys(type_["list"], known) or "set"


def keys(list_: Type, known: dict[str, Type]) -> str:
    """Return the keys of a list and their defaults: `containerPort:0,protocol:"TCP"`."""
    element = known.get(list_["elementType"].get("namedType", ""), {})
    fields = {each["name"]: each for each in element.get("map", {}).get("fields", ())}
    return ",".join(
        f"{key}:{json.dumps(fields[key]['default'])}" if "default" in fields[key] else key
        for key in list_.get("keys", ())
    )


def go_name(name: str) -> str:
    """Return `core/v1.Pod` for `io.k8s.api.core.v1.Pod`."""
    package, _, type_name = name.removeprefix("io.k8s.").rpartition(".")
    return f"{package.removeprefix('api.').replace('.', '/')}.{type_name}"


if __name__ == "__main__":
    everything: dict[str, Type] = {}
    for argument in sys.argv[1:]:
        everything |= types(Path(argument))
    for row in rows(everything):
        print(textwrap.fill(row, 108, subsequent_indent="  ", break_on_hyphens=False))
