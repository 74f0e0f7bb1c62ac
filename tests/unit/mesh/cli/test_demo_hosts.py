"""Endpoints out of use and breakers, from the admin pages of a real Envoy and of ours."""

from __future__ import annotations

import json

from mesh.cli.demo_hosts import BreakerEvent, breaker_events, out_of_use

CLUSTER = "outbound|9080||reviews.default.svc.cluster.local"


def test_out_of_use() -> None:
    text = "\n".join(
        [
            f"{CLUSTER}::127.0.1.21:15006::health_flags::/failed_outlier_check/failed_eds_health",
            f"{CLUSTER}::127.0.1.22:15006::health_flags::healthy",
            f"{CLUSTER}::127.0.1.22:15006::weight::1",
            f"{CLUSTER}::added_via_api::true",
        ]
    )
    assert out_of_use({"productpage-v1": text, "a": ""}) == (
        ["productpage-v1 → reviews 127.0.1.21:15006: ejected after failures, unhealthy"],
        2,
    )


def event(at: float, state: str, reason: str = "") -> dict[str, object]:
    return {"at": at, "cluster": CLUSTER, "host": "127.0.1.21:15006", "state": state, "reason": reason}


def test_breaker_events_come_in_order_and_once() -> None:
    page = json.dumps(
        {
            "breakers": [],
            "events": [event(3, "closed", "was ejected"), event(2, "open", "5 in a row"), event(1, "open")],
        }
    )
    assert breaker_events({"productpage-v1": page, "an-envoy": ""}, since=1) == [
        BreakerEvent(2, "productpage-v1 → reviews 127.0.1.21:15006: breaker open: 5 in a row"),
        BreakerEvent(3, "productpage-v1 → reviews 127.0.1.21:15006: breaker closed"),
    ]
