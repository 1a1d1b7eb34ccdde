"""All watches of a client over one stream, which is opened anew, at another member too, when it breaks.

Each watch knows the revision it goes on with: nothing is lost and nothing comes twice. It advances with its
events, and with the progress that etcd tells of itself every ten minutes, so that a quiet watch does not fall
behind a compaction.
Source: etcd, client/v3/watch.go; server/etcdserver/api/v3rpc/watch.go.
An etcd before 3.4.25 and 3.5.8 answers a request for progress without waiting for events that are already on
their way (etcd issue 15220): it chooses at random among what it has to send. So it is asked several times
over, and of a watch that began in the past only after the time in which etcd lets such a one catch up.
Left out: bounds for what a watch has yet to be read (etcd's client has none either).
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import groupby

from kubelab.cluster.store import etcd_client_messages as messages
from kubelab.cluster.store.etcd_client_connection import CallError, StreamingCall
from kubelab.cluster.store.etcd_client_errors import UnreachableError
from kubelab.cluster.store.rpc.pb import kv_pb2, rpc_pb2
from kubelab.cluster.store.service import CompactedError, Event, NoLeaderError, Progress, StoreError, Watch

PROGRESS_ROUNDS = 8
CATCH_UP_S = 0.3  # etcd looks every 100 ms after those that are behind.
RECONNECT_S, RECONNECT_MAX_S = 0.02, 1.0
CREATE_TIMEOUT_S = 7.0
ALL_WATCHES = -1
_CLOSED = "the endpoints of a closed client"

logger = logging.getLogger(__name__)


class EtcdWatch:
    """See `service.Watch`. `next_revision` is 0 until etcd has told where it begins."""

    def __init__(self, hub: "WatchHub", number: int, create: rpc_pb2.WatchCreateRequest) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.next_revision = create.start_revision
        self.created: asyncio.Future[None] = loop.create_future()
        self._hub = hub
        self._create = create
        self._caught_up_at_s = loop.time() + CATCH_UP_S if create.start_revision else 0.0
        self._rounds = 0
        self._pending: deque[tuple[Event, ...] | Progress] = deque()
        self._woken = asyncio.Event()
        self._lost: StoreError | None = None
        self._closed = False

    @property
    def wants_progress(self) -> bool:
        return self._rounds > 0

    def __aiter__(self) -> "EtcdWatch":
        return self

    async def __anext__(self) -> tuple[Event, ...] | Progress:
        while not self._pending:
            if self._lost:
                raise self._lost
            if self._closed:
                raise StopAsyncIteration
            self._woken.clear()
            await self._woken.wait()
        return self._pending.popleft()

    def request_progress(self) -> None:
        self._rounds = PROGRESS_ROUNDS
        self._hub.ask_progress()

    def create_request(self) -> rpc_pb2.WatchCreateRequest:
        """Return what opens it, or opens it again."""
        request = rpc_pb2.WatchCreateRequest()
        request.CopyFrom(self._create)
        request.start_revision = self.next_revision
        return request

    def take(self, response: rpc_pb2.WatchResponse) -> None:
        if response.canceled:
            self.lose(self._why_canceled(response))
        elif response.created:
            self.next_revision = self.next_revision or response.header.revision + 1
            if not self.created.done():
                self.created.set_result(None)
        elif response.events:
            self._take_events(response.events)
        else:
            self.next_revision = max(self.next_revision, response.header.revision + 1)

    def take_progress(self, revision: int) -> None:
        """Take an answer to all that asked for progress."""
        if self._rounds and not self.catch_up_s():
            self._rounds -= 1
            if not self._rounds:
                self._offer(Progress(revision))

    def catch_up_s(self) -> float:
        """Return how long to wait until it has surely caught up."""
        return max(0.0, self._caught_up_at_s - asyncio.get_running_loop().time())

    def lose(self, error: StoreError) -> None:
        self._lost = error
        self._woken.set()
        self.give_up(error)

    def give_up(self, error: StoreError) -> None:
        """Let nobody wait for its creation any more."""
        if not self.created.done():
            self.created.set_exception(error)

    def close(self) -> None:
        self._closed = True
        self._woken.set()

    def _take_events(self, events: Iterable[kv_pb2.Event]) -> None:
        """etcd tells all of a revision at once, perhaps of several."""
        for revision, group in groupby(events, key=lambda event: event.kv.mod_revision):
            if revision >= self.next_revision:
                self.next_revision = revision + 1
                self._offer(tuple(map(messages.event, group)))

    def _offer(self, what: tuple[Event, ...] | Progress) -> None:
        self._pending.append(what)
        self._woken.set()

    def _why_canceled(self, response: rpc_pb2.WatchResponse) -> StoreError:
        if response.compact_revision:
            return CompactedError(self.next_revision, response.compact_revision)
        return StoreError(response.cancel_reason or "etcdserver: the watch was canceled")


class WatchHub:
    """*open_stream* begins the call at some member; *leave* has another one asked than the last time."""

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[StreamingCall]],
        leave: Callable[[], None],
        see: Callable[[rpc_pb2.ResponseHeader], None],
    ) -> None:
        self._open_stream = open_stream
        self._leave = leave
        self._see = see
        self._watches: dict[int, EtcdWatch] = {}
        self._last_number = 0
        self._wanted = asyncio.Event()
        self._stream: StreamingCall | None = None
        self._asking: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes, start_revision: int, *, prev_kv: bool
    ) -> AsyncIterator[Watch]:
        self._last_number += 1
        number = self._last_number
        create = rpc_pb2.WatchCreateRequest(
            key=key,
            range_end=range_end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=True,
            watch_id=number,
        )
        watch = EtcdWatch(self, number, create)
        self._watches[number] = watch
        try:
            self._wanted.set()
            if self._stream:
                self._begin(self._stream, watch)
            await self._created(watch)
            yield watch
        finally:
            self._forget(watch)

    async def _created(self, watch: EtcdWatch) -> None:
        try:
            async with asyncio.timeout(CREATE_TIMEOUT_S):
                await watch.created
        except TimeoutError:
            raise NoLeaderError from None

    def ask_progress(self) -> None:
        """Ask, as soon as one who wants to know has caught up; all who do have the answer."""
        delays_s = [watch.catch_up_s() for watch in self._watches.values() if watch.wants_progress]
        if delays_s and self._asking is None:
            self._asking = asyncio.get_running_loop().call_later(min(delays_s), self._ask_progress)

    async def keep_open(self) -> None:
        """Have a stream as long as there are watches, until cancelled."""
        delay_s = RECONNECT_S
        while True:
            await self._wanted.wait()
            try:
                self._stream = await self._open_stream()
                for watch in self._watches.values():
                    self._begin(self._stream, watch)
                self.ask_progress()
                async for response in _responses(self._stream):
                    delay_s = RECONNECT_S
                    self._take(response)
            except (CallError, UnreachableError) as error:
                logger.info("watches: %s; they are opened anew", error)
                self._leave()
            finally:
                self._close_stream()
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RECONNECT_MAX_S)

    def close(self) -> None:
        if self._asking:
            self._asking.cancel()
        for watch in self._watches.values():
            watch.close()
            watch.give_up(UnreachableError(_CLOSED))

    def _begin(self, stream: StreamingCall, watch: EtcdWatch) -> None:
        request = rpc_pb2.WatchRequest(create_request=watch.create_request())
        stream.send(request.SerializeToString())

    def _forget(self, watch: EtcdWatch) -> None:
        watch.close()
        is_open = self._watches.pop(watch.number, None)
        if not self._watches:
            self._wanted.clear()
        if self._stream and is_open:
            cancel = rpc_pb2.WatchCancelRequest(watch_id=watch.number)
            self._stream.send(rpc_pb2.WatchRequest(cancel_request=cancel).SerializeToString())

    def _take(self, response: rpc_pb2.WatchResponse) -> None:
        self._see(response.header)
        if response.watch_id == ALL_WATCHES:
            for each in self._watches.values():
                each.take_progress(response.header.revision)
            self.ask_progress()
        elif watch := self._watches.get(response.watch_id):
            if response.canceled:
                del self._watches[watch.number]
            watch.take(response)

    def _ask_progress(self) -> None:
        self._asking = None
        if self._stream:
            request = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
            self._stream.send(request.SerializeToString())

    def _close_stream(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None


async def _responses(stream: StreamingCall) -> AsyncIterator[rpc_pb2.WatchResponse]:
    while (data := await stream.receive()) is not None:
        yield rpc_pb2.WatchResponse.FromString(data)
