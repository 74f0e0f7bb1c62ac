"""Requests that note their moments, or are logged while they are in progress."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import AccessLog, Hcm
from sidecar.forward import Stream
from sidecar.forward.observed import ObservedStream, Observers, stream_type


def test_only_what_is_asked_for_is_observed() -> None:
    log = AccessLog("stdout")
    assert stream_type(Hcm("a", (), access_logs=(log,))) is Stream
    assert stream_type(Hcm("a", (), access_logs=(log, AccessLog("stdout", metered=True)))) is ObservedStream
    assert stream_type(Hcm("a", (), log_starts=True)) is ObservedStream
    assert stream_type(Hcm("a", (), log_interval=1.0)) is ObservedStream
    assert stream_type(Hcm("a", (), log_tunnels=True)) is ObservedStream


def test_each_log_has_its_type() -> None:
    asked: list[str] = []

    def interim(_config: Hcm, log_type: str) -> Any:
        asked.append(log_type)
        return log_type

    nothing = Observers(Hcm("a", ()), interim)
    assert (nothing.started, nothing.periodic, nothing.tunneled, asked) == (None, None, None, [])
    Observers(Hcm("a", (), log_starts=True, log_interval=1.0, log_tunnels=True), interim)
    assert asked == ["DownstreamStart", "DownstreamPeriodic", "DownstreamTunnelSuccessfullyEstablished"]
