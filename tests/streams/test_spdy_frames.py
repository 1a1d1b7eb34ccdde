"""SPDY/3.1 frames: what goes in comes out, in whichever pieces; what is none is refused, and nothing else
happens."""

import contextlib
import itertools
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.streams import spdy
from kubelab.cluster.streams.spdy import (
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    MoreHeaders,
    Ping,
    RstStream,
    Settings,
    SpdyError,
    SynReply,
    SynStream,
    WindowUpdate,
)
from kubelab.cluster.streams.spdy_dictionary import DICTIONARY

IDS = st.integers(1, 0x7FFFFFFF)
WORDS = st.integers(0, 0xFFFFFFFF)
NAMES = (
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
    .map(str.lower)
    .filter(lambda name: name == name.lower())
)
VALUES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), min_size=1, max_size=3
).map(tuple)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=5)
CONTROLS = st.one_of(
    st.builds(
        SynStream,
        IDS,
        HEADERS,
        st.integers(0, 0x7FFFFFFF),
        st.integers(0, 7),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(SynReply, IDS, HEADERS, st.booleans()),
    st.builds(MoreHeaders, IDS, HEADERS, st.booleans()),
    st.builds(RstStream, IDS, WORDS),
    st.builds(Settings, st.dictionaries(st.integers(0, 0xFFFFFF), WORDS, max_size=4)),
    st.builds(Ping, WORDS),
    st.builds(GoAway, st.integers(0, 0x7FFFFFFF), WORDS),
    st.builds(WindowUpdate, IDS, WORDS),
)
FRAMES = st.one_of(CONTROLS, st.builds(Data, IDS, st.binary(max_size=300), st.booleans()))


def decoded(pieces: Iterable[bytes]) -> list[Frame]:
    decoder = Decoder()
    return joined(frame for piece in pieces for frame in decoder.feed(piece))


def joined(frames: Iterable[Frame]) -> list[Frame]:
    """Put the parts of DATA frames together again, as long as they are of one stream and without an end."""
    whole: list[Frame] = []
    for frame in frames:
        last = whole[-1] if whole else None
        if (
            isinstance(frame, Data)
            and isinstance(last, Data)
            and last.stream_id == frame.stream_id
            and not last.fin
        ):
            whole[-1] = Data(frame.stream_id, last.data + frame.data, frame.fin)
        else:
            whole.append(frame)
    return whole


@settings(max_examples=30)
@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 2000), max_size=6))
def test_frames_survive_the_way_in_whichever_pieces_they_travel(frames: list[Frame], cuts: list[int]) -> None:
    encoder = Encoder()
    wire = b"".join(encoder.encode(frame) for frame in frames)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]
    assert decoded(pieces) == joined(frames)


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_refused(wire: bytes) -> None:
    with contextlib.suppress(SpdyError):
        decoded([wire])


@settings(max_examples=30)
@given(st.lists(FRAMES, min_size=1, max_size=4), st.data())
def test_frames_with_one_wrong_byte_are_frames_or_refused(frames: list[Frame], data: st.DataObject) -> None:
    encoder = Encoder()
    wire = bytearray(b"".join(encoder.encode(frame) for frame in frames))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SpdyError):
        decoded([bytes(wire)])


def test_the_dictionary_is_that_of_the_draft() -> None:
    """Its Adler-32 is what a zlib header names when it was used; every peer's library compares it."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_a_frame_looks_as_the_draft_draws_it() -> None:
    encode = Encoder().encode
    assert encode(Data(5, b"abc", fin=True)) == b"\0\0\0\5\1\0\0\3abc"
    assert encode(Ping(1)) == b"\x80\3\0\6\0\0\0\4\0\0\0\1"
    assert encode(RstStream(3, spdy.CANCEL)) == b"\x80\3\0\3\0\0\0\x08\0\0\0\3\0\0\0\5"
    assert encode(GoAway(7)) == b"\x80\3\0\7\0\0\0\x08\0\0\0\7\0\0\0\0"
    assert encode(SynStream(1, {"streamtype": ("error",)})).startswith(b"\x80\3\0\1\0")


def test_what_is_not_yet_whole_is_waited_for_but_data_is_not_kept() -> None:
    decoder = Decoder()
    wire = Encoder().encode(Data(1, b"x" * 100, fin=True))
    assert decoder.feed(wire[:7]) == []
    assert decoder.feed(wire[7:58]) == [Data(1, b"x" * 50)]
    assert decoder.feed(wire[58:]) == [Data(1, b"x" * 50, fin=True)]


def test_a_bomb_of_headers_is_refused() -> None:
    compressor = zlib.compressobj(9, zdict=DICTIONARY)
    plain = (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"a" + (9_000_000).to_bytes(4, "big")
    block = compressor.compress(plain + b"x" * 9_000_000) + compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = (1).to_bytes(4, "big") + block
    frame = b"\x80\3\0\2" + len(payload).to_bytes(4, "big") + payload
    with pytest.raises(SpdyError, match="bytes of headers"):
        Decoder().feed(frame)


@pytest.mark.parametrize(
    "wire",
    [
        b"\x80\2\0\6\0\0\0\4\0\0\0\1",  # SPDY/2
        b"\0\0\0\0\0\0\0\0",  # data of no stream
        b"\x80\3\0\1\0\xff\xff\xff",  # a control frame of 16 MB
        b"\x80\3\0\6\0\0\0\2\0\0",  # a ping that is too short
    ],
)
def test_what_the_draft_forbids_is_refused(wire: bytes) -> None:
    with pytest.raises(SpdyError):
        Decoder().feed(wire)


def test_a_frame_of_an_unknown_type_is_passed_over() -> None:
    assert Decoder().feed(b"\x80\3\0\x0b\0\0\0\1z" + b"\x80\3\0\6\0\0\0\4\0\0\0\2") == [Ping(2)]
