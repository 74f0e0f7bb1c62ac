"""When requests are due: endless or finite rows of moments, in seconds since the start. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

LEAST_RATE = 0.001  # a request in a quarter of an hour


class Schedule(Protocol):
    """`due(seed)` gives the moments in ascending order; `describe()` says it in a few words."""

    def due(self, seed: int) -> Iterator[float]: ...
    def describe(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Evenly spaced: the n-th request is due at n / rate, without drift."""

    rate: float

    def due(self, seed: int) -> Iterator[float]:
        count = 0
        while True:
            yield count / self.rate
            count += 1

    def describe(self) -> str:
        return f"{self.rate:g} requests/s"


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals: exponential gaps, as of many users who do not know each other."""

    rate: float

    def due(self, seed: int) -> Iterator[float]:
        chance = random.Random(seed)
        now = 0.0
        while True:
            now += chance.expovariate(self.rate)
            yield now

    def describe(self) -> str:
        return f"{self.rate:g} requests/s, Poisson"


@dataclass(frozen=True, slots=True)
class Ramp:
    """From one rate to another in a straight line, for `seconds`; then the second rate goes on."""

    first: float
    last: float
    seconds: float

    def due(self, seed: int) -> Iterator[float]:
        # The number of requests until t is first·t + (last - first)·t² / 2·seconds: the n-th is due where that is n.
        slope = (self.last - self.first) / self.seconds
        total = (self.first + self.last) / 2 * self.seconds
        count = 0
        while count < total:
            if slope:
                yield (math.sqrt(self.first**2 + 2 * slope * count) - self.first) / slope
            else:
                yield count / self.first
            count += 1
        while True:
            yield self.seconds + (count - total) / self.last
            count += 1

    def describe(self) -> str:
        return f"{self.first:g} to {self.last:g} requests/s within {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Steps:
    """Constant rates one after the other, each for its seconds; ends after the last."""

    steps: tuple[tuple[float, float], ...]

    def due(self, seed: int) -> Iterator[float]:
        began = 0.0
        for rate, seconds in self.steps:
            for count in range(math.ceil(rate * seconds - 1e-9)):
                yield began + count / rate
            began += seconds

    def describe(self) -> str:
        return ", ".join(f"{rate:g}/s for {seconds:g} s" for rate, seconds in self.steps)


@dataclass(frozen=True, slots=True)
class Replay:
    """Moments that were recorded, such as an access log's; `speed` 2 plays them twice as fast."""

    moments: tuple[float, ...]
    speed: float = 1.0

    def due(self, seed: int) -> Iterator[float]:
        return (moment / self.speed for moment in self.moments)

    def describe(self) -> str:
        pace = "" if self.speed == 1 else f" at {self.speed:g} times its speed"
        return f"a replay of {len(self.moments)} requests{pace}"


def parse_steps(text: str) -> Steps:
    """`100:10,200:10`: 100 requests/s for 10 s, then 200. ValueError for anything else."""
    steps = []
    for part in text.split(","):
        rate, colon, seconds = part.partition(":")
        if not colon or not LEAST_RATE <= float(rate) < math.inf or not 0 < float(seconds) < math.inf:
            raise ValueError(f"{part!r} is not RATE:SECONDS")
        steps.append((float(rate), float(seconds)))
    return Steps(tuple(steps))


def parse_ramp(text: str) -> Ramp:
    """`10:500:60`: from 10 to 500 requests/s within 60 s. ValueError for anything else."""
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(f"{text!r} is not FIRST:LAST:SECONDS")
    first, last, seconds = map(float, parts)
    if not (0 <= first < math.inf and LEAST_RATE <= last < math.inf and 0 < seconds < math.inf):
        raise ValueError(f"{text!r}: rates and seconds are above 0")
    return Ramp(first, last, seconds)
