"""A store in a directory of its own."""

from pathlib import Path

import pytest

from kubelab.cluster.images.store import ImageStore


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore.open(tmp_path / "store")
