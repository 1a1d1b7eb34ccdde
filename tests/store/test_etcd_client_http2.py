"""The client's HTTP/2 against another one's server: whatever the bytes' pieces and the windows' sizes."""

from dataclasses import dataclass, field

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.store.etcd_client_http2 import Code, Http2, Http2Error, Status, header_block

HEADERS = header_block("https", "10.0.0.1:2379", "/etcdserverpb.KV/Put", {"hasleader": "true"})


@dataclass
class Answer:
    messages: list[bytes] = field(default_factory=list)
    status: Status | None = None

    def message(self, data: bytes) -> None:
        self.messages.append(data)

    def end(self, status: Status) -> None:
        assert self.status is None
        self.status = status


class Server:
    """Echoes each message of a call, then ends it; talks with *client* in pieces of that size."""

    def __init__(self, client: Http2, piece_bytes: int = 1 << 20, **settings: int) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.client = client
        self.requests: dict[int, bytearray] = {}
        self.headers: list[dict[str, str]] = []
        self.resets = 0
        self._piece_bytes = piece_bytes
        self._unsent: dict[int, bytearray] = {}
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({SettingCodes[name]: value for name, value in settings.items()})

    def talk(self) -> None:
        """Until nobody has anything to say."""
        while True:
            asked, said = bytes(self.client.out), self.h2.data_to_send()
            self.client.out.clear()
            if not asked and not said:
                return
            for start in range(0, len(said), self._piece_bytes):
                self.client.receive(said[start : start + self._piece_bytes])
            for event in self.h2.receive_data(asked) if asked else ():
                self._take(event)
            for stream in list(self._unsent):
                self._send(stream)

    def _take(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            self.headers.append(dict(event.headers))
            self.requests[event.stream_id] = bytearray()
        elif isinstance(event, DataReceived):
            self.requests[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            answer = [(":status", "200"), ("content-type", "application/grpc")]
            self.h2.send_headers(event.stream_id, answer)
            self._unsent[event.stream_id] = bytearray(self.requests[event.stream_id])
        elif isinstance(event, StreamReset):
            self.resets += 1

    def _send(self, stream: int) -> None:
        unsent = self._unsent[stream]
        room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(unsent))
        if room:
            self.h2.send_data(stream, bytes(unsent[:room]))
            del unsent[:room]
        if not unsent:
            del self._unsent[stream]
            self.h2.send_headers(stream, [("grpc-status", "0"), ("grpc-message", "")], end_stream=True)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=5),
    st.sampled_from([1, 9, 10, 1000, 1 << 20]),
    st.sampled_from([1, 1000, 65_535, 1 << 20]),
    st.sampled_from([1, 2, 100]),
)
def test_every_call_has_its_own_answer(sizes: list[int], piece: int, window: int, streams: int) -> None:
    if min(window, piece) < 1000:
        sizes = [size % 300 for size in sizes]
    client = Http2()
    server = Server(client, piece, INITIAL_WINDOW_SIZE=window, MAX_CONCURRENT_STREAMS=streams)
    server.talk()  # h2 forgets to open a window again that has become smaller than what it is owed.
    answers = [Answer() for _ in sizes]
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    for answer, body in zip(answers, bodies, strict=True):
        client.send(client.open(answer, HEADERS), body, end=True)
    server.talk()
    assert [answer.messages for answer in answers] == [[body] for body in bodies]
    assert {answer.status for answer in answers} == {Status(Code.OK)}
    assert client.is_idle


def test_a_server_reads_what_is_asked_of_it() -> None:
    client = Http2()
    server = Server(client)
    client.send(client.open(Answer(), HEADERS), b"", end=True)
    server.talk()
    assert server.headers == [
        {
            ":method": "POST",
            ":scheme": "https",
            ":path": "/etcdserverpb.KV/Put",
            ":authority": "10.0.0.1:2379",
            "te": "trailers",
            "content-type": "application/grpc",
            "hasleader": "true",
        }
    ]


def test_names_of_any_length_can_be_said() -> None:
    client, path = Http2(), "/" + "x" * 300
    server = Server(client)
    client.send(client.open(Answer(), header_block("http", "h", path)), b"", end=True)
    server.talk()
    assert server.headers[0][":path"] == path


def test_what_a_server_refuses_or_never_saw_was_surely_not_done() -> None:
    client = Http2()
    server = Server(client, MAX_CONCURRENT_STREAMS=2)
    server.talk()
    begun, refused, waiting = Answer(), Answer(), Answer()
    for answer in (begun, refused, waiting):
        client.open(answer, HEADERS)
    server.talk()
    server.h2.close_connection(last_stream_id=1)
    server.talk()
    assert begun.status is None
    assert refused.status == waiting.status == Status(Code.UNAVAILABLE, "the server goes away", True)
    assert client.is_closing
    client.lose("gone")
    assert begun.status == Status(Code.UNAVAILABLE, "gone", unprocessed=False)


def test_a_refusal_is_said_with_its_sentence() -> None:
    client, answer = Http2(), Answer()
    server = Server(client)
    stream = client.open(answer, HEADERS)
    server.talk()
    trailers = [(":status", "200"), ("grpc-status", "11"), ("grpc-message", "etcdserver: mvcc%3A 100%25")]
    server.h2.send_headers(stream.id, trailers, end_stream=True)
    server.talk()
    assert answer.status == Status(Code.OUT_OF_RANGE, "etcdserver: mvcc: 100%")


def test_a_cancelled_call_is_reset_and_what_still_comes_is_nobodys() -> None:
    client, answer = Http2(), Answer()
    server = Server(client)
    stream = client.open(answer, HEADERS)
    server.talk()
    server.h2.send_headers(stream.id, [(":status", "200")])
    server.h2.send_data(stream.id, bytes(9))
    client.cancel(stream)
    server.talk()
    assert server.resets == 1
    assert answer.messages == []
    assert client.is_idle


def test_a_server_of_a_stream_that_nobody_reads_has_to_wait() -> None:
    client, answer = Http2(), Answer()
    server = Server(client)
    stream = client.open(answer, HEADERS)
    server.talk()
    server.h2.send_headers(stream.id, [(":status", "200")])
    message = (1 << 20).to_bytes(5, "big") + bytes(1 << 20)
    while server.h2.local_flow_control_window(stream.id) >= len(message):
        for start in range(0, len(message), 16_384):
            server.h2.send_data(stream.id, message[start : start + 16_384])
        server.talk()
    assert len(answer.messages) == 15
    client.read(stream)
    server.talk()
    assert server.h2.local_flow_control_window(stream.id) >= 15 << 20


@pytest.mark.parametrize("nonsense", [b"\0\0\3\x08\0\0\0\0\0abc", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_is_no_http2_is_no_answer(nonsense: bytes) -> None:
    client = Http2()
    with pytest.raises(Http2Error):
        client.receive(nonsense)
