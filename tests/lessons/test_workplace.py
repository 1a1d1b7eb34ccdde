"""A lesson's place is what it was after a reset, whatever the learner did there."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from lesson_files import source, spanish
from scratch_lab import ScratchLab

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.machine.machine import WindowSize
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.typist import Typist
from kubelab.lessons.workplace import Workplace

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]
DISASTERS = (
    "rm -rf --no-preserve-root /usr 2>/dev/null",
    "bomb() { bomb | bomb & }; bomb",
    "kill -9 -1",
    "ip link del eth0",
    "dd if=/dev/zero of=/fill bs=1M",
    "umount -a -l",
    "rm /etc/hosts",
    "cd; rm -r things; touch things",
    "rm note.txt; mkdir -p note.txt/full",
    "rm /root/.bashrc; mkdir /root/.bashrc",
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    directory = LabDirectory(tmp_path_factory.mktemp("lab") / "lab")
    async with start_lab(LabConfig(minions=1, directory=directory)) as lab:
        await lab.ready()
        yield lab


@pytest_asyncio.fixture(loop_scope="module")
async def on_minion(cluster: Lab) -> AsyncIterator[Workplace]:
    text = spanish(
        "shell: bench", "shell: minion-1\ncluster: {minions: 1}\ncleanup: [rm /root/things/note.txt]"
    )
    place = Workplace(cluster, parse_lesson(text))
    await place.enter()
    yield place
    await place.leave()


async def typed(place: Workplace, *lines: str, machine: str | None = None) -> str:
    typist = Typist(await place.shell(WindowSize(24, 200), "es", machine))
    await typist.prompt(until=lambda: False, timeout_s=20)
    for line in lines:
        await typist.type(line, until=lambda: False, timeout_s=20)
    return typist.output


async def struck(place: Workplace, disaster: str) -> None:
    """Let *disaster* do its worst for a moment."""
    shell = await place.shell(WindowSize(), "es")
    os.write(shell.fd, f"{disaster}\n".encode())
    await asyncio.sleep(0.4)


@pytest.mark.parametrize("disaster", DISASTERS)
async def test_a_scratch_machine_is_a_new_one(lab: ScratchLab, disaster: str) -> None:
    place = Workplace(lab, parse_lesson(source()))
    await place.enter()
    before = place.machine
    await struck(place, disaster)
    await place.reset()
    assert place.machine is not before
    assert "sleep" in await typed(place, "cat note.txt")
    await place.leave()
    assert lab.machines == {}


@pytest.mark.parametrize("disaster", DISASTERS)
async def test_a_machine_of_the_cluster_is_whole_again(
    cluster: Lab, on_minion: Workplace, disaster: str
) -> None:
    await struck(on_minion, disaster)
    await on_minion.reset()
    assert await on_minion.machine.examine() == ()
    assert "sleep" in await typed(on_minion, "cat note.txt")


async def test_a_machine_of_the_cluster_that_died_runs_again(cluster: Lab, on_minion: Workplace) -> None:
    os.kill(on_minion.machine.pid, signal.SIGKILL)
    await on_minion.reset()
    assert await on_minion.machine.examine() == ()


async def test_a_whole_machine_of_the_cluster_goes_on_but_for_what_the_learner_started(
    cluster: Lab, on_minion: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that is only slow, because the host is busy, counts as damaged and is restarted.
    monkeypatch.setattr("kubelab.lessons.workplace.EXAMINATION_TIMEOUT_S", 50)
    monkeypatch.setattr("kubelab.cluster.machine.namespaced.EXAMINATION_TIMEOUT_S", 50)
    machine = on_minion.machine
    begun = "until pgrep -fx 'sleep 1001' >/dev/null; do sleep 0.05; done"
    await typed(on_minion, "setsid sleep 1001 &", "rm note.txt; echo mine > other", begun)
    assert "sleep 1001" in {info.command for info in scan([machine.pid])}
    await on_minion.reset()
    assert on_minion.machine is machine
    assert [info.command for info in scan([machine.pid])[1:] if info.state != "Z"] == []
    assert "sleep" in await typed(on_minion, "cat note.txt")


async def test_what_was_broken_off_has_ended_before_it_is_cleaned_up(
    cluster: Lab, on_minion: Workplace
) -> None:
    await on_minion.execute("setsid sleep 1002 & until pgrep -fx 'sleep 1002'; do sleep 0.05; done")
    await on_minion.clean_up(broken_off=True)
    assert "sleep 1002" not in {info.command for info in scan([on_minion.machine.pid]) if info.state != "Z"}
    assert "No such file" in await typed(on_minion, "cat note.txt")


async def test_a_clean_up_that_comes_to_no_end_is_told(cluster: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelab.lessons.workplace.CLEANUP_TIMEOUT_S", 0.3)
    endless = spanish("shell: bench", "shell: minion-1\ncluster: {minions: 1}\ncleanup: [sleep 1003]")
    place = Workplace(cluster, parse_lesson(endless))
    await place.enter()
    with pytest.raises(LabError, match="sleep 1003"):
        await place.clean_up()
    await place.leave()


async def test_shells_are_opened_on_every_machine_of_the_cluster(on_minion: Workplace) -> None:
    assert on_minion.machines() == ("minion-1", "master-1")
    assert "root@minion-1" in await typed(on_minion, "pwd")
    there = await typed(on_minion, "pwd; echo $KUBECONFIG; alias k", machine="master-1")
    assert all(word in there for word in ("root@master-1", "/root\r", "admin.conf", "k='kubectl'"))


async def test_a_scratch_lesson_has_its_own_machine_only(lab: ScratchLab) -> None:
    place = Workplace(lab, parse_lesson(source()))
    await place.enter()
    assert place.machines() == ("bench",)
    with pytest.raises(LabError, match="bench"):
        await place.shell(WindowSize(), "es", "minion-1")
    await place.leave()


async def test_a_directory_without_files_is_there_all_the_same(lab: ScratchLab) -> None:
    place = Workplace(lab, parse_lesson(source(files={})))
    await place.enter()
    assert "/root/things\r" in await typed(place, "pwd")
    await place.leave()


async def test_other_terminals_are_offered_what_the_lessons_own_shells_have(lab: ScratchLab) -> None:
    place = Workplace(lab, parse_lesson(source()))
    await place.enter()
    (offer,) = lab.offers
    assert (offer.machine, offer.cwd) == ("bench", "/root/things")
    assert offer.environment["HOME"] == "/root"
    await place.leave()
    assert lab.offers == []
