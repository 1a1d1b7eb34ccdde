from collections.abc import Iterator

import pytest
from lab_program import RunningLab, running

from kubelab.cluster.linux.journal import remains


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """One lab for the tests of a module; nothing of it is left afterwards."""
    with running(tmp_path_factory.mktemp("lab") / "lab") as lab:
        journal = lab.journal_copy()
        yield lab
        said = lab.end()
    assert (lab.process.returncode, said) == (0, "")
    assert remains(journal) == ()
