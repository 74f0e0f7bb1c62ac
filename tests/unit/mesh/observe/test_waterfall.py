from __future__ import annotations

from typing import Any

from mesh.observe.waterfall import page, text, traces


def span(name: str, kind: str, own: str, parent: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    return {
        "traceId": "t1",
        "spanId": own,
        "parentSpanId": parent,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": start * 1_000_000,
        "endTimeUnixNano": end * 1_000_000,
        "attributes": {"http.status_code": "200", "guid:x-request-id": "r1", **more},
        "error": bool(more),
    }


ANSWERS = {
    "gateway": {"spans": [span("productpage:9080/*", "CLIENT", "a", "", 0, 100)]},
    "productpage-v1": {
        "spans": [
            span("productpage:9080/*", "SERVER", "b", "a", 5, 95),
            span("reviews:9080/*", "CLIENT", "c", "b", 10, 60),
            span("details:9080/*", "CLIENT", "d", "b", 61, 70, response_flags="UH<b>"),
        ]
    },
}


def test_spans_of_all_proxies_become_one_tree_in_time() -> None:
    (found,) = traces(ANSWERS)
    assert (found.trace_id, found.request_id, found.milliseconds, found.failed) == ("t1", "r1", 100.0, True)
    lines = text(found, 80)
    assert [line.split(" ")[0] or line.strip().split(" ")[0] for line in lines] == ["gateway", "productpage-v1"] + [
        "productpage-v1"
    ] * 2
    assert lines[0].endswith("█" * (80 - 34 - 18))
    assert "✗" in lines[3]
    assert lines[3].index("█") > lines[2].index("█")
    assert all(len(line) <= 80 for line in lines)


def test_a_part_that_is_missing_leaves_the_rest() -> None:
    (found,) = traces({"productpage-v1": ANSWERS["productpage-v1"]})
    assert [hop.span_id for hop in found.roots] == ["b"]


def test_a_page_of_its_own_escapes_what_strangers_wrote() -> None:
    (found,) = traces(ANSWERS)
    written = page(found)
    assert "UH&lt;b&gt;" in written
    assert "<b>" not in written
    assert "http://" not in written and "https://" not in written
