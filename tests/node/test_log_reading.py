import asyncio
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.node.logs import BLOCK_BYTES, LogOptions, read_log, tail_offset
from kubelab.cluster.node.server import log_options
from kubelab.cluster.runtime.log_rotation import older, successor

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINES = st.binary(max_size=20).filter(lambda line: b"\n" not in line)


def stamp(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.123456789Z"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_text("".join(f"{stamp(n)} stdout F line {n}\n" for n in range(5)))
    return path


async def read(path: Path, options: LogOptions) -> str:
    pieces = [piece async for piece in read_log(path, options, asyncio.Event(), lambda: True)]
    return b"".join(pieces).decode()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (LogOptions(), "line 0\nline 1\nline 2\nline 3\nline 4\n"),
        (LogOptions(tail_lines=2), "line 3\nline 4\n"),
        (LogOptions(tail_lines=0), ""),
        (LogOptions(tail_lines=9), "line 0\nline 1\nline 2\nline 3\nline 4\n"),
        (LogOptions(limit_bytes=9), "line 0\nli"),
        (LogOptions(since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)), "line 3\nline 4\n"),
        (LogOptions(tail_lines=1, timestamps=True), f"{stamp(4)} line 4\n"),
        (LogOptions(follow=True, tail_lines=1), "line 4\n"),
    ],
)
async def test_a_log_is_shown_as_asked(log: Path, options: LogOptions, shown: str) -> None:
    assert await read(log, options) == shown


async def test_a_long_log_of_which_nothing_is_shown_lets_others_run(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(f"{stamp(0)} stdout F {'x' * 100}\n" * 10_000)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with background(count_turns()):
        assert await read(path, LogOptions(since=NOW + timedelta(hours=1))) == ""
    assert turns > path.stat().st_size // BLOCK_BYTES


async def test_partial_lines_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(f"{stamp(0)} stdout P half a\n{stamp(0)} stdout F  line\n")
    assert await read(path, LogOptions(timestamps=True)) == f"{stamp(0)} half a line\n"


async def test_following_sees_what_is_written_later_and_stops_at_the_end(log: Path) -> None:
    over, changed = False, asyncio.Event()
    reader = read_log(log, LogOptions(follow=True, tail_lines=0), changed, lambda: over)
    coming = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    with log.open("a") as file:
        file.write(f"{stamp(9)} stderr F late\n")
    assert await coming == b"late\n"
    over = True
    changed.set()
    assert [piece async for piece in reader] == []


@given(lines=st.lists(LINES), count=st.integers(0, 10), block=st.integers(1, 30))
def test_the_tail_begins_where_the_last_lines_begin(lines: list[bytes], count: int, block: int) -> None:
    text = b"".join(line + b"\n" for line in lines)
    expected = b"".join(line + b"\n" for line in (lines[-count:] if count else []))
    assert text[tail_offset(BytesIO(text), count, block) :] == expected


def test_the_query_is_read_as_pod_log_options() -> None:
    query = {"follow": "true", "tailLines": "10", "sinceSeconds": "60", "timestamps": "1"}
    options = log_options(query, NOW)
    assert (options.follow, options.tail_lines, options.timestamps) == (True, 10, True)
    assert options.since == datetime(2025, 12, 31, 23, 59, tzinfo=UTC)
    for wrong in ({"tailLines": "-1"}, {"sinceTime": "now"}, {"sinceTime": "2026-01-01T00:00:00"}):
        with pytest.raises(ApiError):
            log_options(wrong, NOW)


def rotate(log: Path, text: str) -> None:
    """Let the log go on in a new file, as the runtime does."""
    with successor(log) as fd:
        os.write(fd, text.encode())


async def test_a_log_is_followed_through_its_rotations_without_a_loss(log: Path) -> None:
    over, changed = False, asyncio.Event()
    reader = read_log(log, LogOptions(follow=True, tail_lines=1), changed, lambda: over)
    assert await anext(reader) == b"line 4\n"
    coming = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    with log.open("a") as file:
        file.write(f"{stamp(5)} stdout F last of the first\n")
    for name in ("second", "third"):
        rotate(log, f"{stamp(6)} stdout F {name}\n")
    assert await coming == b"last of the first\n"
    assert [await anext(reader), await anext(reader)] == [b"second\n", b"third\n"]
    over = True
    changed.set()
    assert [piece async for piece in reader] == []


def test_only_so_many_files_of_a_log_are_kept(log: Path) -> None:
    for number in range(8):
        rotate(log, f"{number}\n")
    assert [path.read_text() for path in older(log)] == [f"{number}\n" for number in (6, 5, 4, 3)]
    assert log.read_text() == "7\n"
