"""Kubeconfigs: what is written can be read, by us and by the genuine kubectl."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.client import kubeconfig
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.errors import LabError

CONFIG = ClientConfig("https://10.0.0.1:6443", b"ca", b"certificate", b"key", namespace="web")
KUBECTL = Path(sys.executable).parent / "kubectl"


def test_only_the_owner_can_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    kubeconfig.write(path, ClientConfig("https://old"))
    kubeconfig.write(path, CONFIG)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert kubeconfig.read(path) == CONFIG


def test_kubectl_reads_it(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "config", CONFIG)
    command = [KUBECTL, "--kubeconfig", tmp_path / "config", "config", "view", "--minify", "-o"]
    jsonpath = "jsonpath={.clusters[0].cluster.server} {.contexts[0].context.namespace} {.users[0].name}"
    seen = subprocess.run([*command, jsonpath], capture_output=True, text=True, check=True)
    assert seen.stdout == "https://10.0.0.1:6443 web kubernetes-admin"


def test_files_beside_the_kubeconfig_and_another_context(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"ca")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "config").write_text(
        """
        current-context: absent
        clusters: [{name: c, cluster: {server: "https://c/", certificate-authority: ca.crt}}]
        users: [{name: u, user: {tokenFile: token}}]
        contexts: [{name: other, context: {cluster: c, user: u}}]
        """
    )
    config = kubeconfig.read(tmp_path / "config", context="other")
    assert config == ClientConfig("https://c", b"ca", token="secret")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a YAML mapping"),
        ("{", "while parsing"),
        ("current-context: a", 'has no context "a"'),
        ("{current-context: a, contexts: [{name: a, context: {cluster: b}}]}", 'has no cluster "b"'),
        (
            (
                "{current-context: a, contexts: [{name: a, context: {cluster: a, user: u}}], "
                "clusters: [{name: a, cluster: {}}], users: [{name: u, user: {exec: {}}}]}"
            ),
            'The user "u" of',
        ),
        (
            (
                "{current-context: a, contexts: [{name: a, context: {cluster: a}}], "
                "clusters: [{name: a, cluster: {certificate-authority-data: '***'}}]}"
            ),
            "certificate-authority-data",
        ),
        (
            (
                "{current-context: a, contexts: [{name: a, context: {cluster: a}}], "
                "clusters: [{name: a, cluster: {certificate-authority: absent.crt}}]}"
            ),
            "absent.crt: No such file",
        ),
    ],
)
def test_what_is_no_kubeconfig_gets_one_sentence(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBELAB_LANG", "en")
    (tmp_path / "config").write_text(text)
    with pytest.raises(LabError) as error:
        kubeconfig.read(tmp_path / "config")
    assert message in str(error.value)


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="config"):
        kubeconfig.read(tmp_path / "config")


CONFIGS = st.builds(
    ClientConfig,
    server=st.just("https://[::1]:6443"),
    ca_pem=st.binary(max_size=8),
    certificate_pem=st.binary(max_size=8),
    key_pem=st.binary(max_size=8),
    token=st.text("ab:#' 1", max_size=4),
    namespace=st.sampled_from(["default", "no", "1"]),
    tls_server_name=st.sampled_from(["", "kubernetes"]),
    insecure_skip_tls_verify=st.booleans(),
)


@given(CONFIGS)
def test_what_is_rendered_is_parsed_back(config: ClientConfig) -> None:
    assert kubeconfig.parse(kubeconfig.render(config), Path("config")) == config
