"""Which cluster a request goes to where its headers decide: by name, or by where it stands among the weights. Pure."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sidecar.config.model import Forward
from sidecar.http.exchange import Exchange
from sidecar.router.hash_policy import HashPolicies

if TYPE_CHECKING:
    from sidecar.router.table import Destination

Choice = Callable[[Exchange], "Destination"]

_MOST = 2**64


def choice(
    action: Forward, destinations: Sequence[Destination], limits: Sequence[int], rng: random.Random
) -> Choice | None:
    """How the destination of each request is found; None when chance alone decides, or nothing is to be decided.
    `limits` are the sums of the destinations' weights, up to each of them."""
    by_name = any(destination.config.cluster_header for destination in destinations)
    standing = _standing(action, rng)
    if standing is None:
        if not by_name:
            return None
        standing = _by_chance(rng)
    total = limits[-1]

    def choose(exchange: Exchange) -> Destination:
        at = bisect_right(limits, standing(exchange, total)) if len(destinations) > 1 else 0
        return _named(destinations[at], exchange)

    return choose


_Standing = Callable[[Exchange, int], float]


def _standing(action: Forward, rng: random.Random) -> _Standing | None:
    """Where a request stands among the weights, of which it gets the total."""
    if action.weight_by_hash:
        policies = HashPolicies(action.hash_policies)

        def by_hash(exchange: Exchange, total: int) -> float:
            key = policies.key(exchange).value
            return rng.random() * total if key is None else key % total

        return by_hash
    if not action.weight_header:
        return None
    name = action.weight_header

    def by_header(exchange: Exchange, total: int) -> float:
        values = exchange.header_values(name)
        if not values or not values[0].isdigit() or int(values[0]) >= _MOST:
            return rng.random() * total
        return int(values[0]) % total

    return by_header


def _by_chance(rng: random.Random) -> _Standing:
    return lambda _exchange, total: rng.random() * total


def _named(destination: Destination, exchange: Exchange) -> Destination:
    """The destination; where a header names the cluster, with that name, which there may be no cluster of."""
    name = destination.config.cluster_header
    if not name:
        return destination
    values = exchange.header_values(name)
    return destination.to(values[0].decode("latin-1") if values else "")
