"""Pings, connections and requests on real machines, from inside network namespaces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from lesson_files import spanish
from observed import check
from trial import PATIENCE_S, Trial, found_on

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.objects import NODES
from kubelab.lessons import answering
from kubelab.lessons.answering import icmp
from kubelab.lessons.checks import Needs, Scope, judge
from kubelab.lessons.checks.places import Place
from kubelab.lessons.checks.reach import Probe, Reply
from kubelab.lessons.checks.service import Requests, Tally
from kubelab.lessons.observation import ResourceState, Unseen
from kubelab.lessons.observe import Observer
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.session import Session
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

# Several of these share one address and port: the kernel balances the connections between them.
SERVER = """
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("X-Backend", sys.argv[2].upper())
        self.end_headers()
        self.wfile.write(sys.argv[2].encode() + b"\\nsecond line")
    def log_message(self, *args): pass
class Server(http.server.HTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
Server(("", int(sys.argv[1])), Handler).serve_forever()
"""
PORT = 8080


@asynccontextmanager
async def serving(machine: Machine, *names: str, argv: tuple[str, ...] = ()) -> AsyncIterator[None]:
    servers = [await machine.spawn([*argv, "python3", "-c", SERVER, str(PORT), name]) for name in names]
    try:
        yield
    finally:
        for server in servers:
            await server.close()


pytestmark = pytest.mark.root


async def asked(lab, machine: Machine, by: str, address: str = "", **fields) -> Reply:
    probe = Probe(Place(machine.name), address or str(machine.address), by, **fields)
    return await answering.ask(probe, lab)


async def until_answered(lab, machine: Machine, wanted: Reply, by: str, address: str = "", **fields) -> None:
    """Ask until that is answered: on a busy machine a server may answer too late for the first who asks."""
    reply = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (reply := await asked(lab, machine, by, address, **fields)) != wanted:
                pass
    except TimeoutError:
        pytest.fail(f"{by} {address}: {reply}")


async def test_each_way_of_asking_tells_what_it_meets(lab) -> None:
    async with lab.scratch("lab") as machine, serving(machine, "one"):
        await found_on(lab, f"{{reach: {{machine: lab}}, by: tcp, port: {PORT}, open: true}}", PASSED)
        nobody = str(machine.address + 1)
        await until_answered(lab, machine, Reply("echo"), "ping")
        await until_answered(lab, machine, Reply("echo"), "ping", "lab")
        await until_answered(lab, machine, Reply("open"), "tcp", port=PORT)
        assert await asked(lab, machine, "tcp", port=1) == Reply("refused")
        assert await asked(lab, machine, "http", port=1) == Reply("refused")
        answer = Reply("response", status=200, body="one\nsecond line")
        await until_answered(lab, machine, answer, "http", port=PORT, path="/")
        assert (await asked(lab, machine, "ping", "192.0.2.1")).outcome == "unreachable"
        silent = await asyncio.gather(
            *(asked(lab, machine, by, nobody, port=1) for by in ("ping", "tcp", "http"))
        )
        assert {reply.outcome for reply in silent} == {"silence"}


async def test_what_is_gone_cannot_be_asked_from(lab) -> None:
    async with lab.scratch("lab") as machine:
        address = str(machine.address)
        places = Place("other"), Place("lab", 99999, 1), Place("lab", 1, 1)
        for place in places:
            assert isinstance(await answering.ask(Probe(place, address, "ping"), lab), Unseen)
        assert isinstance(await asked(lab, machine, "ping", "no-such-machine"), Unseen)
        await found_on(lab, f"{{reach: {address}, from: other}}", CANNOT)


async def test_a_process_asks_from_inside_its_own_network(lab) -> None:
    async with lab.scratch("lab") as machine:
        inside = "from: {process: {argv: sleep 999, in-new: net}}"
        sleeper = await machine.spawn(["unshare", "-n", "sleep", "999"])
        reached = f"{{reach: {machine.address}, {inside}}}"
        apart = await found_on(lab, reached, NOT_YET)
        await found_on(lab, f"{{reach: {machine.address}, {inside}, answers: false}}", PASSED)
        await found_on(lab, "{reach: 127.0.0.1}", PASSED)
        assert apart.expected.en.startswith(str(machine.address))
        await sleeper.close()
        await found_on(lab, reached, NOT_YET)


async def test_a_rule_or_a_route_that_stops_packets_is_no_failure_of_ours(lab) -> None:
    async with lab.scratch("lab") as machine:
        for kind in ("prohibit", "blackhole", "unreachable"):
            process = await machine.spawn(["ip", "route", "replace", kind, "198.51.100.0/24"])
            assert await process.wait() == 0
            for by in ("ping", "tcp", "http"):
                assert (await asked(lab, machine, by, "198.51.100.7", port=1)).outcome == "unreachable", (
                    kind,
                    by,
                )


async def test_requests_are_balanced_and_told_apart(lab) -> None:
    async with lab.scratch("lab") as machine:
        trial = Trial(lab, f"{{requests: 20, to: {{machine: lab}}, port: {PORT}, backends: 2}}", "lab")
        async with trial.observer.watching(trial.check.needs()):
            await trial.becomes(NOT_YET)
            async with serving(machine, "one", "two"):
                finding = await trial.becomes(PASSED)
        assert "one (" in finding.observed.en
        assert "two (" in finding.observed.en


async def tally(
    lab, machine: Machine, path: str = "/", number: int = 10, errors_max: int = 0, header: str = ""
) -> Tally:
    return await answering.ask(
        Requests(Place("lab"), str(machine.address), PORT, path, number, errors_max, header), lab
    )


async def test_errors_are_counted_and_stop_what_cannot_hold_any_more(lab) -> None:
    async with lab.scratch("lab") as machine:
        refused = await tally(lab, machine)
        assert (refused.sent, refused.errors, refused.reached) == (1, 1, ())
        async with serving(machine, "one"):
            await found_on(lab, f"{{reach: {{machine: lab}}, by: tcp, port: {PORT}, open: true}}", PASSED)
            await until_tallied(Tally(10, (("one", 10),)), lab, machine)
            await until_tallied(Tally(10, (("ONE", 10),)), lab, machine, header="X-Backend")
            await until_tallied(Tally(3, (), 3, "HTTP 500"), lab, machine, "/broken", 10, 2)


async def until_tallied(wanted: Tally, *asked, **fields) -> None:
    seen = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (seen := await tally(*asked, **fields)) != wanted:
                pass
    except TimeoutError:
        pytest.fail(str(seen))


async def test_a_lab_without_a_service_kind_or_a_cluster_cannot_check_a_service(lab) -> None:
    async with lab.scratch("lab"):
        finding = await found_on(lab, "{requests: 10, service: web}", CANNOT)
        assert finding.observed.en == "this lab has no cluster"
        await found_on(lab, "{store: revision, ge: 1}", CANNOT)


def test_an_echo_request_is_what_rfc_792_says() -> None:
    request = icmp.echo(0x1234, 1, b"abc")
    assert request[:2] == bytes((8, 0))
    assert icmp.checksum(request) == 0
    head = bytes((0x45,)) + bytes(8) + bytes((1, 0, 0)) + IPv4Address("10.0.0.1").packed * 2
    reply = head + bytes((0, 0, 0, 0)) + request[4:]
    assert icmp.answer(reply, 0x1234, 1) == ""
    assert icmp.answer(reply, 0x1234, 2) is None
    assert icmp.answer(head + request, 0x1234, 1) is None  # Our own request, as loopback shows it.
    error = head + bytes((3, 1, 0, 0, 0, 0, 0, 0)) + head + request[:8]
    assert icmp.answer(error, 0x1234, 1) == "destination unreachable"
    assert icmp.answer(error, 0x4321, 1) is None
    for end in range(len(error)):
        assert icmp.answer(error[:end], 0x1234, 1) is None


async def test_a_cut_cable_is_seen_as_no_carrier_and_nobody_answers(lab) -> None:
    nodes = {NODES: ResourceState(({"metadata": {"name": "lab"}},))}
    cable = check("{node: lab, cable: cut}")
    async with lab.scratch("lab"):
        host = lab._network.plan.host.ip
        await found_on(lab, f"{{reach: {host}}}", PASSED)
        observer = Observer(lab, lambda: lab.machines, SystemClock())
        async with observer.watching(Needs(processes=True)), asyncio.timeout(40):
            for act, verdict in (
                (lab._network.heal, NOT_YET),
                (lab._network.cut, PASSED),
                (lab._network.heal, NOT_YET),
            ):
                await act("lab")
                while True:
                    finding = judge(cable, replace(observer.observation, resources=nodes), Scope("lab"))
                    if finding.verdict is verdict and finding.observed.en.startswith("cable"):
                        break
                    await observer.changed.wait()
                    observer.changed.clear()
            await lab._network.cut("lab")
            await found_on(lab, f"{{reach: {host}, answers: false}}", PASSED)


async def test_in_a_session_requests_are_sent_again_after_each_rest(lab, progress) -> None:
    wanted = f"requests: 20\n    to: {{machine: bench}}\n    port: {PORT}\n    backends: 2"
    lesson = parse_lesson(spanish("process: {argv: sleep $SECS}\n  solve", f"{wanted}\n  solve"))
    async with Session.open(lab, lesson, progress) as session, asyncio.timeout(20):
        async for view in session.changes():
            if "errors: 1" in view.step.checks[0].observed.en:
                break
        async with serving(lab.machines["bench"], "one", "two"):
            async for view in session.changes():
                if view.step.passed:
                    break
        assert "two (" in view.step.checks[0].observed.en
