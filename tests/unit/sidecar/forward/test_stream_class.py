"""Which kind of stream a connection manager's requests are."""

from __future__ import annotations

from sidecar.config.model import AccessLog, Hcm
from sidecar.forward import Stream
from sidecar.forward.observed import ObservedStream
from sidecar.forward.stream_class import select_stream_class


def test_only_what_is_asked_for_is_paid_for() -> None:
    log = AccessLog("stdout")
    assert select_stream_class(Hcm("a", (), access_logs=(log,))) is Stream
    assert select_stream_class(Hcm("a", (), access_logs=(log, AccessLog("stdout", metered=True)))) is ObservedStream
    assert select_stream_class(Hcm("a", (), log_starts=True)) is ObservedStream
    assert select_stream_class(Hcm("a", (), log_interval=1.0)) is ObservedStream
    assert select_stream_class(Hcm("a", (), log_tunnels=True)) is ObservedStream
    assert select_stream_class(Hcm("a", (), log_starts=True, max_stream_duration=1.0)) is ObservedStream
