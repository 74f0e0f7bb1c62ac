"""What few routes ask for beyond forwarding a request, compiled; a route that asks for nothing of it has no `Extras`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from sidecar.config.model import MILLION, Forward, Mirror
from sidecar.http.exchange import Exchange
from sidecar.router.header_ops import compile_mutations


class Extras:
    """`mirrors` are where copies of the route's requests go; `redirects`, which ones of its upstreams' are followed;
    `duration`, how long its requests may last; `hedges`, whether slow attempts get company."""

    __slots__ = ("duration", "hedges", "mirrors", "redirects")

    def __init__(self, action: Forward, mirrors: Sequence[Mirror] = (), *, hedges: bool = False) -> None:
        self.mirrors = tuple(Mirroring(mirror) for mirror in mirrors)
        self.redirects = action.redirects
        self.duration = action.duration
        self.hedges = hedges if action.hedges is None else action.hedges

    def __bool__(self) -> bool:
        return bool(self.mirrors) or self.hedges or self.redirects is not None or self.duration is not None


class Mirroring:
    """One mirror of a route."""

    __slots__ = ("config", "mutations")

    def __init__(self, config: Mirror) -> None:
        self.config = config
        self.mutations = compile_mutations(config.mutations)

    def cluster(self, exchange: Exchange, rng: random.Random) -> str:
        """Where the copy of this request goes; "" when there is none to be made."""
        config = self.config
        if config.fraction < MILLION and rng.random() * MILLION >= config.fraction:
            return ""
        if not config.cluster_header:
            return config.cluster
        values = exchange.header_values(config.cluster_header)
        return values[0].decode("latin-1") if values else ""

    def host(self, authority: bytes) -> bytes:
        """The copy's host, by which its receiver can tell it from a request."""
        if self.config.host:
            return self.config.host.encode()
        if self.config.same_host:
            return authority
        name, colon, port = authority.rpartition(b":")
        return name + b"-shadow:" + port if colon and b"]" not in port else authority + b"-shadow"


NO_EXTRAS: Final = Extras(Forward(()))
