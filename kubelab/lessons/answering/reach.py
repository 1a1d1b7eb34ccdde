"""Answers `Reach`: connects from the machine's own network namespace."""

import asyncio
import errno

from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Machine
from kubelab.language import Text
from kubelab.lessons.answering.answer import ask
from kubelab.lessons.checks.reach import Reach
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen

TIMEOUT_S = 1.0
CLOSED_PORT = 1  # Hosts answer there with a reset: that is an answer too.

# What a network says when nobody is there; anything else means that we could not ask.
_NOBODY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN}


@ask.register
async def _(question: Reach, lab: LabPort) -> bool | Unseen:
    machine = lab.machines.get(question.machine)
    if machine is None:
        name = question.machine
        return Unseen(Text(f"no hay máquina {name}", f"there is no machine {name}"))
    try:
        return await _answers(machine, question.address)
    except (LabError, OSError) as error:
        return Unseen(
            Text(
                f"no se pudo preguntar desde {question.machine} ({error})",
                f"could not ask from {question.machine} ({error})",
            )
        )


async def _answers(machine: Machine, address: str) -> bool:
    with await machine.open_socket() as connection:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(connection, (address, CLOSED_PORT))
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        except TimeoutError:
            return False
        except OSError as error:
            if error.errno in _NOBODY:
                return False
            raise
        return True
