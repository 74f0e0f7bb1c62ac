from __future__ import annotations

import pytest

from control_plane.ads.push import PushCore, Variant
from control_plane.ads.status import TypeStatus, short, type_status
from control_plane.ads.subscription import DeltaRequest
from mesh.xds import CLUSTER, ROUTE
from tests.unit.control_plane.ads.simulated import route, snapshot

EPOCH = 1_000.0
TARGET = snapshot(rds=[route("r", "a")])


@pytest.fixture
def core() -> PushCore:
    core = PushCore(Variant.DELTA)
    core.retarget(TARGET)
    return core


def answer(core: PushCore, now: float, error: str | None = None) -> None:
    nonce = core.subscriptions[ROUTE].nonce
    core.receive(DeltaRequest(ROUTE, nonce=nonce, error=error), now)


def test_what_was_never_asked_for_is_not_sent(core: PushCore) -> None:
    assert type_status(core, CLUSTER, EPOCH) == TypeStatus("NOT SENT")


def test_what_was_asked_for_and_is_not_there_is_not_sent(core: PushCore) -> None:
    core.retarget(snapshot())
    core.receive(DeltaRequest(ROUTE), 1.0)
    assert core.step(1.0) == []
    assert type_status(core, ROUTE, EPOCH).state == "NOT SENT"


def test_sent_is_stale_until_it_is_acknowledged(core: PushCore) -> None:
    core.receive(DeltaRequest(ROUTE, ("r",)), 1.0)
    core.step(2.0)
    version = TARGET.version(ROUTE)
    assert type_status(core, ROUTE, EPOCH) == TypeStatus("STALE", version, "", "", EPOCH + 2.0, None)
    answer(core, 3.0)
    assert type_status(core, ROUTE, EPOCH) == TypeStatus("SYNCED", version, version, "", EPOCH + 2.0, EPOCH + 3.0)


def test_a_rejection_stays_until_something_better_is_acknowledged(core: PushCore) -> None:
    core.receive(DeltaRequest(ROUTE, ("r",)), 1.0)
    core.step(1.0)
    answer(core, 2.0, error="no")
    refused = type_status(core, ROUTE, EPOCH)
    assert (refused.state, refused.error, refused.acked) == ("NACKED", "no", "")
    core.retarget(snapshot(rds=[route("r", "b")]))
    core.step(3.0)
    assert type_status(core, ROUTE, EPOCH).state == "NACKED"
    answer(core, 4.0)
    assert type_status(core, ROUTE, EPOCH).state == "SYNCED"
    assert type_status(core, ROUTE, EPOCH).error == ""


def test_who_brought_everything_along_is_in_sync(core: PushCore) -> None:
    core.receive(DeltaRequest(ROUTE, ("r",), initial={"r": TARGET.of(ROUTE)["r"].version}), 1.0)
    assert core.step(1.0) == []
    version = TARGET.version(ROUTE)
    assert type_status(core, ROUTE, EPOCH) == TypeStatus("SYNCED", version, version)


def test_short_names() -> None:
    assert short(CLUSTER) == "CDS"
    assert short("type.googleapis.com/envoy.service.runtime.v3.Runtime") == "Runtime"
