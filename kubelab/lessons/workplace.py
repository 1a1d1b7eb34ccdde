"""Where a lesson happens: its machine with the lesson's files, and the learner's shells on it."""

import contextlib
import os
from contextlib import AsyncExitStack

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Machine, Process, WindowSize
from kubelab.language import Language, Text
from kubelab.lessons.format import Lesson
from kubelab.lessons.lab import LabPort
from kubelab.lessons.variables import substitute

# In ~/.bashrc, and not in a file of our own: a `bash` started inside a namespace reads it as well.
BASHRC = rb"""# The lab's shell.
PS1='\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto' k=kubectl
unset HISTFILE
shopt -s checkwinsize
"""


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

    async def enter(self) -> None:
        """Start the machine if it is a scratch one, and put prompt and files on it as they are handed out."""
        if self._lesson.structure.cluster is None:
            await self._lifetime.enter_async_context(self._lab.scratch(self._lesson.machine))
        await self.machine.write_file("/root/.bashrc", BASHRC)
        for name, content in self._lesson.source.files.items():
            await self._hand_out(name, content)

    async def _hand_out(self, name: str, content: bytes) -> None:
        """Write a file of the lesson, with its variables put in if it is text."""
        mode = 0o755 if content.startswith(b"#!") else 0o644
        with contextlib.suppress(UnicodeDecodeError):  # Then it is no text.
            content = substitute(content.decode(), self._lesson.variables).encode()
        await self.machine.write_file(f"{self._lesson.directory}/{name}", content, mode=mode)

    async def leave(self) -> None:
        await self.close_shells()
        lifetime, self._lifetime = self._lifetime, AsyncExitStack()
        await lifetime.aclose()

    async def shell(self, size: WindowSize, language: Language) -> Process:
        environment = self._environment() | {
            "USER": "root",
            "SHELL": "/bin/bash",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "KUBELAB_LANG": language,
        }
        shell = await self.machine.spawn(
            ["bash", "-i"], env=environment, cwd=self._lesson.directory, terminal=size
        )
        self._shells.append(shell)
        return shell

    async def close_shells(self) -> None:
        while self._shells:
            await self._shells.pop().close()

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

    def _environment(self) -> dict[str, str]:
        environment = {"HOME": "/root", "LANG": "C.UTF-8"}
        if self._lesson.structure.cluster is not None:
            environment["KUBECONFIG"] = self._lab.kubeconfig_on_machine
        return environment
