"""Messages that several resources are made of."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import (
    AppendAction,
    DirectResponse,
    HeaderAdd,
)
from tests.unit.sidecar.config.build import (
    Data,
    parts,
    route_of,
)


def instead_of_route(kind: str, data: Data) -> Any:
    given = parts()
    del given.route["route"]
    given.route[kind] = data
    return route_of(given).action


def test_direct_responses(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "body").write_bytes(b"from a file")
    monkeypatch.setenv("MESH_BODY", "from a variable")
    for source, body in (
        ({"inline_string": "a"}, b"a"),
        ({"inline_bytes": "YQ=="}, b"a"),
        ({"filename": str(tmp_path / "body")}, b"from a file"),
        ({"environment_variable": "MESH_BODY"}, b"from a variable"),
    ):
        assert instead_of_route("direct_response", {"status": 200, "body": source}) == DirectResponse(200, body)
    assert instead_of_route("direct_response", {"status": 404}) == DirectResponse(404)


@pytest.mark.parametrize(
    ("option", "action"),
    [
        ({}, AppendAction.APPEND),
        ({"append": False}, AppendAction.OVERWRITE),
        ({"append": True}, AppendAction.APPEND),
        ({"append_action": "ADD_IF_ABSENT"}, AppendAction.ADD_IF_ABSENT),
        ({"append_action": "OVERWRITE_IF_EXISTS"}, AppendAction.OVERWRITE_IF_EXISTS),
    ],
)
def test_header_actions(option: Data, action: AppendAction) -> None:
    given = parts()
    given.route["request_headers_to_add"] = [
        {"header": {"key": "X-A", "value": "%PROTOCOL%"}, "keep_empty_value": True, **option}
    ]
    assert route_of(given).request_ops.add == (HeaderAdd(b"x-a", "%PROTOCOL%", action, keep_empty=True),)
