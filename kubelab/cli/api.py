"""`kubelab api`: what reaches the API server, as it comes."""

import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import click
import msgspec

from kubelab.cluster.apiserver import audit
from kubelab.cluster.apiserver.request_log import RequestRecord
from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.language import Text

COMPONENT = "system:"
_WIDTHS = (12, 4, 8, 6, 20, 32)
_HEADER = ("TIME", "CODE", "TOOK", "VERB", "USER", "WHAT", "CLIENT")


@click.group(help=str(Text(es="El API server del laboratorio.", en="The lab's API server.")))
def api() -> None:
    pass


@api.command(
    help=str(
        Text(
            es="Muestra cada petición que llega al API server: quién, qué, con qué código y cuánto tardó. "
            "Termina con Ctrl+C.",
            en="Shows each request that reaches the API server: who, what, with which code and in what time. "
            "Ends with Ctrl+C.",
        )
    )
)
@click.option("--user", help=str(Text(es="Solo de este usuario.", en="Of this user alone.")))
@click.option("--verb", help=str(Text(es="Solo con este verbo (list, watch…).", en="With this verb alone.")))
@click.option(
    "--resource", help=str(Text(es="Solo sobre este recurso (pods…).", en="On this resource alone."))
)
@click.option(
    "--people",
    is_flag=True,
    help=str(
        Text(
            es="Sin los componentes del clúster (usuarios system:…).",
            en="Without the cluster's components (users system:…).",
        )
    ),
)
@click.option(
    "--recent",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help=str(Text(es="Empieza por las últimas N.", en="Begin with the last N.")),
)
@click.option("-o", "--output", type=click.Choice(["line", "json"]), default="line", show_default=True)
def watch(
    user: str | None, verb: str | None, resource: str | None, people: bool, recent: int, output: str
) -> None:
    def wanted(record: RequestRecord) -> bool:
        asked = ((user, record.user), (verb, record.verb), (resource, record.resource))
        if people and record.user.startswith(COMPONENT):
            return False
        return all(value is None or value == actual for value, actual in asked)

    with ControlClient.connect(LabDirectory.default().control) as client:
        records = _while_read(client, client.requests(recent))
        try:
            for each in _json_lines(records, wanted) if output == "json" else _lines(records, wanted):
                click.echo(each)
        except KeyboardInterrupt:
            return
        except BrokenPipeError:
            # What is still buffered goes nowhere, without a word at the program's end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _while_read(
    client: ControlClient, records: Iterator[RequestRecord | int]
) -> Iterator[RequestRecord | int]:
    """Yield *records* for as long as anybody reads what is printed of them: `kubelab api watch | head` ends
    with `head`, not at the next request."""
    output, poll = sys.stdout.fileno(), select.poll()
    poll.register(client.fileno(), select.POLLIN)
    poll.register(output, 0)  # Errors alone, which are told unasked.
    while output not in dict(poll.poll()):
        if (record := next(records, None)) is None:
            return
        yield record


def _lines(records: Iterable[RequestRecord | int], wanted: Callable[[RequestRecord], bool]) -> Iterator[str]:
    yield _row(_HEADER)
    for record in records:
        if isinstance(record, int):
            yield str(_MISSED.format(n=record))
        elif wanted(record):
            yield line(record)


def _json_lines(
    records: Iterable[RequestRecord | int], wanted: Callable[[RequestRecord], bool]
) -> Iterator[str]:
    for record in records:
        if isinstance(record, RequestRecord) and wanted(record):
            yield msgspec.json.encode(audit.event(record)).decode()


def line(record: RequestRecord) -> str:
    """Return *record* as a row; a watch that has just begun has no time yet, one that ends is marked so."""
    took = "…" if record.stage == "ResponseStarted" else f"{record.duration_s * 1000:.1f} ms"
    who = f"{record.impersonated} ({record.user})" if record.impersonated else record.user
    client = record.user_agent.split(" ")[0]
    moment = record.received.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return _row((moment, str(record.code), took, record.verb, who, _what(record), client))


def _what(record: RequestRecord) -> str:
    """Return namespace, resource and name as kubectl is told them; the path when there is no resource."""
    if not record.resource:
        return record.uri.partition("?")[0]
    resource = f"{record.resource}.{record.group}" if record.group else record.resource
    target = "/".join(filter(None, (resource, record.name, record.subresource)))
    return f"{target} -n {record.namespace}" if record.namespace else target


def _row(cells: Sequence[str]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells[:-1], _WIDTHS, strict=True))
    return "  ".join((*padded, cells[-1])).rstrip()


_MISSED = Text(
    es="… {n} peticiones más que no dio tiempo a contar",
    en="… {n} more requests that there was no time to tell",
)
