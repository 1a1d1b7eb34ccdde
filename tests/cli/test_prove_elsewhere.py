"""`kubelab lesson test --backend kubernetes`: a lesson about the API, on a cluster that was there before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab_program import running

from kubelab.lessons.parse import text_hash

SPANISH = """\
---
format: 1
title: Un ConfigMap
minutes: 5
backends: [netns, kubernetes]
cluster: {}
vars: {NAME: {pick: [uno, dos]}}
cleanup: [kubectl delete configmap $NAME --ignore-not-found]
steps:
- id: create
  checks:
  - {object: configmap, name: $NAME, field: '{.data.color}', eq: blue}
  solve: [kubectl create configmap $NAME --from-literal=color=blue]
  wrong:
  - do: [kubectl create configmap $NAME --from-literal=colour=blue]
    message: other-key
    when: {object: configmap, name: $NAME, field: '{.data.colour}', eq: blue}
---
## Crear {#create}

Crea `$NAME`.

::: hint
Observa.
:::
::: hint
Ubica.
:::
::: hint
Método.
:::
::: hint
Orden.
:::
::: message other-key
Otra clave.
:::
::: debrief
Ya está.
:::
"""
ENGLISH = SPANISH.partition("steps:")[2].partition("---\n")[2]


def write_lessons(place: Path) -> None:
    lesson = place / "demo/01-map"
    lesson.mkdir(parents=True)
    (lesson / "es.md").write_text(SPANISH)
    (lesson / "en.md").write_text(f"---\nof: {text_hash(SPANISH)}\ntitle: A ConfigMap\n---\n{ENGLISH}")
    (place / "demo/track.yaml").write_text(
        "format: 1\nid: demo\ntitle: {es: Demo, en: Demo}\nlessons: [01-map]\nprivileges: [cluster]\n"
    )


def prove(lessons: Path, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kubelab", "lesson", "test", "--backend", "kubernetes", *arguments],
        env={
            **os.environ,
            "KUBELAB_LESSONS": str(lessons),
            "KUBECONFIG": str(kubeconfig),
            "KUBELAB_LANG": "en",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=55,
    )


@pytest.mark.root
def test_a_lesson_about_the_api_is_proven_on_a_cluster_that_is_not_the_labs_own(tmp_path: Path) -> None:
    write_lessons(tmp_path / "lessons")
    with running(tmp_path / "other") as cluster:
        done = prove(tmp_path / "lessons", cluster.place / "admin.conf", "--limit", "50")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "2 passed, 0 failed"
        assert cluster.kubectl("get", "configmap", "uno", "dos", "--ignore-not-found") == ""


@pytest.mark.root
def test_a_cluster_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path) -> None:
    write_lessons(tmp_path / "lessons")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    done = prove(tmp_path / "lessons", kubeconfig)
    assert done.returncode == 1
    assert "The cluster at https://127.0.0.1:9 does not answer" in done.stderr


def test_lessons_that_look_at_machines_do_not_run_on_another_cluster(tmp_path: Path) -> None:
    write_lessons(tmp_path / "lessons")
    lesson = tmp_path / "lessons/demo/01-map/es.md"
    lesson.write_text(lesson.read_text().replace("backends: [netns, kubernetes]\n", ""))
    done = prove(tmp_path / "lessons", tmp_path / "config")
    assert done.returncode == 1
    assert "demo/01-map: does not run on kubernetes" in done.stderr


def test_several_labs_side_by_side_are_refused_where_there_is_one_cluster(tmp_path: Path) -> None:
    write_lessons(tmp_path / "lessons")
    done = prove(tmp_path / "lessons", tmp_path / "config", "--jobs", "2")
    assert done.returncode == 1
    assert "use --jobs 1" in done.stderr
