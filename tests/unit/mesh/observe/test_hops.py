"""One request at all the proxies that it passed."""

from __future__ import annotations

import json

from mesh.observe.hops import hops, reason_of, reasons, records

ID = "3f1c2f1e-6d0b-9d3f-b0a2-6d6f0c3c2f4a"


def line(
    start: str, duration: int, cluster: str = "", request_id: str = ID, details: str = "via_upstream"
) -> dict[str, object]:
    values = {
        "start_time": start,
        "duration": duration,
        "upstream_cluster": cluster,
        "request_id": request_id,
        "response_code_details": details,
        "route_name": "default",
    }
    return {"at": 1.0, "line": json.dumps(values)}


def test_in_the_order_of_their_way() -> None:
    early, late = "2026-11-30T10:00:00.001Z", "2026-11-30T10:00:00.002Z"
    answers = {
        "reviews": {"lines": [line(early, 5, "inbound|9080||"), line(late, 1, request_id="another")]},
        "productpage": {"lines": [line(late, 9), line(early, 5, "outbound|9080||reviews")]},
        "gateway": {"lines": [line(early, 20), {"at": 2.0, "line": "of another format"}]},
    }
    found = hops(records(answers), ID)
    assert [(each.pod, each.inbound) for each in found] == [
        ("gateway", False),
        ("productpage", False),
        ("reviews", True),
        ("productpage", False),
    ]
    assert found[0].route == "default"


def test_a_reason_is_that_of_the_reply_not_of_the_other_side() -> None:
    reply = {"at": 1.0, "request_id": ID, "status": 503, "details": "no healthy upstream", "why": "no hosts"}
    nameless = {**reply, "request_id": ""}
    known = reasons({"reviews": {"replies": [reply, nameless]}, "old": {}})
    answers = {"reviews": {"lines": [line("a", 1, "inbound|1||"), line("b", 1, details="no_healthy_upstream")]}}
    inbound, outbound = records(answers)
    assert (reason_of(inbound, known), reason_of(outbound, known)) == ("", "no hosts")
    assert len(known) == 1
