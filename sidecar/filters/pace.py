"""A body that passes at a limited rate, as Envoy's StreamRateLimiter lets it pass: a share every so often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.filters.bodies import BodyChange
from sidecar.filters.local_ratelimit import TokenBucket

_INTERVAL: Final = 0.05
_KIB: Final = 1024


class Pace(BodyChange):
    """The first share is there when it is made, and no more than a second's worth is saved up."""

    __slots__ = ("_bucket", "_buffer")

    interval = _INTERVAL

    def __init__(self, kib_per_second: int, clock: Callable[[], float]) -> None:
        rate = kib_per_second * _KIB
        self._bucket = TokenBucket(rate, rate, clock)
        self._bucket.tokens = rate * _INTERVAL
        self._buffer = bytearray()

    @property
    def held(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes, end: bool) -> bytes:
        waits = bool(self._buffer)
        self._buffer += data
        return b"" if waits else self.release()

    def release(self) -> bytes:
        count = self._bucket.take_up_to(len(self._buffer))
        released = bytes(self._buffer[:count])
        del self._buffer[:count]
        return released
