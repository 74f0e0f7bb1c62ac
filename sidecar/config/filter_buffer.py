"""envoy.filters.http.buffer: requests go on once they are complete."""

from __future__ import annotations

from sidecar.config.filter_model import BufferBody
from sidecar.config.reader import Reader


def compile(reader: Reader) -> BufferBody:
    return BufferBody(reader.number("max_request_bytes"))


def compile_route(reader: Reader) -> BufferBody:
    """A BufferPerRoute."""
    disabled, own = reader.flag("disabled"), reader.child("buffer")
    return BufferBody(None) if disabled or own is None else compile(own)
