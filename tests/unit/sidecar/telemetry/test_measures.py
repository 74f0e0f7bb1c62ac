from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.telemetry.expression import Occasion
from sidecar.telemetry.formatter import commands_of, compile_format, compile_json, compile_text
from sidecar.telemetry.measures import METERED, NOT_IMPLEMENTED, between
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock, exchange

GRPC = {"indexed_headers": {b"content-type": b"application/grpc"}}


def text(format_string: str, occasion: Occasion | None = None, **fields: Any) -> str:
    line = compile_text(format_string, clock(), occasion=occasion or Occasion())
    return line(exchange(**fields), CLOCK_START + 0.5).decode()


def test_durations_between_moments_that_were_noted() -> None:
    moments: Any = SimpleNamespace(started=10.0, received_all=10.0125, sent_all=0.0)
    assert between(moments, "started", "received_all", 1000) == 12
    assert between(moments, "started", "sent_all", 1000) is None
    assert between(moments, "started", "replied_all", 1000) is None  # nobody was asked to note it
    assert text("%REQUEST_DURATION% %RESPONSE_TX_DURATION%") == "- -"


@pytest.mark.parametrize("bad", ["DS_RX_BEG", "DS_RX_BEG:US_HS_END:ms", "DS_RX_BEG:DS_TX_END:s", "a:b:c"])
def test_common_durations_that_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="COMMON_DURATION"):
        compile_text(f"%COMMON_DURATION({bad})%")


def test_sizes_of_heads() -> None:
    sized = {"headers": [(b"a", b"bc")], "path": b"/", "authority": b"h"}
    assert text("%REQUEST_HEADERS_BYTES%", **sized) == str(len(":method:scheme:path:authorityGEThttp/habc"))
    assert text("%REQUEST_HEADERS_BYTES%", method=b"") == "0"
    answer: dict[str, Any] = {"response_headers": [(b"a", b"bc"), (b"transfer-encoding", b"chunked")]}
    assert text("%RESPONSE_HEADERS_BYTES%", **answer) == str(len(":status200abc"))
    assert text("%RESPONSE_HEADERS_BYTES%", status=0) == "0"


def test_grpc_status() -> None:
    answer = {"response_headers": [(b"grpc-status", b"1")], **GRPC}
    line = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%"
    assert text(line, **answer) == "Canceled CANCELLED 1 1"
    assert text(line, status=404, response_headers=[], **GRPC) == "Unimplemented UNIMPLEMENTED 12 12"
    assert text(line) == "- - - -"
    assert text("%GRPC_STATUS%", response_headers=[(b"grpc-status", b"77")], **GRPC) == "77"
    with pytest.raises(ConfigError, match="expected CAMEL_STRING"):
        compile_text("%GRPC_STATUS(NOPE)%")


def test_what_is_known_when_a_log_is_made() -> None:
    occasion = Occasion("DownstreamStart", "chain")
    assert text("%ACCESS_LOG_TYPE% %FILTER_CHAIN_NAME%", occasion) == "DownstreamStart chain"
    assert text("%FILTER_CHAIN_NAME%") == "-"


def test_connections_are_numbered_at_first_sight() -> None:
    made = exchange()
    line = compile_text("%CONNECTION_ID%")
    first = line(made, 0.0)
    assert first == line(made, 0.0)
    assert int(line(exchange(), 0.0)) == int(first) + 1


@pytest.mark.parametrize("name", sorted(NOT_IMPLEMENTED))
def test_what_is_not_implemented_says_why(name: str) -> None:
    with pytest.raises(ConfigError, match=f"%{name}% is not implemented: .+"):
        compile_text(f"%{name}%")


def test_headers_cannot_tell_what_only_logs_note() -> None:
    assert "REQUEST_DURATION" in METERED
    with pytest.raises(ConfigError, match="access logs only"):
        compile_format("%REQUEST_DURATION%")


def test_the_commands_of_a_format() -> None:
    assert list(commands_of({"a": ["x%PROTOCOL%", {"b": "%REQ(c)%"}], "d": 1})) == ["PROTOCOL", "REQ"]


def test_metadata_keeps_its_type_in_json() -> None:
    made = exchange()
    made.route.config.metadata["a"] = {"n": 1, "o": {"k": [True]}, "s": "x"}
    fields = {key: f"%METADATA(ROUTE:a:{key})%" for key in "nos"} | {"text": "%METADATA(ROUTE:a:o)%!"}
    line = compile_json(fields)(made, 0.0)
    assert json.loads(line) == {"n": 1, "o": {"k": [True]}, "s": "x", "text": '{"k":[true]}!'}


NOTHING = "%REQ(x-none)%"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"a": NOTHING}, {}),
        ({"a": NOTHING, "b": "%RESPONSE_CODE%", "c": NOTHING}, {"b": 200}),
        ({"a": {"b": NOTHING, "c": {"d": NOTHING}}}, {}),
        ({"a": [NOTHING, "x", None, {"b": NOTHING}]}, {"a": ["x"]}),
        ({"a": f"[{NOTHING}]", "b": "null", "c": False}, {"a": "[]", "b": "null", "c": False}),
        ({'"{}': "{%PROTOCOL%}"}, {'"{}': "{HTTP/1.1}"}),
        ({}, {}),
    ],
)
def test_json_without_what_is_not_there(fields: dict[str, Any], expected: Any) -> None:
    assert json.loads(compile_json(fields, omit_empty=True)(exchange(), 0.0)) == expected


def test_text_without_dashes() -> None:
    assert compile_text(f"[{NOTHING}]", omit_empty=True)(exchange(), 0.0) == b"[]"
