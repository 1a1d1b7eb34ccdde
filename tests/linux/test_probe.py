"""What the host can do is found out quickly and without a trace."""

import pytest

from kubelab.cluster.linux.mounts import mount_table
from kubelab.cluster.linux.namespaces import namespaces_of
from kubelab.cluster.linux.netlink import Netlink
from kubelab.cluster.linux.probe import names, probe


@pytest.mark.root
def test_a_probe_changes_nothing():
    with Netlink() as netlink:
        before = mount_table(), namespaces_of("thread-self"), netlink.links()
        found = {capability.name: capability for capability in probe()}
        assert (mount_table(), namespaces_of("thread-self"), netlink.links()) == before
    assert tuple(found) == names()
    assert found["root"].available
    assert found["namespace.pid"].available


def test_what_is_missing_comes_with_what_to_do(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    (missing,) = [capability for capability in probe() if capability.name == "program.ip"]
    assert not missing.available
    assert missing.mend.en == "sudo apt-get install -y iproute2"
