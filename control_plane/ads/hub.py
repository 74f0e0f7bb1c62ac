"""All connected proxies: every new World is translated for each of them, one after the other, and pushed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol

from control_plane.ads.ack_nack import Verdict
from control_plane.ads.convergence import Ledger, Publication, report
from control_plane.ads.effect import Effects
from control_plane.ads.origins import Origins
from control_plane.ads.pace import Pace
from control_plane.ads.push import Variant
from control_plane.ads.shown import whole_routes
from control_plane.ads.spare import SpareMemory
from control_plane.ads.status import Convergence, Metrics, NoMetrics, ProxyStatus, RevisionState, proxy_status, short
from control_plane.ads.stream import ProxyStream, SendPlaces, Write
from control_plane.ads.subscription import Request
from control_plane.snapshot.build import Build, Snapshots, differences
from control_plane.world import World
from mesh.clock import Clock, SystemClock
from mesh.errors import MeshError
from mesh.node import Node
from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, ENDPOINT, HEALTH, LISTENER, ROUTE, VIRTUAL_HOST

log = logging.getLogger(__name__)

CONFIG_TYPES: Final = {"clusters": CLUSTER, "listeners": LISTENER, "routes": ROUTE, "endpoints": ENDPOINT}


class Registry(Protocol):
    """Is told which workloads are there: of the beginning and the end of every stream, and of what one says in between
    about its app ("" when that is well)."""

    def connected(self, node: Node) -> None: ...
    def reported(self, node: Node, problem: str) -> None: ...
    def disconnected(self, node: Node) -> None: ...


class UnknownProxyError(MeshError):
    """No connected proxy of that name, or several."""


class PushHub:
    """Lives on one event loop; only `convergence` and `close` wait. `changed_at`, like every time in here, is the
    clock's monotonic one. With a `pace` worlds that come in quick succession are merged."""

    def __init__(
        self,
        build: Build,
        registry: Registry | None = None,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._build = build
        self._registry = registry
        self._metrics: Metrics = metrics or NoMetrics()
        self._clock: Clock = clock or SystemClock()
        self._places = SendPlaces()
        self._tasks = TaskOwner("ads")
        self._streams: dict[ProxyStream, None] = {}  # in the order in which they came
        self._ledger = Ledger()
        self._snapshots: Snapshots | None = None
        self._pace = pace
        self._next: tuple[World, float] | None = None  # to be pushed as soon as it may, and when the change was made
        self._timer: asyncio.TimerHandle | None = None
        self._queue: dict[ProxyStream, float] = {}  # since when
        self._behind: set[ProxyStream] = set()  # for whom the last world has not been translated yet
        self._translating = False
        self._news = asyncio.Event()
        self._closing = False
        self._origins = Origins()
        self._spare = SpareMemory()

    # ── worlds in ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, world: World, changed_at: float | None = None) -> None:
        """Pushes `world` to every connected proxy that it changes something for."""
        when = self._clock.monotonic() if changed_at is None else changed_at
        self._next = (world, when if self._next is None else min(when, self._next[1]))
        if self._pace is None:
            self._follow_next()
        else:
            self._follow_when_due(self._pace)

    def _follow_when_due(self, pace: Pace) -> None:
        if self._next is None or self._behind or self._timer is not None or self._closing:
            return  # who is behind catches up first: what was made for a world is to serve all of its proxies
        wait = pace.wait(self._clock.monotonic())
        if wait > 0:
            self._timer = asyncio.get_running_loop().call_later(wait, self._look_again, pace)
        else:
            pace.began(self._clock.monotonic())
            self._follow_next()

    def _look_again(self, pace: Pace) -> None:
        self._timer = None
        self._follow_when_due(pace)

    def _follow_next(self) -> None:
        if self._next is None:
            return
        (world, when), self._next = self._next, None
        if self._snapshots is None:
            self._snapshots = Snapshots(self._build, world)
        else:
            self._snapshots.follow(world)
        self._behind = set(self._streams)
        self._announce(self._ledger.publish(world.revision, when, self._streams, self._clock.monotonic()))
        self._enqueue(self._streams)

    def _enqueue(self, streams: Iterable[ProxyStream]) -> None:
        now = self._clock.monotonic()
        for stream in streams:
            self._queue.setdefault(stream, now)
        if self._queue and not self._translating and self._snapshots is not None:
            self._translating = True
            self._tasks.start(self._translate_queue(), "translate")

    async def _translate_queue(self) -> None:
        """One proxy at a time, in a task of its own: the loop goes round between two, and one that fails leaves the
        others alone."""
        try:
            while self._queue:
                stream = next(iter(self._queue))
                self._metrics.queued(self._clock.monotonic() - self._queue.pop(stream))
                task = self._tasks.start(self._translate(stream), f"translate {stream.id}")
                await asyncio.wait([task])
                if not task.cancelled() and (error := task.exception()) is not None:
                    self._metrics.failed()
                    message = f"its configuration could not be made: {type(error).__name__}: {error}"
                    self._announce(self._ledger.failed(stream, message, self._clock.monotonic()))
                self._caught_up(stream)
        finally:
            self._translating = False

    def _caught_up(self, stream: ProxyStream) -> None:
        self._behind.discard(stream)
        if not self._behind and self._pace is not None:
            self._follow_when_due(self._pace)

    async def _translate(self, stream: ProxyStream) -> None:
        if self._snapshots is None:
            return
        snapshot = self._snapshots.of(stream.node)
        # Of one that joins nobody waits to hear in what it differs from nothing.
        changes = differences(stream.core.target, snapshot) if self._ledger.awaits(stream) else ()
        stream.retarget(snapshot)
        self._announce(self._ledger.translated(stream, changes, self._clock.monotonic()))

    # ── proxies in ────────────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, node: Node, variant: Variant, write: Write) -> ProxyStream:
        """A proxy connects: its workload is registered at once, and it gets the current world when its turn comes. (That
        it is there is known before anything is made for it, however many come at the same time.)"""
        if self._registry is not None:
            self._registry.connected(node)
        stream = ProxyStream(node, variant, write, self._clock, self._places, self._metrics)
        self._streams[stream] = None
        log.info("%s connected (%s)", stream.id, variant.value)
        self._metrics.proxies(len(self._streams))
        self._enqueue([stream])
        return stream

    def received(self, stream: ProxyStream, request: Request) -> None:
        """A request of a joined proxy."""
        self._spare.stir()
        if request.type_url == HEALTH:
            if self._registry is not None:
                self._registry.reported(stream.node, request.error or "")
            return
        verdict = stream.receive(request)
        if verdict is Verdict.NACK:
            error = getattr(request, "error", "")
            log.warning("%s rejected %s: %s", stream.id, request.type_url.rpartition(".")[2], error)
        if verdict is Verdict.STALE:
            self._metrics.expired(short(request.type_url).lower())
        else:
            self._announce(self._ledger.progressed(stream, self._clock.monotonic()))

    def leave(self, stream: ProxyStream) -> None:
        """A proxy's stream ended. Its workload may be lost by that, but not when it is we who go."""
        del self._streams[stream]
        log.info("%s disconnected", stream.id)
        self._queue.pop(stream, None)
        self._caught_up(stream)
        self._metrics.proxies(len(self._streams))
        self._announce(self._ledger.left(stream, self._clock.monotonic()))
        if self._registry is not None and not self._closing:
            self._registry.disconnected(stream.node)

    # ── answers out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def proxies(self) -> list[ProxyStatus]:
        """Every connected proxy, by id; of several streams with one id the latest."""
        epoch = self._clock.wall() - self._clock.monotonic()
        latest = {stream.id: stream for stream in self._streams}
        return [proxy_status(s.node, s.since, s.core, epoch) for _, s in sorted(latest.items())]

    def proxy_config(self, proxy: str, type_name: str) -> list[bytes]:
        """What was pushed to a proxy (its id, NAME or NAME.NAMESPACE), each a serialised google.protobuf.Any, which
        `unpacked` reads. Raises UnknownProxyError, and KeyError for a type other than those of CONFIG_TYPES."""
        type_url = CONFIG_TYPES[type_name]
        core = self._find(proxy).core
        told = core.told(type_url)
        return whole_routes(told, core.told(VIRTUAL_HOST)) if type_url == ROUTE else [each.packed for each in told]

    def effects(self, world: World) -> Effects:
        """Where the resources of a world are in effect, at this moment."""
        return Effects(self._streams, world, self._origins)

    def _find(self, proxy: str) -> ProxyStream:
        by_id = {s.id: s for s in self._streams if proxy in (s.id, s.node.name, f"{s.node.name}.{s.node.namespace}")}
        if len(by_id) == 1:
            return next(iter(by_id.values()))
        if by_id:
            raise UnknownProxyError(f"{proxy} means several proxies: {', '.join(sorted(by_id))}")
        known = ", ".join(sorted({f"{s.node.name}.{s.node.namespace}" for s in self._streams})) or "none"
        raise UnknownProxyError(f"no connected proxy {proxy}; connected: {known}")

    async def convergence(self, revision: int, timeout: float) -> Convergence:  # noqa: ASYNC109 - it is an answer, not an error
        """Waits until every proxy that `revision` changed something for has acknowledged it, or one rejected it, or
        `timeout` seconds have passed."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            publication = self._ledger.find(revision)
            if publication is not None and publication.state != RevisionState.PENDING:
                break
            news = self._news
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                break
        return report(revision, self._ledger.find(revision), self._clock.monotonic())

    async def close(self) -> None:
        """Ends the hub's own work; streams end with their server. From now on no workload counts as lost."""
        self._closing = True
        self._next = None
        if self._timer is not None:
            self._timer.cancel()
        self._spare.close()
        await self._tasks.close()

    def _announce(self, publications: Iterable[Publication]) -> None:
        """Wakes those who wait for a change to arrive."""
        changed = list(publications)
        if not changed:
            return
        if self._pace is not None and self._ledger.settled:
            self._pace.ended()
        for publication in changed:
            if (
                publication.state == RevisionState.CONVERGED
                and publication.affected
                and publication.done_at is not None
            ):
                self._metrics.converged(publication.done_at - publication.changed_at)
        self._news.set()
        self._news = asyncio.Event()


def unpacked(resources: Iterable[bytes]) -> list[dict[str, Any]]:
    """As protobuf JSON. It takes a millisecond for each: not on the event loop."""
    return [_json(packed) for packed in resources]


def _json(packed: bytes) -> dict[str, Any]:
    from google.protobuf import descriptor_pool, message_factory
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.json_format import MessageToDict

    envelope = AnyMessage.FromString(packed)
    descriptor = descriptor_pool.Default().FindMessageTypeByName(envelope.TypeName())
    message = message_factory.GetMessageClass(descriptor).FromString(envelope.value)
    return dict(MessageToDict(message, preserving_proto_field_name=True))
