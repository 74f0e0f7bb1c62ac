"""Spans to a collector over OTLP (https://opentelemetry.io/docs/specs/otlp/): by a thread of its own, from a bounded queue.

`export` costs a request one append: a collector that is slow, away or refuses costs spans, which are counted, and nothing
else. A batch that could not be delivered is tried again a few times, with back-off, as the specification asks.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from mesh.backoff import Backoff
from sidecar.telemetry.cells import Counter
from sidecar.telemetry.trace import Span

log = logging.getLogger(__name__)

QUEUE: Final = 2048  # spans that wait, OpenTelemetry's default
BATCH: Final = 512
INTERVAL: Final = 1.0
TRIES: Final = 5
BACKOFF_BASE, BACKOFF_MAX = 0.5, 10.0
# How long the end of the process waits for a collector that does not answer.
GRACE = 2.0


class NotDeliveredError(Exception):
    """Nobody took a batch. `again` says whether the same batch may be taken later."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Transport(Protocol):
    """How spans get to a collector. Blocks: it is called in the exporter's thread."""

    def send(self, spans: list[Span]) -> None:
        """Raises NotDeliveredError."""
        ...

    def close(self) -> None: ...


class OtlpExporter:
    """`sent` and `dropped` are counted; `make` is called in the exporter's thread, which begins with the first span."""

    def __init__(self, make: Callable[[], Transport], sent: Counter, dropped: Counter) -> None:
        self._make = make
        self._sent = sent
        self._dropped = dropped
        self._queue: deque[Span] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def export(self, span: Span) -> None:
        """Queues a span; never waits."""
        queue = self._queue
        if len(queue) >= QUEUE:
            self._dropped.value += 1
            return
        queue.append(span)
        if len(queue) >= BATCH:
            self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Sends what is queued; blocks for GRACE at most."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(GRACE)

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        transport = self._make()
        try:
            while not self._closing.is_set():
                self._wake.wait(INTERVAL)
                self._wake.clear()
                self._flush(transport)
            self._flush(transport)
        finally:
            transport.close()

    def _flush(self, transport: Transport) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if self._deliver(transport, batch):
                self._sent.value += len(batch)
            else:
                self._dropped.value += len(batch)

    def _deliver(self, transport: Transport, batch: list[Span]) -> bool:
        backoff = Backoff(BACKOFF_BASE, BACKOFF_MAX)
        for left in reversed(range(TRIES)):
            try:
                transport.send(batch)
            except NotDeliveredError as error:
                self._tell(error)
                if not (error.again and left) or self._closing.wait(backoff.next()):
                    return False
            else:
                if self._failing:
                    log.info("OTLP: the collector takes spans again")
                self._failing = False
                return True
        return False

    def _tell(self, error: NotDeliveredError) -> None:
        """Once, until it works again: a collector that is away would fill the log."""
        log.log(logging.DEBUG if self._failing else logging.WARNING, "OTLP: spans are not delivered: %s", error)
        self._failing = True
