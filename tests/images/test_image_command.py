"""`kubelab image`: what a person sees, in both languages."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import directory, entry, made, tar, write_archive
from lab_program import kubelab as command_line
from lab_program import until
from ordinary_user import FIRST_GRANTED, as_user, processes_of_user

from kubelab.cli import run
from kubelab.cli.image import readable, told
from kubelab.cluster.images.progress import Progress

IMAGE = made([tar([directory("etc"), ("etc/a", b"1" * 3000)]), tar([("b", b"")])])


@pytest.fixture
def kubelab(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, output, errors."""
    monkeypatch.setenv("KUBELAB_IMAGES", str(tmp_path / "store"))
    monkeypatch.setenv("KUBELAB_LANG", "en")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kubelab", *arguments])
        code = run()
        return code, *capsys.readouterr()

    return command


def test_an_image_is_loaded_listed_explained_and_removed(kubelab, tmp_path):
    path = write_archive(tmp_path / "hello.tar", IMAGE, "hello:1")
    code, output, errors = kubelab("image", "load", str(path))
    assert (code, errors) == (0, "")
    assert output.startswith("docker.io/library/hello:1  sha256:")
    listed = kubelab("image", "ls")[1].splitlines()
    assert listed[0].split() == ["IMAGE", "ID", "LAYERS", "SIZE"]
    assert [line.split()[0] for line in listed[1:]] == [
        *("kubelab/crash:latest", "kubelab/load:latest", "kubelab/shell:latest"),
        *("kubelab/web:1", "kubelab/web:2", "hello:1"),
    ]
    history = kubelab("image", "history", "hello:1")[1].splitlines()
    assert [line.split()[-1] for line in history] == ["STEP", "sh", "1", "0"]
    inspected = json.loads(kubelab("image", "inspect", "hello:1")[1])
    assert inspected["config"]["config"]["Cmd"] == ["sh"]
    assert all(Path(layer["directory"]).is_dir() for layer in inspected["layers"])
    assert kubelab("image", "rm", "hello:1")[1] == "Removed: docker.io/library/hello:1\n"
    assert not Path(inspected["layers"][0]["directory"]).exists()


@pytest.mark.parametrize(("language", "sentence"), [("es", "no está en este"), ("en", "is not on this")])
def test_what_is_wrong_is_said_in_one_sentence_of_the_learners_language(
    kubelab, monkeypatch, language, sentence
):
    monkeypatch.setenv("KUBELAB_LANG", language)
    code, _, errors = kubelab("image", "rm", "nothing:1")
    assert (code, errors.count("\n")) == (1, 1)
    assert sentence in errors


def test_a_file_that_is_no_image_and_a_registry_that_is_not_there_are_told_of(kubelab, tmp_path):
    (tmp_path / "text").write_text("hello")
    assert kubelab("image", "load", str(tmp_path / "text"))[0] == 1
    code, _, errors = kubelab("image", "pull", "127.0.0.1:1/app:1")
    assert (code, errors.count("\n")) == (1, 1)
    assert "the registry 127.0.0.1:1 cannot be reached" in errors


def test_progress_tells_what_is_done_and_what_is_being_done():
    progress = Progress()
    progress.advance(5 << 20)
    assert "5.0 MiB" in told(progress)
    one, two, three = (progress.layer(name, 100 << 20) for name in "abc")
    one.begin("done", 0)
    two.begin("download", 100 << 20)
    two.advance(1 << 20)
    three.begin("unpack", 0)
    three.advance(3 << 10)
    assert "1/3" in told(progress)
    assert "1.0 MiB/100.0 MiB" in told(progress)
    assert told(progress).endswith("3.0 KiB")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")],
)
def test_sizes_are_told_in_units_of_1024(size, text):
    assert readable(size) == text


@pytest.mark.root
def test_an_ordinary_users_images_keep_the_owners_of_their_files(monkeypatch):
    """As a rootless lab would have brought them; and what is not his own he can remove all the same."""
    owned = made([tar([directory("home"), (entry("home/of-1000", uid=1000, gid=1000), b"1")])])
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        user = as_user(home := Path(above) / "home")
        monkeypatch.setenv("KUBELAB_IMAGES", str(home / "images"))
        path = write_archive(Path(above) / "owned.tar", owned, "owned:1")
        path.chmod(0o644)

        def ordinary(*arguments: str) -> str:
            done = command_line(home / "lab", "image", *arguments, prefix=user)
            assert done.returncode == 0, done.stdout
            return done.stdout

        ordinary("load", str(path))
        (layer,) = json.loads(ordinary("inspect", "owned:1"))["layers"]
        status = (Path(layer["directory"]) / "home/of-1000").stat()
        assert (status.st_uid, status.st_gid) == (FIRST_GRANTED + 999, FIRST_GRANTED + 999)
        assert "owned:1" in ordinary("rm", "owned:1")
        assert not Path(layer["directory"]).exists()
        until(lambda: processes_of_user() == [])
