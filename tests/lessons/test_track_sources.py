"""Where a track may be got from, as people write it; and git, which runs nothing of what it gets."""

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from tracks_for_tests import english as english
from tracks_for_tests import git, repository, tar, tree_of, write

from kubelab.cluster.errors import LabError
from kubelab.lessons.thirdparty import git as git_module
from kubelab.lessons.thirdparty.fetching import Fetched, fetch
from kubelab.lessons.thirdparty.source import Source
from kubelab.lessons.tree import Limits


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("https://host/a/tracks.git", ("https://host/a/tracks.git", "")),
        ("https://host/tracks", ("https://host/tracks", "")),
        ("https://host/tracks.git#v1.2", ("https://host/tracks.git", "v1.2")),
        ("https://host/tracks.git@v1.2", ("https://host/tracks.git", "v1.2")),
        ("host/path.git@feature/x", ("https://host/path.git", "feature/x")),
        ("github.com/a/b.git", ("https://github.com/a/b.git", "")),
        ("git+ssh://git@host:22/a.git", ("ssh://git@host:22/a.git", "")),
        ("ssh://git@host/a#main", ("ssh://git@host/a", "main")),
        ("git@host:me/tracks.git@v2", ("ssh://git@host/me/tracks.git", "v2")),
        ("git@host:me/tracks", ("ssh://git@host/me/tracks", "")),
        ("git://host/a.git", ("git://host/a.git", "")),
        ("file:///srv/a.git#0123abc", ("file:///srv/a.git", "0123abc")),
    ],
)
def test_a_git_url_is_understood_as_git_writes_it(written: str, means: tuple[str, str]) -> None:
    assert Source.parse(written) == Source("git", *means)


def test_who_names_a_commit_of_a_directory_is_told_its_url(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"write file://{tmp_path}#v1"):
        Source.parse(f"{tmp_path}#v1")


def test_what_exists_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.git").mkdir()
    (tmp_path / "b#1.tgz").touch()
    monkeypatch.chdir(tmp_path)
    assert Source.parse("./a.git") == Source("directory", str(tmp_path / "a.git"))
    assert Source.parse("b#1.tgz") == Source("archive", str(tmp_path / "b#1.tgz"))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("ext::sh -c 'touch evil'", "“ext” is not used"),
        ("fd::7", "“fd” is not used"),
        ("http://host/a.git", "“http” is not used"),
        ("ftp://host/a.git", "“ftp” is not used"),
        ("git+http://host/a.git", "“http” is not used"),
        ("https://host/a.git#-x", "“-x” is no branch"),
        ("https://host/a.git#--upload-pack=evil", "is no branch"),
        ("https://host/a.git#a..b", "is no branch"),
        ("https://host/a.git#", "is no branch"),
        ("https://host/a.git@", "is no branch"),
        ("https://host/a.git#x y", "is no branch"),
        ("https://host/a.git#x:y", "is no branch"),
        ("https://host/a.git#x\n", "is no branch"),
        ("-u./evil", "no git URL"),
        ("--upload-pack=evil", "no git URL"),
        ("ssh://-oProxyCommand=evil/a", "no git URL"),
        ("ssh://-oProxyCommand=evil@host/a", "no git URL"),
        ("-oProxyCommand=evil@host:a", "no git URL"),
        ("https://host", "no git URL"),
        ("https:///a", "no git URL"),
        ("https://host:port/a", "no git URL"),
        ("https://[host/a", "no git URL"),
        ("file://host/a", "no git URL"),
        ("https://host/a\x1b[31m", "no git URL"),
        ("https://me:secret@host/a.git", "has a password"),
        ("./not-there", "no git URL"),
        ("not-there.tar.gz", "no git URL"),
        ("x" * 5000, "no git URL"),
        ("a\x00b", "no git URL"),
        ("", "no git URL"),
    ],
)
def test_what_is_none_or_could_do_harm_is_refused_in_one_sentence(
    written: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match=says) as caught:
        Source.parse(written)
    assert "secret" not in str(caught.value)
    assert not {"\n", "\x1b"} & set(str(caught.value))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def fetched(text: str, place: Path) -> Fetched:
    return fetch(Source.parse(text), place, lambda elapsed_s: None)


def test_a_repository_comes_as_the_files_of_one_commit(tmp_path: Path, place: Path) -> None:
    tree = tree_of()
    commit = repository(tmp_path / "repo", tree)
    got = fetched(f"file://{tmp_path}/repo", place)
    assert got.resolved == commit
    assert got.tree == dict(sorted(tree.items()))


@pytest.mark.parametrize("ref", ["v1", "old", "HASH"])
def test_a_tag_a_branch_or_a_commit_can_be_asked_for(tmp_path: Path, place: Path, ref: str) -> None:
    first = repository(tmp_path / "repo", {"track.yaml": b"1"})
    git(tmp_path / "repo", "tag", "--annotate", "--message=x", "v1")
    git(tmp_path / "repo", "branch", "old")
    repository(tmp_path / "repo", {"track.yaml": b"2"})
    got = fetched(f"file://{tmp_path}/repo#{ref.replace('HASH', first)}", place)
    assert (got.resolved, got.tree) == (first, {"track.yaml": b"1"})


def test_nothing_of_a_repository_runs(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, filters, fsmonitor, helpers and upload-pack's hooks: of the repository, and of the user's
    configuration."""
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/evil-ran\ncat\n")
    evil.chmod(0o755)
    repo = tmp_path / "repo"
    repository(repo, {"track.yaml": b"1", ".gitattributes": b"* filter=evil diff=evil\n"})
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (repo / ".git/hooks" / hook).parent.mkdir(exist_ok=True)
        (repo / ".git/hooks" / hook).symlink_to(evil)
    settings = {"core.fsmonitor": evil, "filter.evil.smudge": evil, "uploadpack.packObjectsHook": evil}
    home = tmp_path / "home/.gitconfig"
    home.parent.mkdir()
    settings |= {"core.hooksPath": repo / ".git/hooks", "credential.helper": evil}
    for name, value in settings.items():
        git(repo, "config", name, str(value))
        git(repo, "config", "--file", str(home), name, str(value))
    (tmp_path / "evil-ran").unlink(missing_ok=True)
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(repo / ".git"))
    monkeypatch.setenv("GIT_SSH_COMMAND", str(evil))
    assert fetched(f"file://{repo}", place).tree["track.yaml"] == b"1"
    assert not (tmp_path / "evil-ran").exists()


def test_a_submodule_is_not_fetched(tmp_path: Path, place: Path) -> None:
    commit = repository(tmp_path / "other", {"x": b""})
    repo = tmp_path / "repo"
    module = f'[submodule "sub"]\n\tpath = sub\n\turl = file://{tmp_path}/other\n'.encode()
    repository(repo, {"track.yaml": b"1", ".gitmodules": module})
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    git(repo, "commit", "--quiet", "--message=x")
    assert sorted(fetched(f"file://{repo}", place).tree) == [".gitmodules", "track.yaml"]


def test_a_link_that_leads_out_of_a_repository_is_refused(tmp_path: Path, place: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/link").symlink_to("/etc/passwd")
    repository(tmp_path / "repo", {"track.yaml": b"1"})
    with pytest.raises(LabError, match="“link” leads out"):
        fetched(f"file://{tmp_path}/repo", place)


@pytest.mark.parametrize(("url", "says"), [("/nowhere", "nowhere"), ("/repo#missing", "missing")])
def test_what_git_cannot_get_is_told_with_its_own_words(
    tmp_path: Path, place: Path, url: str, says: str
) -> None:
    repository(tmp_path / "repo", {"track.yaml": b"1"})
    with pytest.raises(LabError, match=rf"git could not get file://.* \(.*{says}.*\): look at"):
        fetched(f"file://{tmp_path}{url}", place)


def test_without_git_a_sentence_says_so(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="git is needed"):
        fetched("https://host/a.git", place)


def test_a_git_that_does_not_end_is_ended_with_all_that_it_started(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, pid_file = tmp_path / "bin/git", tmp_path / "pid"
    slow.parent.mkdir()
    slow.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {pid_file}\nwait\n")
    slow.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(git_module, "PATIENCE_S", 0.2)
    told: list[float] = []

    def watch(elapsed_s: float) -> None:
        """Its time is over as soon as it has started what shall end with it."""
        told.append(elapsed_s)
        if pid_file.exists() and pid_file.read_text().endswith("\n"):
            monkeypatch.setattr(git_module, "TIMEOUT_S", 0.0)

    with pytest.raises(LabError, match="did not arrive"):
        fetch(Source.parse("https://host/a.git"), place, watch)
    assert told
    pid = pid_file.read_text().strip()
    while state_of(pid) not in ("", "Z"):
        time.sleep(0.01)


def state_of(pid: str) -> str:
    return subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout[:1]


def test_a_repository_beyond_the_limits_is_refused(tmp_path: Path, place: Path) -> None:
    repository(tmp_path / "repo", {"zeros": bytes(2000)})
    source = Source.parse(f"file://{tmp_path}/repo")
    with pytest.raises(LabError, match="too big"):
        git_module.fetch(source, place, lambda elapsed_s: None, limits=Limits(file_bytes=1000))


def test_a_commit_that_unfolds_into_more_than_a_disk_takes_is_refused(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path / "repo", {"zeros": bytes(200_000)})
    monkeypatch.setattr(git_module, "FILE_BYTES_MAX", 100_000)
    with pytest.raises(LabError, match="takes more than"):
        fetched(f"file://{tmp_path}/repo", place)


def test_a_source_that_went_away_is_told(tmp_path: Path, place: Path) -> None:
    write({"track.yaml": b""}, tmp_path / "here")
    source = Source.parse(str(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(LabError, match="is not there any more"):
        fetch(source, place, lambda elapsed_s: None)


def test_an_archive_is_resolved_to_what_sha256sum_says(tmp_path: Path, place: Path) -> None:
    made = tar(tmp_path / "x.tgz", tree=tree_of())
    said = subprocess.run(["sha256sum", made], check=True, capture_output=True, text=True).stdout
    assert fetched(str(made), place).resolved == said.split()[0]
