"""Message types by name."""

from __future__ import annotations

import pytest

from sidecar.config.types import import_type


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("envoy.extensions.filters.http.lua.v3.Lua", True),
        ("google.protobuf.Struct", True),
        ("envoy.extensions.filters.http.lua.v3.Nope", False),
        ("envoy.nope.v3.Nope", False),
        ("os.path", False),
        ("envoy..x", False),
        ("", False),
    ],
)
def test_types_are_imported_by_name(name: str, known: bool) -> None:
    assert import_type(name) is known
