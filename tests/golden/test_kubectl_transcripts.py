"""What each kubectl verb prints, with each version of kubectl that learners have, against the real server.

What upstream prints is in the files beside this one; `--golden-record` writes there what was printed.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import old_kubectls
import pytest
import transcript
from served_cluster import serving

from kubelab.cluster.apiserver import bundled_kubectl

HERE = Path(__file__).parent
VERSIONS = ("1.37", "1.32", "1.20")


def _cases() -> Iterator[pytest.param]:
    for path in sorted(HERE.glob("*.kubectl")):
        for version in transcript.read(path).versions or VERSIONS:
            yield pytest.param(path, version, id=f"{path.stem}-{version}")


def _program(version: str) -> Path:
    if version == "1.37":
        return bundled_kubectl.path()
    if not (old := old_kubectls.path(version)).exists():
        pytest.skip(f"kubectl {version} is not there: python tests/old_kubectls.py {old_kubectls.DIRECTORY}")
    return old


async def _print(command: str, environment: dict[str, str], cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        env=environment,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.parametrize(("path", "version"), _cases())
async def test_kubectl_prints_what_upstream_prints(
    path: Path, version: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "kubectl").symlink_to(_program(version))
    files = shutil.copytree(HERE / "files", tmp_path / "files")
    async with serving(tmp_path) as cluster:
        environment = {**cluster.environment, "PATH": f"{bin_}:{os.environ['PATH']}", "EDITOR": "true"}
        printed = [
            (exchange, await _print(exchange.command, environment, files))
            for exchange in transcript.read(path).exchanges
        ]
    if request.config.getoption("--golden-record"):
        transcript.record(path, printed)
    wrong = transcript.differences(path, printed)
    assert not wrong, "\n".join(["", *wrong])
