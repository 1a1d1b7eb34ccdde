"""`kubelab fault …`: make parts of the running lab fail, really, and take it back.

Whatever is done is undone when the lab ends. Quantities are written as tc(8) has them.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from kubelab.cli.table import table
from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.faults import Action, Fault, Order
from kubelab.language import Text

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Quantity(click.ParamType[float]):
    """A number and a unit, given in the smallest of *units*."""

    name = "quantity"

    def __init__(self, units: dict[str, float], example: str, *, signed: bool = False) -> None:
        self._units = units
        self._example = example
        self._pattern = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)\s*([a-z%]*)")
        self._signed = signed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = self._pattern.fullmatch(str(value).strip().lower())
        if not found or found[3] not in self._units or (found[1] and not self._signed):
            self.fail(str(_NO_QUANTITY.format(value=value, example=self._example)), param, ctx)
        return float(found[1] + found[2]) * self._units[found[3]]


_SECONDS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
DURATION = Quantity(_SECONDS, "50ms")
SHIFT = Quantity(_SECONDS, "-3s", signed=True)
RATE = Quantity({"": 1, "bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}, "1mbit")
SHARE = Quantity({"": 1.0, "%": 0.01}, "10%")

_machine = click.argument("machine")
_component = click.argument("component", required=False)


@click.group(
    help=str(
        Text(
            es="Hace fallar de verdad partes del laboratorio, y lo deshace; al cerrarlo no queda nada.",
            en="Make parts of the lab fail, really, and take it back; nothing of it outlives the lab.",
        )
    )
)
def fault() -> None:
    pass


def _command(name: str, es: str, en: str) -> Callable[[_Command], click.Command]:
    words = str(Text(es=es, en=en))
    return fault.command(name, help=words, short_help=words.partition(". ")[0])


@_command("list", "Lo que está roto ahora.", "What is broken now.")
def list_() -> None:
    click.echo("\n".join(render(_carry_out("list"))))


@_command(
    "cut",
    "Saca el cable de MACHINE; con PEER, nada pasa entre las dos.",
    "Pull the cable of MACHINE out; with PEER, nothing passes between the two.",
)
@_machine
@click.argument("peer", required=False)
def cut(machine: str, peer: str | None) -> None:
    _do("cut", machine, peer)


@_command(
    "heal",
    "Repara el cable de MACHINE (cut, slow, drop); con PEER, solo entre las dos; con --all, todo.",
    "Mend the cable of MACHINE (cut, slow, drop); with PEER, only between the two; with --all, everything.",
)
@click.argument("machine", required=False)
@click.argument("peer", required=False)
@click.option("--all", "everything", is_flag=True, help=str(Text(es="Deshazlo todo.", en="Undo everything.")))
@click.pass_context
def heal(context: click.Context, machine: str | None, peer: str | None, *, everything: bool) -> None:
    if everything == bool(machine):
        raise click.UsageError(str(_WHAT_TO_HEAL), context)
    _do("heal-all" if everything else "heal", machine or "", peer)


@_command(
    "slow",
    "Retrasa cada paquete de MACHINE, en ambos sentidos, o limita cuántos bits pasan por segundo.",
    "Delay every packet of MACHINE, each way, or bound how many bits a second pass.",
)
@_machine
@click.option("--delay", type=DURATION, default="0", metavar="50ms", help=str(Text("Retraso.", "Delay.")))
@click.option(
    "--jitter", type=DURATION, default="0", metavar="10ms", help=str(Text("Más o menos.", "Give or take."))
)
@click.option(
    "--rate", type=RATE, default="0", metavar="1mbit", help=str(Text("Bits por segundo.", "Bits a second."))
)
def slow(machine: str, delay: float, jitter: float, rate: float) -> None:
    _do("slow", machine, delay_s=delay, jitter_s=jitter, rate_bits_per_s=round(rate))


@_command(
    "drop",
    "Pierde al azar una parte de los paquetes de MACHINE, en ambos sentidos.",
    "Lose a share of the packets of MACHINE at random, each way.",
)
@_machine
@click.option(
    "--loss", type=SHARE, required=True, metavar="10%", help=str(Text("Qué parte.", "Which share."))
)
def drop(machine: str, loss: float) -> None:
    _do("drop", machine, loss=loss)


@_command(
    "kill",
    "Termina COMPONENT de golpe (SIGKILL); sin COMPONENT, corta la corriente de MACHINE.",
    "End COMPONENT at once (SIGKILL); without COMPONENT, cut the power of MACHINE.",
)
@_machine
@_component
def kill(machine: str, component: str | None) -> None:
    _do("kill", machine, component)


@_command(
    "stop",
    "Suspende COMPONENT (SIGSTOP): sigue ahí y no contesta; sin COMPONENT, todos los de MACHINE.",
    "Suspend COMPONENT (SIGSTOP): it is there and does not answer; without COMPONENT, all of MACHINE.",
)
@_machine
@_component
def stop(machine: str, component: str | None) -> None:
    _do("stop", machine, component)


@_command(
    "resume",
    "Deja seguir a lo suspendido (SIGCONT).",
    "Let what is suspended go on (SIGCONT).",
)
@_machine
@_component
def resume(machine: str, component: str | None) -> None:
    _do("resume", machine, component)


@_command(
    "restart",
    "Arranca de nuevo COMPONENT, o MACHINE entera, haya muerto o no.",
    "Start COMPONENT again, or the whole of MACHINE, dead or not.",
)
@_machine
@_component
def restart(machine: str, component: str | None) -> None:
    _do("restart", machine, component)


@_command(
    "skew",
    "Adelanta el reloj de los componentes de MACHINE (-3s: atrasa; 0: en hora). Los programas de la máquina "
    "siguen el del equipo: Linux no tiene namespace para la hora.",
    "Put the clock of the components of MACHINE ahead (-3s: back; 0: right). Programs on the machine go by "
    "the host's: Linux has no namespace for the time of day.",
)
@_machine
@click.option("--by", type=SHIFT, required=True, metavar="3s", help=str(Text("Cuánto.", "How far.")))
def skew(machine: str, by: float) -> None:
    _do("skew", machine, by_s=by)


def render(faults: Sequence[Fault]) -> Sequence[str]:
    if not faults:
        return [str(Text(es="No hay nada roto.", en="Nothing is broken."))]
    rows = [(each.kind, each.machine, each.target or "-", each.details or "-") for each in faults]
    return list(table(("FAULT", "MACHINE", "TARGET", "DETAILS"), rows))


def _do(action: Action, machine: str, target: str | None = None, **amounts: float) -> None:
    click.echo("\n".join(render(_carry_out(action, machine, target, **amounts))))


def _carry_out(
    action: Action, machine: str = "", target: str | None = None, **amounts: Any
) -> tuple[Fault, ...]:
    with ControlClient.connect(LabDirectory.default().control) as client:
        return client.fault(Order(action, machine, target or "", **amounts))


_NO_QUANTITY = Text(
    es="«{value}» no es una cantidad: escríbela como {example}.",
    en="'{value}' is no quantity: write it as in {example}.",
)
_WHAT_TO_HEAL = Text(
    es="Di qué reparar: una MACHINE, o --all.",
    en="Say what to mend: a MACHINE, or --all.",
)
