"""The three-state circuit breaker of a cluster, which Envoy does not have (`filter_metadata["mesh.circuit_breaker"]`).

One breaker per cluster and proxy: single endpoints are outlier detection's business. Each attempt of a request asks for a
permit, and gives it back with its outcome; the states, their storage and listeners are pybreaker's, the rolling window,
the bound on probes and the clock are ours. Pure: the time is handed in. An open breaker turns half-open with the first
request that comes after `open_time`, so that nobody has to watch the clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, assert_never

from mesh.circuit_state import CircuitState
from sidecar.config.model import CircuitBreaker
from sidecar.telemetry.stats import CircuitStats
from sidecar.upstream.breaker import HostBreaker

BUCKETS: Final = 10  # of a window: what leaves it leaves by tenths

_GAUGE: Final = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}


class _Bucket:
    __slots__ = ("failed", "number", "slow", "total")

    def __init__(self, number: int) -> None:
        self.number = number
        self.total = 0
        self.failed = 0
        self.slow = 0


class Window:
    """Counts of the last `seconds`, forgotten by tenths."""

    __slots__ = ("_buckets", "_width", "failed", "slow", "total")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self.total = 0
        self.failed = 0
        self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        number = int(now / self._width)
        self._forget(number - BUCKETS)
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(_Bucket(number))
        bucket = self._buckets[-1]
        for counts in (self, bucket):
            counts.total += 1
            counts.failed += failed
            counts.slow += slow

    def _forget(self, number: int) -> None:
        while self._buckets and self._buckets[0].number <= number:
            gone = self._buckets.popleft()
            self.total -= gone.total
            self.failed -= gone.failed
            self.slow -= gone.slow


class Permit(NamedTuple):
    """An attempt that was let through: in which period of the breaker, and when."""

    circuit: Circuit
    period: int
    began: float


class Circuit:
    """`admit` gives a permit or None; each permit comes back once, by `answered`, `failed` or `cancelled`."""

    def __init__(self, config: CircuitBreaker, breaker: HostBreaker, stats: CircuitStats) -> None:
        self.config = config
        self._breaker = breaker
        self._stats = stats
        self._state = CircuitState.CLOSED
        self._period = 0  # counts changes of state: what was let through before one says nothing after it
        self._window = Window(config.window)
        self._in_a_row = 0
        self._opened_at = 0.0
        self._probing = 0
        self._probes_passed = 0
        stats.state.value = _GAUGE[CircuitState.CLOSED]

    @property
    def state(self) -> CircuitState:
        return self._state

    @property
    def reason(self) -> str:
        """Why it is in its state; empty when it has always been closed."""
        return self._breaker.reason

    @property
    def counts(self) -> tuple[int, int, int]:
        """Requests of the window, and how many of them failed and were slow."""
        return self._window.total, self._window.failed, self._window.slow

    @property
    def opens_at(self) -> str:
        """What it takes to open it, for people."""
        config = self.config
        row = config.consecutive_failures
        found = [f"{row} failures in a row" if row > 1 else "a failure"] if row else []
        if config.failure_rate:
            found.append(f"{config.failure_rate:g} % failed")
        if config.slow_call_rate:
            found.append(f"{config.slow_call_rate:g} % over {config.slow_call_duration:g} s")
        return f"{' or '.join(found)}, of {config.minimum_requests} in {config.window:g} s or more"

    @property
    def probing(self) -> int:
        """Probes in flight."""
        return self._probing

    def admit(self, now: float) -> Permit | None:
        if self._state is CircuitState.OPEN:
            if now - self._opened_at < self.config.open_time:
                self._stats.rejected.value += 1
                return None
            self._change(
                CircuitState.HALF_OPEN,
                f"open for {self.config.open_time:g} s: up to {self._probes} at a time are let through",
            )
        if self._state is CircuitState.HALF_OPEN:
            if self._probing + self._probes_passed >= self.config.half_open_requests:
                self._stats.rejected.value += 1
                return None
            self._probing += 1
        return Permit(self, self._period, now)

    @property
    def _probes(self) -> str:
        count = self.config.half_open_requests
        return f"{count} request{'s' if count > 1 else ''}"

    # ── outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def answered(self, permit: Permit, status: int, now: float) -> None:
        """A response began."""
        self._ended(permit, now, f"status {status}" if status >= 500 else "")

    def failed(self, permit: Permit, why: str, now: float) -> None:
        """No response: no connection, a reset, a time-out."""
        self._ended(permit, now, why)

    def cancelled(self, permit: Permit) -> None:
        """Nothing is known of the outcome: the client left, or another limit was reached."""
        if permit.period == self._period and self._state is CircuitState.HALF_OPEN:
            self._probing -= 1

    def _ended(self, permit: Permit, now: float, failure: str) -> None:
        if permit.period != self._period:
            return
        config, took = self.config, now - permit.began
        slow = config.slow_call_rate > 0 and took >= config.slow_call_duration
        if self._state is CircuitState.HALF_OPEN:
            self._probed(now, failure or (f"took {took:.3g} s" if slow else ""))
            return
        self._in_a_row = self._in_a_row + 1 if failure else 0
        self._window.add(now, failed=bool(failure), slow=slow)
        if why := self._trips():
            self._open(why, now)

    def _probed(self, now: float, failure: str) -> None:
        self._probing -= 1
        if failure:
            self._open(f"a probe failed: {failure}", now)
            return
        self._probes_passed += 1
        if self._probes_passed >= self.config.half_open_requests:
            self._change(CircuitState.CLOSED, f"{self._probes_passed} of {self._probes_passed} probes passed")

    def _trips(self) -> str:
        """Why the breaker opens now, or ''."""
        config, window = self.config, self._window
        if config.consecutive_failures and self._in_a_row >= config.consecutive_failures:
            return f"{self._in_a_row} failures in a row" if self._in_a_row > 1 else "a failure"
        if window.total < config.minimum_requests:
            return ""
        for name, count, threshold in (
            ("failed", window.failed, config.failure_rate),
            ("were slow", window.slow, config.slow_call_rate),
        ):
            share = 100 * count / window.total
            if threshold and share >= threshold:
                return f"{share:.4g} % of {window.total} requests in {config.window:g} s {name}, {threshold:g} % are enough"
        return ""

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, reason: str, now: float) -> None:
        self._opened_at = now
        self._change(CircuitState.OPEN, reason)

    def _change(self, state: CircuitState, reason: str) -> None:
        self._state = state
        self._period += 1
        self._probing = self._probes_passed = self._in_a_row = 0
        self._window = Window(self.config.window)
        self._stats.state.value = _GAUGE[state]
        if state is CircuitState.OPEN:
            self._stats.opened.value += 1
            self._breaker.open(reason)
        elif state is CircuitState.HALF_OPEN:
            self._stats.half_opened.value += 1
            self._breaker.half_open(reason)
        elif state is CircuitState.CLOSED:
            self._stats.closed.value += 1
            self._breaker.close(reason)
        else:
            assert_never(state)

    def close(self) -> None:
        """The cluster has no breaker any more."""
        self._stats.close()
