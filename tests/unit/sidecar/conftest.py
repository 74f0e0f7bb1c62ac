from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.stage import ManualLoop, manual_clock


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[ManualLoop]:
    """A loop and clock that stand still until the test moves them."""
    with manual_clock(monkeypatch) as manual:
        yield manual
