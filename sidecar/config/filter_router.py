"""envoy.filters.http.router: the end of every chain; nothing of it is configurable here."""

from __future__ import annotations

from sidecar.config.reader import Reader


def compile(reader: Reader) -> None:
    reader.flag("start_child_span")  # deprecated, superseded by the connection manager's spawn_upstream_span
