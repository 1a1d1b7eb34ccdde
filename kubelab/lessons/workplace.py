"""Where a lesson happens: its machine with the lesson's files, and the learner's shells on it and others.

`reset` makes the place what it was when the lesson began. A scratch machine is started anew, which costs a
tenth of a second. Not so a machine of the cluster, as long as it is whole: its pods would die for nothing,
and with a master the API would be gone for a moment. There the learner's programs end, and the machine is
examined; if anything of it is damaged, or the files cannot be put back, it is restarted.
"""

import asyncio
import contextlib
import os
from contextlib import AsyncExitStack

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.control import HOME, SHELL, ShellOffer
from kubelab.cluster.machine import bashrc
from kubelab.cluster.machine.machine import Machine, Process, WindowSize
from kubelab.language import Language, Text
from kubelab.lessons.format import Lesson
from kubelab.lessons.lab import LabPort
from kubelab.lessons.variables import substitute

STARTUP_PATH = "/run/kubelab/bashrc"
CLEANUP_TIMEOUT_S = 60.0  # For each command of an author, as for those of a set-up.
EXAMINATION_TIMEOUT_S = 3.0  # A machine whose init answers no sooner is damaged.


class Workplace:
    """`enter` and `leave` may follow each other: a scratch machine is then another one."""

    def __init__(self, lab: LabPort, lesson: Lesson) -> None:
        self._lab = lab
        self._lesson = lesson
        self._lifetime = AsyncExitStack()
        self._shells: list[Process] = []

    @property
    def machine(self) -> Machine:
        """Raises LabError when it does not run."""
        name = self._lesson.machine
        if name in self._lab.machines:
            return self._lab.machines[name]
        raise LabError(
            Text(
                f"{self._lesson.id} necesita la máquina {name}, que no está en marcha: ábrela otra vez.",
                f"{self._lesson.id} needs machine {name}, which does not run: open the lesson again.",
            )
        )

    def machines(self) -> tuple[str, ...]:
        """Return the names of the machines on which shells can be opened, the lesson's own first."""
        own = self._lesson.machine
        others = () if self._is_scratch else tuple(self._lab.machines)
        return (own, *(name for name in others if name != own))

    async def enter(self) -> None:
        """Start the machine if it is a scratch one, and put prompt and files on it as they are handed out."""
        if self._is_scratch:
            await self._lifetime.enter_async_context(self._lab.scratch(self._lesson.machine))
        await self._furnish_surely()
        self._lifetime.enter_context(self._lab.offering(self._offer()))

    async def reset(self) -> None:
        """Make the place what it was when the lesson began, however damaged; all shells end.

        In a cluster the lesson's clean-up runs, and other terminals' shells on its machine end as well.

        Raises:
            LabError: the machine could not be started, or the clean-up failed.
        """
        if self._is_scratch:
            await self.leave()
            await self.enter()
            return
        if await self._damages():
            await self._lab.restart(self._lesson.machine)
        await self.close_shells()
        await self._furnish_surely()  # The clean-up may want its files, and may remove them.
        await self._take_back()
        await self._furnish()

    async def clean_up(self, *, broken_off: bool = False) -> None:
        """End the shells and take back what the lesson made in the cluster. *broken_off*: it came to no end,
        so what it has started may still run, and the clean-up might wait for that; all of it ends first.

        Raises:
            LabError: the clean-up failed, or came to no end.
        """
        await self.close_shells()
        if broken_off and not self._is_scratch:
            await self.machine.end_programs()
        await self._take_back()

    async def _take_back(self) -> None:
        for command in self._lesson.structure.cleanup:
            try:
                async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                    await self.execute(command)
            except TimeoutError:
                raise LabError(_ENDLESS.format(command=command, seconds=f"{CLEANUP_TIMEOUT_S:g}")) from None

    async def _damages(self) -> tuple[str, ...]:
        """End what runs on the machine but pods; return what of the machine is damaged."""
        # In a task of its own: to stop waiting for it is then no cancellation of ours.
        examining = asyncio.ensure_future(self._end_programs_and_examine())
        try:
            await asyncio.wait([examining], timeout=EXAMINATION_TIMEOUT_S)
            return examining.result() if examining.done() else ("it does not answer",)
        except LabError as error:
            return (str(error),)
        finally:
            examining.cancel()
            await asyncio.wait([examining])

    async def _end_programs_and_examine(self) -> tuple[str, ...]:
        await self.machine.end_programs()
        return await self.machine.examine()

    async def _furnish_surely(self) -> None:
        """Where something stands in the files' way (a file that the learner called as their directory is), a
        machine of the cluster is restarted."""
        try:
            await self._furnish()
        except LabError:
            if self._is_scratch:
                raise
            await self._lab.restart(self._lesson.machine)
            await self._furnish()

    async def _furnish(self) -> None:
        await self.machine.write_file(bashrc.PATH, bashrc.CONTENT.encode())
        if self._lesson.structure.files and not self._lesson.source.files:
            await self._make_directory()
        for name, content in self._lesson.source.files.items():
            await self._hand_out(name, content)

    async def _make_directory(self) -> None:
        """Make the lesson's directory where no file makes it: a shell whose directory is not there begins
        elsewhere."""
        process = await self.machine.spawn(["mkdir", "-p", self._lesson.directory])
        await process.wait()

    async def _hand_out(self, name: str, content: bytes) -> None:
        """Write a file of the lesson, with its variables put in if it is text."""
        mode = 0o755 if content.startswith(b"#!") else 0o644
        with contextlib.suppress(UnicodeDecodeError):  # Then it is no text.
            content = substitute(content.decode(), self._lesson.variables).encode()
        await self.machine.write_file(f"{self._lesson.directory}/{name}", content, mode=mode)

    async def leave(self) -> None:
        lifetime, self._lifetime = self._lifetime, AsyncExitStack()
        await lifetime.aclose()
        await self.close_shells()  # On a machine that is gone there is nothing to wait for.

    async def shell(
        self, size: WindowSize, language: Language, machine: str | None = None, startup: bytes = b""
    ) -> Process:
        """Open a shell on the lesson's machine, in its directory; or on *machine*, one of the lab's.

        It reads *startup*, further commands of a ~/.bashrc, and so does each bash that is started in it.

        Raises:
            LabError: the machine does not run, or has no room for a shell: reset the step.
        """
        place = self.machine if machine is None else self._machine(machine)
        environment = self._shell_environment() | {"TERM": "xterm-256color", "KUBELAB_LANG": language}
        cwd = self._lesson.directory if place.name == self._lesson.machine else HOME
        if startup:
            await place.write_file(STARTUP_PATH, startup)
            environment[bashrc.MORE] = STARTUP_PATH
        shell = await place.spawn(SHELL, env=environment, cwd=cwd, terminal=size)
        self._shells.append(shell)
        return shell

    async def close_shells(self) -> None:
        shells, self._shells = self._shells, []
        await asyncio.gather(*(shell.close() for shell in shells))

    async def execute(self, command: str) -> None:
        """Run a command of the lesson's author; what it leaves running stays. Raises LabError on failure."""
        complaints = os.memfd_create("stderr")
        try:
            process = await self.machine.spawn(
                ["bash", "-c", command],
                env=self._environment(),
                cwd=self._lesson.directory,
                stderr=complaints,
            )
            try:
                exit_code = await process.wait()
            except BaseException:
                await process.close()
                raise
            if exit_code != 0:
                raise self._failed(command, exit_code, os.pread(complaints, 4096, 0).decode(errors="replace"))
        finally:
            os.close(complaints)

    def _failed(self, command: str, exit_code: int, complaints: str) -> LabError:
        last = complaints.strip().rpartition("\n")[2] or "-"
        return LabError(
            Text(
                f"{self._lesson.id}: «{command}» terminó con código {exit_code} ({last}); reinicia el paso.",
                f"{self._lesson.id}: “{command}” ended with code {exit_code} ({last}); reset the step.",
            )
        )

    @property
    def _is_scratch(self) -> bool:
        return self._lesson.structure.cluster is None

    def _machine(self, name: str) -> Machine:
        try:
            return self._lab.machines[name]
        except KeyError:
            raise LabError(_NO_MACHINE.format(name=name, names=", ".join(self.machines()))) from None

    def _offer(self) -> ShellOffer:
        """Let other terminals' shells be as the lesson's own; terminal and language are theirs."""
        return ShellOffer(self._lesson.machine, self._lesson.directory, self._shell_environment())

    def _shell_environment(self) -> dict[str, str]:
        return self._environment() | {"USER": "root", "SHELL": "/bin/bash", "COLORTERM": "truecolor"}

    def _environment(self) -> dict[str, str]:
        environment = {"HOME": HOME, "LANG": "C.UTF-8"}
        if not self._is_scratch:
            environment["KUBECONFIG"] = self._lab.kubeconfig_on_machine
        return environment


_ENDLESS = Text(
    "«{command}» no ha terminado en {seconds} s: reinicia el laboratorio.",
    "“{command}” did not end within {seconds} s: restart the lab.",
)
_NO_MACHINE = Text(
    es="No hay ninguna máquina {name}: elige una de {names}.",
    en="There is no machine {name}: choose one of {names}.",
)
