from __future__ import annotations

import json

import pytest

from sidecar.admin import answers
from sidecar.admin.views import QueryError
from sidecar.telemetry.trace import Span


async def test_a_list_is_json_whatever_its_length() -> None:
    for count in range(3):
        pieces = answers.listing("items", (str(number) for number in range(count)))
        assert json.loads("".join([piece async for piece in pieces])) == {"items": list(range(count))}


def test_formats() -> None:
    assert answers.format_of({}) == "text"
    assert answers.format_of({"format": "json"}) == "json"
    with pytest.raises(QueryError, match="format=html"):
        answers.format_of({"format": "html"})


def test_without_a_filter_every_name_is_taken() -> None:
    assert answers.filter_of(None)("any")
    assert not answers.filter_of("^b")("any")


def test_a_span_has_the_names_of_otlp() -> None:
    fields = answers.span_fields(Span("n", "CLIENT", "t", "s", "p", 1, 2, {"a": True}, True))
    assert (fields["traceId"], fields["spanId"], fields["parentSpanId"]) == ("t", "s", "p")
    assert (fields["startTimeUnixNano"], fields["endTimeUnixNano"]) == (1, 2)
    assert fields["attributes"] == {"a": True}
