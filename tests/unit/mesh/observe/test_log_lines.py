from __future__ import annotations

import json

import pytest

from mesh.access_log import ISTIO_JSON
from mesh.observe.log_lines import record, wanted

TEXT = (
    '[2026-03-04T05:06:07.890Z] "GET /reviews/0?a=b%20c HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 205 - "10.0.0.9" '
    '"curl/8 (a b)" "1f2e" "reviews:9080" "-" outbound|9080|v2|reviews.default.svc.cluster.local - 10.0.0.1:9080 '
    "10.0.0.2:5000 - default"
)


def test_istio_s_text_format() -> None:
    found = record("productpage-v1", 1.0, TEXT)
    assert (found.method, found.path, found.status, found.flags) == ("GET", "/reviews/0?a=b%20c", 503, "UH")
    assert (found.details, found.milliseconds, found.request_id) == ("no_healthy_upstream", 205.0, "1f2e")
    assert (found.authority, found.cluster) == ("reviews:9080", "outbound|9080|v2|reviews.default.svc.cluster.local")
    assert (found.remote, found.bytes_sent, found.inbound) == ("10.0.0.2:5000", 19, False)


def test_istio_s_json_format_says_the_same() -> None:
    text = record("p", 1.0, TEXT)
    line = json.dumps(
        dict.fromkeys(ISTIO_JSON, None)
        | {
            "start_time": text.start_time,
            "method": "GET",
            "path": text.path,
            "response_code": 503,
            "response_flags": "UH",
            "response_code_details": text.details,
            "duration": 205,
            "request_id": "1f2e",
            "authority": text.authority,
            "upstream_cluster": text.cluster,
            "downstream_remote_address": text.remote,
            "bytes_received": 0,
            "bytes_sent": 19,
        }
    )
    found = record("p", 1.0, line)
    assert [getattr(found, name) for name in ("status", "path", "milliseconds", "cluster", "bytes_sent", "flags")] == [
        getattr(text, name) for name in ("status", "path", "milliseconds", "cluster", "bytes_sent", "flags")
    ]


@pytest.mark.parametrize("line", ["", "my own format", "{", "[]", '{"a": 1}', "[2026] GET"])
def test_other_lines_are_kept_as_they_are(line: str) -> None:
    found = record("p", 1.0, line)
    assert not found.understood
    assert found.line == line
    assert not wanted(status="5xx")(found)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"status": "5xx"}, True),
        ({"status": "503"}, True),
        ({"status": "4xx"}, False),
        ({"slower_than": "200ms"}, True),
        ({"slower_than": "1s"}, False),
        ({"trace": "1f2e"}, True),
        ({"trace": "other"}, False),
        ({"path": "/rev", "method": "get"}, True),
        ({"path": "/rat"}, False),
        ({"method": "POST"}, False),
    ],
)
def test_conditions(conditions: dict[str, str], holds: bool) -> None:
    assert wanted(**conditions)(record("p", 1.0, TEXT)) is holds


def test_a_request_without_an_answer_is_among_the_failed() -> None:
    gone = record("p", 1.0, TEXT.replace(" 503 UH ", " 0 DC "))
    assert wanted(status="5xx")(gone)
    assert wanted(status="0")(gone)


@pytest.mark.parametrize("conditions", [{"status": "6xx"}, {"status": "abc"}, {"slower_than": "fast"}])
def test_conditions_that_are_none(conditions: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="--s"):
        wanted(**conditions)
