"""`kubelab bench store` measures what it says, here with very little of each."""

from pathlib import Path

import pytest

from kubelab.cli import store_load, store_requests
from kubelab.cli.store_members import leader_first, members


async def test_one_run_has_every_figure_beside_etcds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_requests, "MEMBERS", (1,))
    for name, value in {"DURATION_S": 0.01, "LISTED": 20, "EVENTS": 3, "CLIENTS": (1, 2)}.items():
        monkeypatch.setattr(store_load, name, value)
    figures = {figure.name: figure for figure in await store_requests.measure(tmp_path, 1)}
    for way in ("in process", "by gRPC"):
        for what in ("write, 2 clients", "linearizable read, 1 client", "list of 20"):
            figure = figures[f"1: {what}, {way}"]
            assert figure.peer == "etcd"
            assert figure.ratio is not None
            assert figure.median > 0
    assert figures["1 member, in process: write p50"].peer == "one fdatasync of 1 KiB"


async def test_a_failover_ends_with_the_first_write_of_those_that_are_left(tmp_path: Path) -> None:
    async with members(tmp_path, 3) as started:
        leader, *others = leader_first(started)
        leader.kill()
        assert await store_load.failover_s(others) > 0
        assert any(member.leads for member in others)
