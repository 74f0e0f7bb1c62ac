"""Requests that note their moments, or are logged while they are in progress."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import Hcm
from sidecar.http.stream_context import ProgressObservers


def test_each_log_has_its_type() -> None:
    asked: list[str] = []

    def interim(_config: Hcm, log_type: str) -> Any:
        asked.append(log_type)
        return log_type

    nothing = ProgressObservers(Hcm("a", ()), interim)
    assert (nothing.started, nothing.periodic, nothing.tunneled, asked) == (None, None, None, [])
    ProgressObservers(Hcm("a", (), log_starts=True, log_interval=1.0, log_tunnels=True), interim)
    assert asked == ["DownstreamStart", "DownstreamPeriodic", "DownstreamTunnelSuccessfullyEstablished"]
