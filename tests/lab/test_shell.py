"""`kubelab shell` from another terminal: as the open lesson's own shells, on any machine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pexpect
import pytest
import pytest_asyncio
from lab_program import TIMEOUT_S, command, environment, kubelab

from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.control import ShellOffer
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]
LESSON = ShellOffer("bench", "/root/things", {"KUBELAB_LESSON": "demo/01"})


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A lab with a lesson's scratch machine in it."""
    directory = LabDirectory(tmp_path_factory.mktemp("lab") / "lab")
    async with start_lab(LabConfig(minions=1, directory=directory)) as lab:
        await lab.ready()
        async with lab.scratch("bench") as bench:
            await bench.write_file("/root/things/note.txt", b"from the lesson\n")
            yield lab


async def typed(lab: Lab, lines: str, *arguments: str) -> str:
    """Type *lines* into `kubelab shell`, then leave it; return all that it showed."""
    return await asyncio.to_thread(_type, lab.directory.path, lines, arguments)


def _type(place: Path, lines: str, arguments: tuple[str, ...]) -> str:
    program, *rest = command("shell", *arguments)
    settings = {"env": environment(place), "encoding": "utf-8", "dimensions": (24, 200), "timeout": TIMEOUT_S}
    child = pexpect.spawn(program, rest, **settings)
    child.expect("# ")
    child.sendline(f"{lines}; exit 7")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7
    return str(child.before)


async def said(lab: Lab, *arguments: str) -> str:
    return (await asyncio.to_thread(kubelab, lab.directory.path, "shell", *arguments)).stdout


async def test_without_a_machine_it_joins_the_open_lesson(lab: Lab) -> None:
    with lab.offering(LESSON):
        shown = await typed(
            lab, "cat note.txt; hostname; echo $KUBELAB_LESSON; type k; cat /proc/self/cgroup"
        )
    for word in ("from the lesson", "bench", "demo/01", "kubectl", "/programs"):
        assert word in shown


async def test_on_another_machine_it_has_the_lesson_s_environment_at_home(lab: Lab) -> None:
    with lab.offering(LESSON):
        shown = await typed(lab, "pwd; hostname; echo $KUBELAB_LESSON", "minion-1")
    for word in ("/root\r\n", "minion-1\r\n", "demo/01"):
        assert word in shown


async def test_the_newest_lesson_counts_and_a_closed_one_no_more(lab: Lab) -> None:
    with lab.offering(LESSON):
        with lab.offering(ShellOffer("master-1", "/root", {})):
            assert "master-1" in await typed(lab, "hostname")
        assert "bench" in await typed(lab, "hostname")


async def test_without_a_lesson_it_names_the_machines(lab: Lab) -> None:
    assert "name a machine, master-1, minion-1, bench" in await said(lab)


async def test_without_a_lesson_every_machine_can_be_named(lab: Lab) -> None:
    for name in ("master-1", "minion-1", "bench"):
        assert name in await typed(lab, "hostname", name)


async def test_a_command_runs_without_a_terminal(lab: Lab) -> None:
    assert await said(lab, "bench", "cat", "/root/things/note.txt") == "from the lesson\n"


async def test_two_dashes_before_a_command_are_as_with_kubectl(lab: Lab) -> None:
    assert await said(lab, "bench", "--", "sh", "-c", "echo $0 $1", "--", "a") == "-- a\n"
    assert "bench\r\n" in await typed(lab, "hostname", "bench", "--")
