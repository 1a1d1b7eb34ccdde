"""The service Watch: any number of watches over one stream.

Each watch is a task that puts its answers in one queue, and one task sends them: a client that does not read
fills the queue, and its watches wait with references into the store's log, which cost next to nothing. The
requests are answered in order, for that is how clients tell for which one a new number is.
Source: etcd, server/etcdserver/api/v3rpc/watch.go and server/storage/mvcc/watcher.go.
Unlike etcd's, an asked-for progress of all watches is told as soon as all have caught up, and not dropped
while one is behind.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import count

from kubelab.cluster.clock import Clock
from kubelab.cluster.linux.background import task_group
from kubelab.cluster.store.rpc import messages
from kubelab.cluster.store.rpc.call import MESSAGE_BYTES_MAX, Call, Method, streaming
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.http2 import StreamClosedError
from kubelab.cluster.store.rpc.pb import kv_pb2
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb
from kubelab.cluster.store.service import (
    CompactedError,
    Event,
    KeyValueService,
    Progress,
    StoreError,
    Watch,
)

NO_WATCH = -1
QUEUE_ANSWERS = 16
PROGRESS_NOTIFY_INTERVAL_S = 600.0

WatchCall = Call[pb.WatchRequest, pb.WatchResponse]


class WatchServer:
    def __init__(self, service: KeyValueService, headers: Headers, clock: Clock) -> None:
        self._service = service
        self._headers = headers
        self._clock = clock

    def methods(self) -> dict[str, Method]:
        return {"/etcdserverpb.Watch/Watch": streaming(pb.WatchRequest, self.watch)}

    async def watch(self, call: WatchCall) -> None:
        async with task_group() as group:
            stream = WatchStream(self._service, self._headers, group)
            sending = group.create_task(stream.send_answers(call))
            notifying = group.create_task(stream.notify_of_progress(self._clock))
            async for request in call:
                await stream.handle(request)
            await stream.ended()
            notifying.cancel()
            await stream.sent()
            sending.cancel()


class WatchStream:
    def __init__(self, service: KeyValueService, headers: Headers, group: asyncio.TaskGroup) -> None:
        self._service = service
        self._headers = headers
        self._group = group
        self._answers: asyncio.Queue[pb.WatchResponse] = asyncio.Queue(QUEUE_ANSWERS)
        self._watches: dict[int, _Watch] = {}
        self._ids = count()
        self._round: _ProgressRound | None = None

    async def handle(self, request: pb.WatchRequest) -> None:
        match request.WhichOneof("request_union"):
            case "create_request":
                await self._create(request.create_request)
            case "cancel_request":
                await self._cancel(request.cancel_request.watch_id)
            case "progress_request":
                self._request_progress()
            case _:  # As in etcd: one request that says nothing does not end the others.
                pass

    async def ended(self) -> None:
        """Wait until there is no watch any more: who has sent the last request still wants the answers."""
        while self._watches:
            await asyncio.wait([watch.task for watch in self._watches.values()])

    async def sent(self) -> None:
        await self._answers.join()

    async def send_answers(self, call: WatchCall) -> None:
        while True:
            answer = await self._answers.get()
            try:
                await call.send(answer)
            except StreamClosedError:
                return  # The whole call is being cancelled.
            self._answers.task_done()

    async def notify_of_progress(self, clock: Clock) -> None:
        while True:
            await clock.sleep(PROGRESS_NOTIFY_INTERVAL_S)
            for watch in self._watches.values():
                watch.notify_of_progress()

    async def put(self, answer: pb.WatchResponse) -> None:
        await self._answers.put(answer)

    async def _create(self, request: pb.WatchCreateRequest) -> None:
        if reason := self._refusal(request):
            await self._refuse(reason)
            return
        watch_id = request.watch_id or next(each for each in self._ids if each not in self._watches)
        watch = self._watches[watch_id] = _Watch(watch_id, request, self._headers, self)
        watch.task = self._group.create_task(watch.run(self._service))
        watch.task.add_done_callback(partial(self._forget, watch))
        await watch.created()

    def _refusal(self, request: pb.WatchCreateRequest) -> str:
        if request.start_revision < 0:
            return str(CompactedError(request.start_revision, 0))
        if request.watch_id in self._watches and request.watch_id:
            return "mvcc: duplicate watch ID provided on the WatchStream"
        if request.range_end not in (b"", b"\0") and (request.key or b"\0") >= request.range_end:
            return "mvcc: watcher range is empty"
        return ""

    async def _refuse(self, reason: str) -> None:
        await self.put(
            pb.WatchResponse(
                header=self._headers.now(),
                watch_id=NO_WATCH,
                created=True,
                canceled=True,
                cancel_reason=reason,
            )
        )

    async def _cancel(self, watch_id: int) -> None:
        if watch := self._watches.get(watch_id):
            watch.task.cancel()
            await asyncio.wait([watch.task])
            await self.left(watch_id)
            await self.put(pb.WatchResponse(header=self._headers.now(), watch_id=watch_id, canceled=True))

    def _forget(self, watch: "_Watch", _task: asyncio.Task[None]) -> None:
        del self._watches[watch.id]

    def _request_progress(self) -> None:
        if self._watches and not self._round:
            self._round = _ProgressRound(set(self._watches))
        for watch in self._watches.values():
            watch.request_progress()

    async def caught_up(self, watch_id: int, revision: int) -> None:
        if self._round and self._round.caught_up(watch_id, revision):
            await self._end_round()

    async def left(self, watch_id: int) -> None:
        """The others do not wait for a watch that is no more."""
        if self._round and self._round.leave(watch_id):
            await self._end_round()

    async def _end_round(self) -> None:
        """Tell that every watch has had all up to the round's revision."""
        if ended := self._round:
            self._round = None
            if ended.revision is not None:
                await self.put(pb.WatchResponse(header=self._headers.at(ended.revision), watch_id=NO_WATCH))


class _ProgressRound:
    """Which watches have yet to catch up since progress was asked for, and what the others have reached."""

    def __init__(self, behind: set[int]) -> None:
        self._behind = behind
        self.revision: int | None = None

    def caught_up(self, watch_id: int, revision: int) -> bool:
        """Return whether it was the last one."""
        if watch_id not in self._behind:
            return False
        self.revision = revision if self.revision is None else min(self.revision, revision)
        return self.leave(watch_id)

    def leave(self, watch_id: int) -> bool:
        if watch_id not in self._behind:
            return False
        self._behind.remove(watch_id)
        return not self._behind


class _Watch:
    task: asyncio.Task[None]

    def __init__(
        self, watch_id: int, request: pb.WatchCreateRequest, headers: Headers, stream: WatchStream
    ) -> None:
        self.id = watch_id
        self._request = request
        self._headers = headers
        self._stream = stream
        self._created = asyncio.Event()
        self._watch: Watch | None = None
        self._is_to_notify = False  # The next progress is for this watch alone.
        self._was_quiet = True  # Since the last interval; else its client knows how far it is.
        self._unwanted = {_UNWANTED[each] for each in request.filters if each in _UNWANTED}

    async def created(self) -> None:
        """Wait until the client can know the number, or has been told why there is no watch."""
        await self._created.wait()

    async def run(self, service: KeyValueService) -> None:
        try:
            await self._deliver(service)
        except CompactedError as error:
            await self._announce()
            await self._end(compact_revision=error.compact_revision)
        except StoreError as error:
            await self._announce()
            await self._end(cancel_reason=str(error))
        finally:
            self._created.set()

    async def _deliver(self, service: KeyValueService) -> None:
        request = self._request
        async with service.watch(
            request.key or b"\0",
            request.range_end,
            start_revision=request.start_revision,
            prev_kv=request.prev_kv,
        ) as self._watch:
            await self._announce()
            async for item in self._watch:
                if isinstance(item, Progress):
                    await self._tell_progress(item.revision)
                else:
                    await self._tell(item)

    async def _announce(self) -> None:
        """Say that the watch is there, before anything that it has to tell."""
        if not self._created.is_set():
            await self._put(pb.WatchResponse(header=self._headers.now(), watch_id=self.id, created=True))
            self._created.set()

    async def _end(self, *, compact_revision: int = 0, cancel_reason: str = "") -> None:
        await self._put(
            pb.WatchResponse(
                header=self._headers.now(),
                watch_id=self.id,
                canceled=True,
                compact_revision=compact_revision,
                cancel_reason=cancel_reason,
            )
        )
        await self._stream.left(self.id)

    async def _tell(self, events: tuple[Event, ...]) -> None:
        self._was_quiet = False
        wanted = [event for event in events if event.type not in self._unwanted]
        if not wanted:
            return
        told = [messages.event(event, prev_kv=self._request.prev_kv) for event in wanted]
        header = self._headers.at(wanted[-1].kv.mod_revision)
        for answer in self._fragments(pb.WatchResponse(header=header, watch_id=self.id, events=told)):
            await self._put(answer)

    def _fragments(self, answer: pb.WatchResponse) -> Sequence[pb.WatchResponse]:
        """Return *answer* in pieces that are no larger than a request may be, if its client can put them
        together; one event is never cut."""
        if not self._request.fragment or answer.ByteSize() < MESSAGE_BYTES_MAX:
            return (answer,)
        fragments = [
            pb.WatchResponse(header=answer.header, watch_id=self.id, events=events, fragment=True)
            for events in _pieces(answer.events)
        ]
        fragments[-1].fragment = False
        return fragments

    def request_progress(self) -> None:
        if self._watch:
            self._watch.request_progress()

    def notify_of_progress(self) -> None:
        if self._request.progress_notify and self._was_quiet:
            self._is_to_notify = True
            self.request_progress()
        self._was_quiet = True

    async def _tell_progress(self, revision: int) -> None:
        if self._is_to_notify:
            self._is_to_notify = False
            await self._put(pb.WatchResponse(header=self._headers.at(revision), watch_id=self.id))
        await self._stream.caught_up(self.id, revision)

    async def _put(self, answer: pb.WatchResponse) -> None:
        await self._stream.put(answer)


_UNWANTED = {pb.WatchCreateRequest.NOPUT: "PUT", pb.WatchCreateRequest.NODELETE: "DELETE"}


def _pieces(events: Sequence[kv_pb2.Event]) -> list[list[kv_pb2.Event]]:
    pieces: list[list[kv_pb2.Event]] = [[]]
    size = 0
    for event in events:
        size += event.ByteSize()
        if pieces[-1] and size >= MESSAGE_BYTES_MAX:
            pieces.append([])
            size = event.ByteSize()
        pieces[-1].append(event)
    return pieces
