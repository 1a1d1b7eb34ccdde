"""What the page on adding a kind tells people to write, and shows them, is so."""

import ast
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from served_cluster import Cluster, serving

from kubelab.cluster.apiserver import unattended
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Resource

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding-a-kind.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Do what the page says: name the resource, write the module, make the entry."""
    resource, module, entry = blocks("python")
    storage_classes = ModuleType("storage_classes")
    monkeypatch.setitem(sys.modules, "storage_classes", storage_classes)
    exec(compile(module, "storage_classes.py", "exec"), storage_classes.__dict__)
    names: dict[str, Any] = {"Resource": Resource, "Kind": Kind, "warns": unattended.warns}
    exec(compile(resource, "objects.py", "exec"), names | {"storage_classes": storage_classes}, names)
    made = eval(compile(entry, "kinds.py", "eval"), names | {"storage_classes": storage_classes})
    assert isinstance(made, Kind)
    return made


@pytest.fixture
async def cluster(tmp_path: Path, kind: Kind) -> AsyncIterator[Cluster]:
    async with serving(tmp_path) as cluster:
        cluster.registry.kinds.add(kind)
        yield cluster


def shown_commands() -> Iterator[tuple[list[str], str]]:
    """Yield each command of kubectl on the page and what it is shown to print."""
    (console,) = blocks("console")
    for part in console.split("$ kubectl ")[1:]:
        command, _, printed = part.partition("\n")
        yield command.split(), printed


async def test_the_kind_is_served_as_the_page_shows_it(cluster: Cluster) -> None:
    (manifest,) = blocks("yaml")
    (cluster.home / "class.yaml").write_text(manifest)
    for command, printed in shown_commands():
        words = [str(cluster.home / word) if word == "class.yaml" else word for word in command]
        output = await cluster.kubectl(*words)
        assert re.sub(r"\b[0-9]+s$", "0s", output.err + output.out, flags=re.MULTILINE) == printed


async def test_its_fields_are_explained_without_another_word(cluster: Cluster) -> None:
    assert "reclaimPolicy" in await cluster.ok("explain", "storageclass")


def test_every_file_and_field_that_it_names_is_there() -> None:
    named = re.findall(r"`((?:kubelab|tests)/[\w/.-]+)`", PAGE)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == ["kubelab/cluster/apiserver/storage_classes.py"], "only what the page itself makes"
    beside = re.findall(r"`(\w+\.py)`", PAGE)
    assert [name for name in beside if not (ROOT / "kubelab/cluster/apiserver" / name).exists()] == []
    (_, module, entry) = blocks("python")
    (call,) = (node for node in ast.walk(ast.parse(entry)) if isinstance(node, ast.Call) and node.keywords)
    assert {each.arg for each in call.keywords} <= Kind.__dataclass_fields__.keys()
    assert ast.get_docstring(ast.parse(module))
