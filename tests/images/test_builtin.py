"""The course's own images: there without a network, real ones, and their programs do what they say."""

import asyncio
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from image_files import everything

import kubelab.cluster.images.programs
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.store import ImageStore

PROGRAMS = Path(kubelab.cluster.images.programs.__file__).parent


async def test_they_are_there_in_an_empty_store_with_layers_digests_and_history(store):
    names = ["crash:latest", "load:latest", "shell:latest", "web:1", "web:2"]
    assert [image.reference for image in store.images()] == [f"docker.io/kubelab/{name}" for name in names]
    image = await store.pull("kubelab/web:1", "Always")
    assert [layer.digest == layer.diff_id for layer in image.layers] == [True, True]
    assert image.config.env[-1] == "VERSION=1"
    assert [step.layer is None for step in store.history("kubelab/web:1")] == [False, False, True, True, True]
    assert image.is_view_of_usr
    assert "/usr" in [mount["destination"] for mount in image.mounts()]
    assert image.layers == store.resolve("kubelab/web:2").layers
    assert image.id != store.resolve("kubelab/web:2").id


async def test_the_shell_has_no_layers_and_needs_none(store):
    shell = await store.pull("kubelab/shell")
    assert (shell.layers, shell.is_view_of_usr) == ((), True)
    assert (await store.lend(shell)).fd == -1


async def test_a_name_of_ours_that_is_none_says_which_there_are(store):
    with pytest.raises(ImageError, match="kubelab/web:2"):
        await store.pull("kubelab/web:3")


async def test_removed_they_come_back_and_two_stores_make_the_same(store, tmp_path):
    image = store.resolve("kubelab/web:1")
    await store.remove("kubelab/web:1")
    assert everything(store.path) == {"index.json", "oci-layout"}
    assert store.resolve("kubelab/web:1") == image == ImageStore.open(tmp_path / "b").resolve("kubelab/web:1")


@asynccontextmanager
async def program(name: str, *arguments: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", str(PROGRAMS / name), *arguments),
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def code_and_output(name: str, *arguments: str, **env: str) -> tuple[int | None, str]:
    async with program(name, *arguments, **env) as process:
        output, _ = await process.communicate()
        return process.returncode, output.decode()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@asynccontextmanager
async def web(**env: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """It listens on all addresses: if somebody has taken the port that was free just now, on another one."""
    async with AsyncExitStack() as stack:
        while True:
            with socket.create_server(("", 0)) as server:
                port = server.getsockname()[1]
            process = await stack.enter_async_context(program("web.py", PORT=str(port), **env))
            assert process.stdout is not None
            if b"listens" in (said := await process.stdout.readline()):
                break
            assert b"Traceback" in said
        yield process, f"http://127.0.0.1:{port}"


async def test_the_web_server_says_which_pod_and_version_it_is():
    async with web(VERSION="2", POD_NAME="web-abc", POD_IP="10.1.2.3") as (_, base):
        assert await asyncio.to_thread(get, f"{base}/") == (200, "pod web-abc, version 2, address 10.1.2.3\n")
        assert (await asyncio.to_thread(get, f"{base}/nothing"))[0] == 404
        assert (await asyncio.to_thread(get, f"{base}/env"))[1].count("VERSION=2\n") == 1


async def test_the_web_server_is_broken_and_mended():
    async with web() as (_, base):
        for path, status in (
            ("/healthz", 200),
            ("/break", 200),
            ("/healthz", 500),
            ("/mend", 200),
            ("/healthz", 200),
        ):
            assert (await asyncio.to_thread(get, base + path))[0] == status


async def test_the_web_server_answers_what_it_has_begun_before_sigterm_ends_it():
    async with web() as (process, base):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
        writer.write(b"GET /slow?s=0.3 HTTP/1.1\r\n\r\n")
        assert (await asyncio.to_thread(get, f"{base}/"))[0] == 200  # The slow one holds nobody up.
        process.send_signal(signal.SIGTERM)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        assert await process.wait() == 0


async def test_the_web_server_ends_with_the_code_that_it_is_asked_for():
    async with web() as (process, base):
        await asyncio.to_thread(get, f"{base}/exit?code=3")
        assert await process.wait() == 3


async def test_requests_are_counted_by_who_answered():
    async with web(POD_NAME="one", VERSION="1") as (_, base):
        code, output = await code_and_output(
            "load.py", "http", f"{base}/", "--rate", "50", "--seconds", "0.2"
        )
    assert code == 0
    assert "0 failed" in output
    assert "x pod one, version 1" in output


async def test_failed_requests_are_counted_and_make_the_code_1():
    with socket.socket() as silent:  # It has the port, and nobody listens there.
        silent.bind(("127.0.0.1", 0))
        url = "http://{}:{}".format(*silent.getsockname())
        code, output = await code_and_output("load.py", "http", url, "--seconds", "0.2")
    assert code == 1
    assert "Connection refused" in output


async def test_memory_is_taken_and_kept(tmp_path):
    async with program("load.py", "memory", "64M") as process:
        assert process.stdout is not None
        while b"64 MiB" not in await process.stdout.readline():
            pass
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) > 64 << 10
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_the_disk_is_written_and_left_clean(tmp_path):
    arguments = ("disk", "4M", "--path", str(tmp_path / "file"), "--seconds", "0.2")
    code, output = await code_and_output("load.py", *arguments)
    assert code == 0
    assert "MiB in" in output
    assert not (tmp_path / "file").exists()


async def test_cpu_load_ends_with_all_its_workers():
    async with program("load.py", "cpu", "--workers", "2", "--percent", "5") as process:
        assert process.stdout is not None
        assert b"2 workers" in await process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.parametrize(
    ("arguments", "env", "code"),
    [
        (["exit", "--code", "3"], {}, 3),
        ([], {"CRASH_CODE": "7"}, 7),
        (["segfault"], {}, -signal.SIGSEGV),
        (["throw"], {}, 1),
        (["exit", "--after", "0.05"], {}, 1),
        ([], {"CRASH_MODE": "close-stdout", "CRASH_CODE": "4"}, 4),
        (["dance"], {}, 1),
    ],
)
async def test_a_crash_is_as_asked_for(arguments, env, code):
    assert (await code_and_output("crash.py", *arguments, **env))[0] == code


async def test_a_crash_is_deaf_to_sigterm_if_asked_for():
    async with program("crash.py", "ignore-term") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"staying\n"
        process.send_signal(signal.SIGTERM)
        assert b"not listening" in await process.stdout.readline()
        assert process.returncode is None
