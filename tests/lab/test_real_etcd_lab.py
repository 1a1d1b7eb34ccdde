"""A lab on a real etcd: one that is there already, and one whose members the lab runs on its masters."""

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from lab_program import RunningLab, kubelab, running, until
from real_etcd import loopback_specs

from kubelab.cluster.apiserver.pki import Authority, KeyPair
from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.faults import Fault, Order
from kubelab.cluster.store.etcd_process import Certificates, EtcdSpec, find_etcd, run_member
from kubelab.cluster.store.etcd_process_place import LoopbackPlace

pytestmark = pytest.mark.root


def do(lab: RunningLab, order: Order) -> tuple[Fault, ...]:
    with ControlClient.connect(LabDirectory(lab.place).control) as client:
        return client.fault(order)


def engine_led_by(lab: RunningLab, name: str) -> str:
    """Return what the store is, "" as long as *name* does not lead it: both are asked for again and again."""
    view = lab.store()
    return view.engine if view.leader == name else ""


def issued(place: Path, spec: EtcdSpec) -> tuple[EtcdSpec, Certificates, Certificates]:
    """Return *spec* with TLS, a client's files that it takes, and such as somebody else has signed."""
    ours, others = (Authority.create(place / name, datetime.now(UTC)) for name in ("ours", "others"))
    address = x509.IPAddress(IPv4Address(spec.address))
    server = files(ours, ours.issue("server", "etcd", names=[address], calls=True))
    strange = replace(files(others, others.issue("client", "client")), ca=server.ca)
    peers = {name: url.replace("http:", "https:") for name, url in spec.peers.items()}
    return (
        replace(spec, certificates=server, peers=peers),
        files(ours, ours.issue("client", "client")),
        strange,
    )


def files(authority: Authority, pair: KeyPair) -> Certificates:
    return Certificates(authority.certificate_path, pair.certificate, pair.key)


def trust(monkeypatch: pytest.MonkeyPatch, given: Certificates) -> None:
    monkeypatch.setenv("ETCDCTL_CACERT", str(given.ca))
    monkeypatch.setenv("ETCDCTL_CERT", str(given.certificate))
    monkeypatch.setenv("ETCDCTL_KEY", str(given.key))


async def test_a_lab_lives_on_an_etcd_that_is_there_already(
    tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate is not taken, another one is; the server goes, and comes back."""
    spec, ours, strange = issued(tmp_path, loopback_specs(tmp_path)[0])
    options = ("--minions", "1", "--store", spec.client_url)
    async with run_member(spec, LoopbackPlace()) as member:
        await member.ready()
        trust(monkeypatch, strange)
        refused = kubelab(short_path / "refused", "up", *options)
        assert refused.returncode == 1
        assert f"{spec.client_url} (" in refused.stdout
        assert "ETCDCTL_CERT" in refused.stdout
        trust(monkeypatch, ours)
        with running(short_path / "lab", *options) as lab:
            lab.kubectl("create", "configmap", "kept")
            until(lambda: engine_led_by(lab, spec.name).startswith("etcd 3."))
            member.hold_down()
            await member.gone()
            until(lambda: not lab.store().quorum)
            until(lambda: lab.run("status", "--raft").splitlines()[-1].split()[:2] == [spec.name, "dead"])
            assert spec.client_url in lab.kubectl("get", "configmap", "kept", code=1)
            member.release()
            await member.ready()
            until(lambda: lab.can("kubectl", "get", "configmap", "kept"))
            lab.kubectl("create", "configmap", "written-afterwards")
            until(lambda: lab.store().leader == spec.name)


def test_members_of_a_real_etcd_tell_how_they_are_and_who_depends_on_them_backs_off(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program lies where no machine sees it: in /tmp, of which each machine has its own."""
    (short_path / "bin").mkdir()
    shutil.copy(find_etcd(), short_path / "bin" / "etcd")
    monkeypatch.setenv("PATH", f"{short_path / 'bin'}:{os.environ['PATH']}")
    with running(short_path / "lab", "--minions", "1", "--store", "etcd") as lab:
        until(lambda: engine_led_by(lab, "master-1").startswith("etcd 3."))
        until(lambda: f"{engine_led_by(lab, 'master-1') or 'nobody'}: 1 " in lab.run("status", "--raft"))
        listed = lab.run("shell", "master-1", "etcdctl", "member", "list")
        assert "https://master-1:2380" in listed  # Which stays when the address is another one.
        killed = Fault("kill", "master-1", "etcd")
        assert killed in do(lab, Order("kill", "master-1", "etcd"))
        until(lambda: lab.store().members == ())
        do(lab, Order("kill", "master-1", "kube-apiserver"))
        do(lab, Order("restart", "master-1", "kube-apiserver"))
        waiting = Fault("back-off", "master-1", "kube-apiserver")
        until(lambda: {killed, waiting} <= set(do(lab, Order("list"))))  # Between two attempts.
        assert do(lab, Order("heal-all")) == ()
        until(lambda: lab.store().leader == "master-1")
