"""The CRI's log format, whatever the chunks that the output came in."""

from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.runtime.logs import LINE_BYTES_MAX, LineSplitter, timestamp

_HEAD = "1970-01-01T00:00:00.000000007Z stdout"


def test_a_timestamp_has_nanoseconds():
    assert timestamp(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"


def test_a_line_without_its_end_waits_for_it():
    splitter = LineSplitter("stdout")
    assert splitter.feed(b"a\nb", 7) == f"{_HEAD} F a\n".encode()
    assert splitter.feed(b"c\n", 7) == f"{_HEAD} F bc\n".encode()
    assert splitter.finish(7) == b""


def test_what_ends_without_a_newline_is_a_part():
    """Whoever reads the log adds none to it: `kubectl logs` shows what was written, and so does a message."""
    splitter = LineSplitter("stdout")
    assert splitter.feed(b"a\nb", 7) == f"{_HEAD} F a\n".encode()
    assert splitter.finish(7) == f"{_HEAD} P b\n".encode()


@given(st.lists(st.binary(max_size=3 * LINE_BYTES_MAX).map(lambda b: b.replace(b"\0", b"\n")), max_size=5))
def test_nothing_is_lost_and_no_part_is_too_long(chunks):
    splitter = LineSplitter("stdout")
    log = b"".join(splitter.feed(chunk, 7) for chunk in chunks) + splitter.finish(7)
    out = b""
    for record in log.split(f"{_HEAD} ".encode())[1:]:
        tag, content = record[:1], record[2:-1]
        assert len(content) <= LINE_BYTES_MAX
        out += content + (b"\n" if tag == b"F" else b"")
    written = b"".join(chunks)
    assert out == written
