"""Where traffic is sent: a service, a subset of it, a port; and the weights of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from mesh.istio.model import Found, Message, Path
from mesh.istio.scalars import Int32, OptionalDnsLabel, PortNumber, WildcardHost

MAX_TOTAL_WEIGHT: Final = 2**32 - 1  # Envoy's


class PortSelector(Message):
    number: PortNumber


class Destination(Message):
    host: WildcardHost
    subset: OptionalDnsLabel = ""
    port: PortSelector | None = None

    def rules(self) -> Iterator[Found]:
        if self.host == "*":
            yield Found(("host",), 'must name a service, not "*"')


class RouteDestination(Message):
    """The share of a destination is its weight in the sum of the weights; a single one gets everything."""

    destination: Destination
    weight: Int32 = 0


class Weighted(Protocol):
    @property
    def weight(self) -> int: ...


def weight_rules(destinations: Sequence[Weighted], path: Path = ("route",)) -> Iterator[Found]:
    """What is wrong with the weights of several destinations."""
    total = sum(destination.weight for destination in destinations)
    if len(destinations) > 1 and total == 0:
        yield Found(path, "the weights of several destinations must not all be 0: nothing would be routed")
    if total > MAX_TOTAL_WEIGHT:
        yield Found(path, f"the weights add up to {total}; {MAX_TOTAL_WEIGHT} is the limit")
