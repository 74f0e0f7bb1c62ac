"""Where VirtualServices send requests and connections, with the place of each in its document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mesh.istio.destination import Destination
from mesh.istio.model import Path
from mesh.istio.virtual_service import VirtualService


class Placed(NamedTuple):
    path: Path
    destination: Destination


def destinations(spec: VirtualService) -> Iterator[Placed]:
    """Every destination of every rule: shares of routes, copies, connections."""
    for number, rule in enumerate(spec.http):
        place: Path = ("spec", "http", number)
        for position, each in enumerate(rule.route):
            yield Placed((*place, "route", position, "destination"), each.destination)
        if rule.mirror is not None:
            yield Placed((*place, "mirror"), rule.mirror)
        for position, copy in enumerate(rule.mirrors):
            yield Placed((*place, "mirrors", position, "destination"), copy.destination)
    for number, tls in enumerate(spec.tls):
        for position, share in enumerate(tls.route):
            yield Placed(("spec", "tls", number, "route", position, "destination"), share.destination)
    for number, tcp in enumerate(spec.tcp):
        for position, share in enumerate(tcp.route):
            yield Placed(("spec", "tcp", number, "route", position, "destination"), share.destination)
