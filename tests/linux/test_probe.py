"""What the host can do is found out quickly and without a trace."""

import pytest
from host_mounts import host_mounts

from kubelab.cluster.linux.namespaces import namespaces_of
from kubelab.cluster.linux.netlink import Netlink
from kubelab.cluster.linux.probe import names, probe


def _links(netlink: Netlink) -> list[str]:
    """Return the host's links but those of labs that other workers' tests start meanwhile."""
    return [link.name for link in netlink.links() if not link.alias.startswith("kubelab")]


@pytest.mark.root
def test_a_probe_changes_nothing():
    with Netlink() as netlink:
        before = host_mounts(), namespaces_of("thread-self"), _links(netlink)
        found = {capability.name: capability for capability in probe()}
        assert (host_mounts(), namespaces_of("thread-self"), _links(netlink)) == before
    assert tuple(found) == names()
    assert found["root"].available
    assert found["namespace.pid"].available


def test_what_is_missing_comes_with_what_to_do(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    (missing,) = [capability for capability in probe() if capability.name == "program.ip"]
    assert not missing.available
    assert missing.mend.en == "sudo apt-get install -y iproute2"
