"""The ADS client: one stream to the control plane, made again whenever it ends, and the copy of its configuration on disk.

Use: `AdsClient(bootstrap, target, tasks, state=path).start()`, then `await close()`. grpc is imported when the client
starts, so that a sidecar without a control plane never pays for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from mesh.backoff import Backoff
from mesh.errors import MeshError
from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, DRAINING, LISTENER, SHORT
from sidecar.config.model import Bootstrap
from sidecar.telemetry.stats import Stats
from sidecar.xds import cache
from sidecar.xds.session import AdsSession
from sidecar.xds.subscriptions import Request
from sidecar.xds.target import ConfigTarget
from sidecar.xds.wire import DELTA_METHOD, SOTW_METHOD, Incoming, health_message, read_response, request_message

log = logging.getLogger(__name__)

CACHE_PATIENCE: Final = 1.0  # how long a control plane may take to answer before the kept configuration is used
GOODBYE_SECONDS: Final = 0.5  # that the control plane has to hear that we drain
SAVE_DELAY: Final = 0.5  # changes that come together are written together
THREAD_BYTES: Final = 64 * 1024  # a response larger than this is compiled beside the event loop
CONNECT_SECONDS: Final = 1.0
# A response holds all of a type at once: 10,000 routes are 3 MB. One that is larger ends the stream, with a line in the log.
MAX_RESPONSE = 256 * 1024 * 1024

_COUNTED: Final = {CLUSTER: "cluster_manager.cds", LISTENER: "listener_manager.lds"}


class AdsClient:
    """Keeps `target` as the control plane wants it. `connected` says whether the stream has brought anything yet."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        target: ConfigTarget,
        tasks: TaskOwner,
        *,
        state: Path | None = None,
        stats: Stats | None = None,
    ) -> None:
        if bootstrap.ads is None:
            raise MeshError("the bootstrap has no ads_config")
        self._ads = bootstrap.ads
        self._node = bootstrap.node
        self._tasks = tasks
        self._state = state
        self._stats = stats
        if stats is not None:
            stats.computed("control_plane.connected_state", lambda: float(self.connected))
        self._loop = asyncio.get_running_loop()
        self.session = AdsSession(bootstrap, target, self._loop.time)
        self.connected = False
        self._answered = False
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._named = False  # the node has been sent on this stream
        self._health: str | None = None  # what is wrong with the app, "" for nothing; None when nobody asks it
        self._closing = False
        self._running: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._saving: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Brings the bootstrap's own resources into effect and begins to connect. ConfigError or OSError for a static
        listener that cannot be bound."""
        self.session.start()
        self._watch_deadline()
        if self._state is not None:
            self._patience = self._loop.call_later(CACHE_PATIENCE, self._restore, self._state)
        self._running = self._tasks.start(self._run(), "ads")

    async def close(self) -> None:
        """Ends the stream; what was accepted last is on disk when this returns."""
        for timer in (self._deadline, self._patience):
            if timer is not None:
                timer.cancel()
        if self._running is not None:
            await self._say_goodbye(self._running)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._saving is not None:
            self._saving.cancel()
            await self._write()

    def report(self, problem: str) -> None:
        """Tells the control plane how the app is ("" for well), now and on every new stream."""
        self._health = problem
        if self._named:
            self._send_health(problem)

    def _send_health(self, problem: str) -> None:
        node = None if self._named else self._node
        self._named = True
        self._requests.put_nowait(health_message(problem, node, delta=self._ads.delta))

    async def _say_goodbye(self, running: asyncio.Task[None]) -> None:
        """Says that we drain, so that nobody is sent here any more, and ends the stream in order."""
        self._closing = True
        if self.connected:
            self._send_health(DRAINING)
            self._requests.put_nowait(None)
            await asyncio.wait([running], timeout=GOODBYE_SECONDS)

    # ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it logs every end of a connection to stderr
        import grpc

        ads = self._ads
        complaint = ""
        backoff = Backoff(ads.backoff_base, ads.backoff_max)
        while True:
            self._answered = False
            try:
                await self._stream()
                log.info("ADS: %s ended the stream", ads.address)
            except grpc.aio.AioRpcError as error:
                said, complaint = complaint, error.details() or error.code().name
                level = logging.DEBUG if complaint == said and not self._answered else logging.WARNING
                log.log(level, "ADS: %s: %s", ads.address, complaint)
            self.connected = False
            if self._closing:
                return
            if (task := asyncio.current_task()) is not None and task.cancelling():
                return  # grpc can turn a cancellation that arrives with the end of a call into an error of the call
            if self._answered:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _stream(self) -> None:
        """One stream, from connecting to its end."""
        import grpc
        from envoy.service.discovery.v3 import discovery_pb2

        delta = self._ads.delta
        self._requests = asyncio.Queue()
        self._named = False
        answer = discovery_pb2.DeltaDiscoveryResponse if delta else discovery_pb2.DiscoveryResponse
        # A channel of its own each time: one that failed before would wait out its own back-off first.
        async with grpc.aio.insecure_channel(str(self._ads.address), self._options()) as channel:
            call = channel.stream_stream(
                DELTA_METHOD if delta else SOTW_METHOD,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=answer.FromString,
            )(_drain(self._requests))
            self._send(self.session.opened())
            if self._health is not None:
                self._send_health(self._health)
            try:
                async for message in call:
                    await self._received(read_response(message, delta=delta))
            finally:
                self._requests.put_nowait(None)  # grpc leaves its reader of requests waiting

    def _options(self) -> Sequence[tuple[str, int]]:
        return (
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),  # http_proxy of this machine's apps names this very sidecar
            ("grpc.max_receive_message_length", MAX_RESPONSE),
            ("grpc.max_send_message_length", -1),
            ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
            ("grpc.max_reconnect_backoff_ms", int(self._ads.backoff_max * 1000)),
            ("grpc.keepalive_time_ms", int(self._ads.ping_interval * 1000)),
            ("grpc.keepalive_timeout_ms", int(self._ads.ping_timeout * 1000)),
            ("grpc.http2.max_pings_without_data", 0),
        )

    async def _received(self, incoming: Incoming) -> None:
        if not self._answered:
            self._answered = self.connected = True
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            log.info("ADS: connected to %s", self._ads.address)
        if incoming.type_url not in self.session.types:
            log.warning("ADS: %s was not asked for", incoming.type_url)
            return
        log.debug(
            "%s: %d resources, %d removed, %d bytes",
            SHORT[incoming.type_url],
            len(incoming.resources),
            len(incoming.removed),
            incoming.size,
        )
        try:
            requests = await self._take(incoming)
        except Exception as error:  # whatever a response sets off here, the proxy goes on with what it has
            log.exception("%s could not be brought into effect", SHORT[incoming.type_url])
            requests = self.session.failed(incoming.type_url, incoming.nonce, f"{type(error).__name__}: {error}")
        self._send(requests)
        self._count()
        self._watch_deadline()
        self._save_soon()

    async def _take(self, incoming: Incoming) -> list[Request]:
        arguments = incoming.type_url, incoming.resources
        if incoming.size > THREAD_BYTES:
            resources = await asyncio.to_thread(self.session.read, *arguments)
        else:
            resources = self.session.read(*arguments)
        return self.session.received(incoming.type_url, incoming.nonce, incoming.version, resources, incoming.removed)

    def _send(self, requests: Sequence[Request]) -> None:
        for request in requests:
            node = None if self._named else self._node
            self._named = True
            self._requests.put_nowait(request_message(request, node))

    def _count(self) -> None:
        """Envoy's counters of the two root types."""
        if self._stats is None:
            return
        for type_url, prefix in _COUNTED.items():
            state = self.session.types[type_url]
            self._stats.counter(f"{prefix}.update_attempt").value = state.successes + state.rejections
            self._stats.counter(f"{prefix}.update_success").value = state.successes
            self._stats.counter(f"{prefix}.update_rejected").value = state.rejections

    # ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if (deadline := self.session.next_deadline()) is not None:
            self._deadline = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        self._send(self.session.expire())
        self._watch_deadline()

    # ── the copy on disk ──────────────────────────────────────────────────────────────────────────────────────────────

    def _restore(self, path: Path) -> None:
        """No control plane has answered so far: serves what was accepted last, until one does."""
        self._patience = None
        try:
            snapshot = cache.load(path)
        except cache.CacheError as error:
            log.warning("kept configuration: %s", error)
            return
        if not snapshot:
            return
        log.warning("no control plane at %s: serving the configuration kept in %s", self._ads.address, path)
        self.session.restore(snapshot)
        self._watch_deadline()
        # A stream that is open and silent was opened without these versions: the next one names them.
        self._requests.put_nowait(None)

    def _save_soon(self) -> None:
        if self._state is not None and self._saving is None:
            self._saving = self._loop.call_later(SAVE_DELAY, self._save)

    def _save(self) -> None:
        if self._writing is not None and not self._writing.done():
            self._saving = self._loop.call_later(SAVE_DELAY, self._save)
            return
        self._saving = None
        self._writing = self._tasks.start(self._write(), "keep configuration")

    async def _write(self) -> None:
        if self._state is None or not self.session.initialized:
            return
        try:
            await asyncio.to_thread(cache.save, self._state, self.session.snapshot())
        except OSError as error:
            log.warning("the configuration cannot be kept in %s: %s", self._state, error.strerror)
            self._state = None


async def _drain(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    """The stream's requests; None ends our half of it, and the server then ends its own."""
    while (message := await queue.get()) is not None:
        yield message
