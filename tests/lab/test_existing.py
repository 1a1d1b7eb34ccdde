"""A cluster that is there already: what its workstation's kubeconfig says, and the machines beside it."""

import pytest

from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.lab.existing import SCRATCH_NUMBERS, relayed


@pytest.mark.parametrize(
    ("server", "there"),
    [
        ("https://api.example.net", "https://10.9.0.2:6443"),
        ("https://api.example.net:8443", "https://10.9.0.2:6443"),
        ("https://many.example.net/k8s/clusters/c-1", "https://10.9.0.2:6443/k8s/clusters/c-1"),
    ],
)
def test_the_relay_has_the_servers_paths_and_its_certificates_name(server: str, there: str) -> None:
    client = relayed(ClientConfig(server, token="t"), "10.9.0.2")
    assert client.server == there
    assert client.tls_server_name.endswith("example.net")
    assert client.token == "t"


def test_a_certificates_other_name_is_kept() -> None:
    client = relayed(ClientConfig("https://10.0.0.1:6443", tls_server_name="kubernetes"), "10.9.0.2")
    assert client.tls_server_name == "kubernetes"


def test_no_scratch_machine_gets_the_workstations_address() -> None:
    assert 0 not in SCRATCH_NUMBERS
