import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_program import RunningLab, running, until
from ordinary_user import as_user, processes_of_user


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """An ordinary user's; pytest's own directories are closed to him."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path / "home"


@pytest.fixture(scope="module")
def user(home: Path) -> tuple[str, ...]:
    return as_user(home)


@pytest.fixture(scope="module")
def lab(home: Path, user: tuple[str, ...]) -> Iterator[RunningLab]:
    """A rootless lab; nothing of it is left afterwards."""
    with running(home / "lab", "--minions", "1", prefix=user) as lab:
        yield lab
        said = lab.end()
    assert (lab.process.returncode, said) == (0, "")
    assert sorted(left.name for left in lab.place.iterdir()) == ["lock", "masters"]
    until(lambda: processes_of_user() == [])  # Who has been killed is not gone at once.
