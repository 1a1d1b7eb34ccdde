"""A store in a directory of its own."""

from pathlib import Path

import pytest

from kubelab.cluster.images.store import ImageStore


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore.open(tmp_path / "store")


def everything(path: Path) -> set[str]:
    """Return the names of all that a store holds, but for its locks and empty directories."""
    return {
        str(each.relative_to(path))
        for each in path.rglob("*")
        if not each.is_dir() and each.name not in ("lock", "busy")
    }
