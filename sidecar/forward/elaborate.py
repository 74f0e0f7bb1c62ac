"""Requests on routes that ask for more than most: they are copied to mirrors.

A request learns on which route it is when its stream exists already; on such a route the stream gives way to an `Elaborate`.
All other streams know nothing of it, and pay nothing for it.
"""

from __future__ import annotations

from typing import Final

from sidecar.codec.headers import Headers, put
from sidecar.codec.heads import RequestParser
from sidecar.exchange import EXCHANGE_STATE
from sidecar.forward.mirror import Mirror, Source
from sidecar.forward.state import STREAM_STATE
from sidecar.forward.stream import Stream
from sidecar.router.extras import Extras

_PROGRESS: Final = "elaborate"


class Progress:
    """What an elaborate request has to remember: the state that a plain stream has no room for."""

    __slots__ = ("extras", "mirrors", "sources")

    def __init__(self, extras: Extras) -> None:
        self.extras = extras
        self.mirrors: list[Mirror] = []
        self.sources: list[Source] = []


class Elaborate(Stream):
    """A stream on a route with `extras`."""

    __slots__ = ()

    @classmethod
    def take_over(cls, plain: Stream) -> Elaborate:
        """The request goes on as this one: all that the stream knew so far, which nobody calls any more."""
        manager, downstream = plain.manager, plain.downstream
        elaborate = cls(downstream, manager, RequestParser(), plain.length, plain.started)
        for name in (*EXCHANGE_STATE, *STREAM_STATE):
            setattr(elaborate, name, getattr(plain, name))
        plain._done = True
        manager.active.remove(plain)
        manager.active.add(elaborate)
        downstream.replace(elaborate)
        return elaborate

    @property
    def _progress(self) -> Progress:
        progress = self.kept(_PROGRESS)
        if progress is None:
            progress = Progress(self.route.extras)
            self.keep(_PROGRESS, progress)
        return progress  # type: ignore[no-any-return]

    def _attempt(self) -> None:
        if self.attempts or self.method == b"CONNECT" or self._upgrade:
            super()._attempt()
            return
        headers, authority = list(self.headers), self.authority  # before the attempt adds what is only its own
        super()._attempt()
        if not self._done:
            self._mirror(headers, authority)

    # ── mirrors ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _mirror(self, headers: Headers, authority: bytes) -> None:
        progress, manager = self._progress, self.manager
        if self.virtual_host.config.include_attempt_count:
            put(headers, b"x-envoy-attempt-count", b"1")
        for plan in progress.extras.mirrors:
            cluster = manager.clusters.get(plan.cluster(self, manager.rng))
            if cluster is None:
                continue
            source = Source(self.downstream, self._pace)
            mirror = Mirror(self, cluster, plan, headers, authority, source)
            progress.mirrors.append(mirror)
            progress.sources.append(source)
            mirror.begin(b"".join(self._body), self.request_complete)

    def on_request_body(self, data: bytes, end: bool) -> None:
        for mirror in self._progress.mirrors:
            mirror.on_request_body(data, end)
        super().on_request_body(data, end)

    def _pace(self) -> None:
        """The slowest of all receivers of the body sets the pace."""
        if self._done:
            return
        blocked = any(source.blocked for source in self._progress.sources)
        if blocked or (self.connection is not None and self.connection.blocked):
            self.downstream.pause_reading()
        else:
            self.downstream.resume_reading()

    def on_upstream_ready(self) -> None:
        super().on_upstream_ready()
        self._pace()

    def _finish(self, *, cut: bool = False) -> None:
        if not self._done and not self.request_complete:
            for mirror in self._progress.mirrors:
                mirror.cancel()
        super()._finish(cut=cut)
