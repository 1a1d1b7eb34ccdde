"""What streams carry, as values: messages of channels, sizes of terminals, how a command ended."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.errors import ApiError
from kubelab.cluster.streams import channels
from kubelab.cluster.streams.channels import COMMAND_SUBPROTOCOLS, Subprotocol
from kubelab.cluster.streams.remote_command import (
    SUCCESS,
    StreamOptions,
    TerminalSize,
    exited,
    failed,
    plain,
    stream_options,
    terminal_sizes,
)


@given(st.sampled_from(COMMAND_SUBPROTOCOLS), st.integers(0, 4), st.binary(max_size=100))
@settings(max_examples=50)
def test_a_message_is_read_as_it_was_written(protocol: Subprotocol, channel: int, data: bytes) -> None:
    assert protocol.unpack(protocol.pack(channel, data)) == (channel, data)


@given(st.sampled_from(COMMAND_SUBPROTOCOLS), st.one_of(st.binary(max_size=20), st.text(max_size=20)))
@settings(max_examples=50)
def test_no_message_is_a_bug(protocol: Subprotocol, message: bytes | str) -> None:
    part = protocol.unpack(message)
    assert part is None or isinstance(part[1], bytes)


def test_the_clients_first_choice_counts() -> None:
    asked = ["v9.channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io"]
    assert channels.chosen(asked, COMMAND_SUBPROTOCOLS) == Subprotocol("v4.channel.k8s.io", status=True)
    assert channels.chosen(asked[:1], COMMAND_SUBPROTOCOLS) is None
    assert channels.chosen([], COMMAND_SUBPROTOCOLS) == Subprotocol("")


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535)), max_size=4), st.data())
@settings(max_examples=50)
def test_sizes_come_in_whichever_pieces(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    text = "\n".join(json.dumps({"Width": columns, "Height": rows}) for columns, rows in sizes)
    cut = data.draw(st.integers(0, len(text)))
    first, rest = terminal_sizes(text[:cut])
    second, left = terminal_sizes(rest + text[cut:])
    assert [*first, *second] == [TerminalSize(*size) for size in sizes]
    assert left == ""


@pytest.mark.parametrize(
    "text", ['{"Width":0,"Height":5}', '{"Width":70000,"Height":5}', "[]", "7", '{"Width":"a"}']
)
def test_what_is_no_size_is_passed_over(text: str) -> None:
    assert terminal_sizes(text) == ([], "")


def test_a_terminal_has_no_stream_of_errors() -> None:
    query = {"output": "1", "error": "1", "tty": "1"}
    assert stream_options(query) == StreamOptions(stdout=True, tty=True)
    with pytest.raises(ApiError, match="at least 1 of stdin, stdout, stderr"):
        stream_options({"tty": "1", "error": "1"})


def test_how_it_ended_is_told_with_a_cause_or_in_words() -> None:
    assert exited("[true]", 0) == SUCCESS
    assert plain(SUCCESS) == b""
    ended = exited("[sh -c exit 3]", 3)
    assert ended["details"] == {"causes": [{"reason": "ExitCode", "message": "3"}]}
    assert plain(ended) == (
        b"command terminated with non-zero exit code: error executing command [sh -c exit 3], exit code 3"
    )
    assert failed("no")["message"] == "Internal error occurred: no"
    assert failed("no")["code"] == 500
