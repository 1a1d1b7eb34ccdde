"""The command line as people meet it: help in both languages, and every mistake answered in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from kubelab.cli.measurements import Figure, render
from kubelab.cli.status import render as render_status
from kubelab.cluster.lab.snapshot import LabSnapshot, MachineView, NodeView, PodView
from kubelab.language import LANGUAGES

TRACK = "format: 1\nid: track\ntitle: {es: Pista, en: Track}\nlessons: [01-wrong]\n"
COMMANDS = ("up", "status", "shell", "kubectl", "lesson", "track", "progress", "doctor", "clean", "bench")


def kubelab(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("KUBELAB", "LC_", "LANG"))
    }
    return subprocess.run(
        [sys.executable, "-m", "kubelab", *arguments],
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_the_help_names_every_command_in_the_language_asked_for() -> None:
    spanish, english = (kubelab("--lang", language, "--help").stdout for language in LANGUAGES)
    assert all(f"  {command} " in text for command in COMMANDS for text in (spanish, english))
    assert "Un laboratorio para entender" in spanish
    assert "A lab in which you understand" in english


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"LANG": "es_AR.UTF-8"}, "Un laboratorio"),
        ({"LANG": "es_ES.UTF-8", "KUBELAB_LANG": "en"}, "A lab"),
        ({"LANG": "de_DE.UTF-8"}, "A lab"),
        ({}, "A lab"),
    ],
)
def test_without_an_option_the_environment_chooses_the_language(
    environment: dict[str, str], word: str
) -> None:
    assert word in kubelab("--help", **environment).stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    said = kubelab(command, "--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout


def test_a_misspelt_command_is_answered_with_the_right_one() -> None:
    said = kubelab("lesson", "tset")
    assert said.returncode == 2
    assert "Did you mean 'test'?" in said.stderr


@pytest.mark.parametrize("option", ["--minions=3", "--plain=pid"])
def test_an_option_of_the_app_is_not_silently_dropped_before_a_command(option: str) -> None:
    said = kubelab(option, "status")
    assert said.returncode == 2
    assert "belongs to the app" in said.stderr
    assert "status --help" in said.stderr


def test_a_language_that_there_is_not_is_refused() -> None:
    said = kubelab("--lang", "fr", "status")
    assert said.returncode == 2
    assert "'fr' is not one of 'es', 'en'" in said.stderr


@pytest.mark.parametrize("command", [["lesson", "list"], ["lesson", "lint"], []])
def test_an_invalid_lesson_is_told_with_its_file_and_line(tmp_path: Path, command: list[str]) -> None:
    lesson = tmp_path / "lessons/track/01-wrong"
    lesson.mkdir(parents=True)
    (lesson.parent / "track.yaml").write_text(TRACK)
    (lesson / "es.md").write_text("---\nformat: 1\ntitel: Mal\n---\n\n## Paso {#paso}\n")
    (lesson / "en.md").write_text("---\nof: '0'\ntitle: Wrong\n---\n\n## Step {#paso}\n")
    said = on_a_terminal(command, tmp_path)
    assert f"{lesson}/es.md:3" in said
    assert "Traceback" not in said


def on_a_terminal(command: list[str], tmp_path: Path) -> str:
    environment = {
        **os.environ,
        "KUBELAB_LESSONS": str(tmp_path / "lessons"),
        "KUBELAB_DIR": str(tmp_path / "lab"),
        "KUBELAB_LANG": "en",
        "XDG_STATE_HOME": str(tmp_path),
    }
    output, code = pexpect.run(
        " ".join([sys.executable, "-m", "kubelab", *command]),
        env=environment,
        withexitstatus=True,
        timeout=50,
    )
    assert code == 1
    return str(output.decode()).replace("\r\n", "\n")


def test_kubectl_gets_every_word_as_it_is() -> None:
    said = kubelab("kubectl", "help", "delete")
    assert "kubectl delete" in said.stdout
    assert kubelab("kubectl", "--help").stdout.startswith("kubectl controls the Kubernetes cluster manager.")


def test_status_is_a_table_of_machines_and_pods() -> None:
    machine = MachineView("minion-1", "minion", "10.89.0.21", 1, ())
    node = NodeView("minion-1", True, "Ready", "10.89.0.21")
    pod = PodView("default", "web", "Running", "1/1", 0, "minion-1", "10.244.0.2", 3.0, (41, 42))
    lines = list(render_status(LabSnapshot((machine,), (node,), (pod,)), "KUBECONFIG=/x"))
    assert lines == [
        "MACHINE    ROLE     ADDRESS      NODE    PROCESSES",
        "minion-1   minion   10.89.0.21   Ready   0",
        "",
        "NAMESPACE   POD   READY   STATUS    RESTARTS   NODE       IP           PIDS",
        "default     web   1/1     Running   0          minion-1   10.244.0.2   41,42",
        "",
        "KUBECONFIG=/x",
    ]


def test_a_figure_is_shown_beside_its_peer_as_a_ratio() -> None:
    header, line = render([Figure("one pod", "ms", 30.0, 40.0, 5, "unshare(1)", 5.0)])
    assert header.split() == ["median", "worst", "runs", "beside"]
    assert line.split() == ["one", "pod", "30.0", "ms", "40.0", "ms", "5", "unshare(1)", "5.0", "ms:", "6x"]
