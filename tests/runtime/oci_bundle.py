"""Bundles for tests: a root with this machine's tools in it, and `kubelab oci` as a program."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubelab.cluster.runtime.oci.__main__ import PROGRAM
from kubelab.cluster.runtime.oci.features import default_config

Document = dict[str, Any]


@dataclass
class Bundle:
    path: Path
    document: Document

    @property
    def rootfs(self) -> Path:
        return self.path / "rootfs"

    def write(self) -> None:
        (self.path / "config.json").write_text(json.dumps(self.document))


def bundle_at(path: Path, *args: str, **process: object) -> Bundle:
    """A root whose /usr is this machine's, read-only, and a container that runs *args* in it."""
    rootfs = path / "rootfs"
    for name in ("usr", "etc", "tmp", "proc", "sys", "dev"):
        (rootfs / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (rootfs / name).symlink_to(f"usr/{name}")
    (rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n")
    (rootfs / "etc/group").write_text("root:x:0:\nweb:x:33:\nadm:x:4:web\n")
    document = default_config()
    document["process"] |= {"terminal": False, "args": list(args), "rlimits": [], **process}
    document["mounts"].insert(
        0, {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}
    )
    bundle = Bundle(path, document)
    bundle.write()
    return bundle


@dataclass
class Runtime:
    """`kubelab oci` with containers of its own."""

    root: Path
    ids: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", PROGRAM, "--root", str(self.root)]

    def __call__(
        self, *arguments: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *arguments]
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        } | options
        done = subprocess.run(command, text=True, timeout=30, check=False, **options)
        assert not check or done.returncode == 0, done.stderr
        return done

    def create(self, bundle: Bundle, id_: str) -> None:
        """Its streams are files in the bundle: pipes would be held open by the container."""
        self.ids.append(id_)
        with (bundle.path / "out").open("wb") as out, (bundle.path / "err").open("wb") as err:
            done = self("create", "-b", str(bundle.path), id_, check=False, stdout=out, stderr=err)
        assert done.returncode == 0, (bundle.path / "err").read_text()

    def run(self, bundle: Bundle, id_: str) -> str:
        self.ids.append(id_)
        return self("run", "-b", str(bundle.path), id_).stdout

    def state(self, id_: str) -> Document:
        document: Document = json.loads(self("state", id_).stdout)
        return document

    def remove_all(self) -> None:
        for id_ in self.ids:
            self("delete", "--force", id_)
