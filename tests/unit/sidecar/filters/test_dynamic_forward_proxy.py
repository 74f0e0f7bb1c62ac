from __future__ import annotations

import pytest

from sidecar.filters.dynamic_forward_proxy import _authority


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"a.test", ("a.test", 80)),
        (b"A.test:8080", ("a.test", 8080)),
        (b"[::1]:81", ("::1", 81)),
        (b"[::1]", ("::1", 80)),
        (b"a.test:99999", ("a.test", 65535)),
        (b"a.test:x", ("a.test:x", 80)),
    ],
)
def test_authorities(authority: bytes, expected: tuple[str, int]) -> None:
    assert _authority(authority) == expected
