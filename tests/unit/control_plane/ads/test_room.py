"""What a stream keeps room for once its client has everything: a thousand of them are to fit into a small process."""

from __future__ import annotations

import sys

import pytest

from control_plane.ads.push import PushCore, Variant
from control_plane.ads.subscription import DeltaRequest
from mesh.xds import CLUSTER, ENDPOINT
from tests.unit.control_plane.ads.simulated import cluster, endpoints, snapshot
from tests.unit.control_plane.ads.test_push import D, running

NAMES = [f"outbound|9080||service-{n}.default.svc.cluster.local" for n in range(1000)]


@pytest.mark.parametrize("variant", list(Variant))
def test_a_client_that_has_everything_costs_next_to_nothing(variant: Variant) -> None:
    d = running(variant, snapshot(cds=[cluster(n) for n in NAMES], eds=[endpoints(n) for n in NAMES]))
    assert len(d.core.subscriptions[CLUSTER].told) == len(d.core.subscriptions[ENDPOINT].accepted) == len(NAMES)
    assert room(d.core) < 20_000


def test_a_client_that_comes_back_before_its_snapshot_is_made_costs_no_more() -> None:
    """After a restart all come at once and are translated for one after the other; of what they bring only versions are
    known at first."""
    target = snapshot(cds=[cluster(n) for n in NAMES], eds=[endpoints(n) for n in NAMES])
    d = D(Variant.DELTA)
    old = {name: target.of(CLUSTER)[name].version for name in NAMES[1:]}
    d.core.receive(DeltaRequest(CLUSTER, initial={**old, NAMES[1]: "another"}), d.now)
    assert d.target(target) == [f"CDS {NAMES[0]} {NAMES[1]}"]
    d.ask("eds", *NAMES)
    d.ack("cds")
    d.ack("eds")
    clusters = d.core.subscriptions[CLUSTER]
    assert all(clusters.told[name] is clusters.accepted[name] is target.of(CLUSTER)[name] for name in NAMES)
    assert room(d.core) < 20_000


def room(core: PushCore) -> int:
    """Bytes of the containers of a stream, without what it shares with others."""
    found: list[object] = [*core._awaited.values(), *core._kept.values()]
    for s in core.subscriptions.values():
        found += [s.asked, s.due, s.absent, s.gone, s.unsure, s.flights, s.rejected, s.suspects, s.interest.asked]
        found += [s.told._changes, s.accepted._changes]
    return sum(map(sys.getsizeof, found))
