"""Access logs as loads."""

from __future__ import annotations

import json

import pytest

from mesh.load.access_log import read_log
from mesh.load.template import TemplateError

TEXT = (
    '[2026-11-30T08:00:{second}Z] "GET /r/{path} HTTP/1.1" 200 - via_upstream - "-" 0 295 3 2 "-" "curl/8" '
    '"id" "reviews:9080" "127.0.1.21:15006" outbound|9080||reviews - 1.2.3.4:9080 5.6.7.8:1 - default'
)


def test_a_text_log() -> None:
    lines = [TEXT.format(second=second, path=path) for second, path in (("01.500", 1), ("00.000", 0), ("02.000", 0))]
    recording = read_log([*lines, "something else", ""], "http://h:1/", speed=2)
    assert [spec.url for spec in recording.requests] == ["http://h:1/r/0", "http://h:1/r/1"]
    assert recording.requests[0].headers == {"host": "reviews:9080"}
    assert recording.order == (0, 1, 0)
    assert list(recording.schedule.due(1)) == [0, 0.75, 1]
    assert recording.skipped == 1


def test_a_json_log() -> None:
    row = {"start_time": "2026-11-30T08:00:01Z", "method": "POST", "path": "/p", "authority": None}
    recording = read_log([json.dumps(row), json.dumps({"path": "/"}), "{"], "http://h")
    assert (recording.requests[0].method, recording.requests[0].headers) == ("POST", {})
    assert recording.skipped == 2


def test_a_log_without_requests() -> None:
    with pytest.raises(TemplateError, match="no line"):
        read_log(["nothing"], "http://h")
