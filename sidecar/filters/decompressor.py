"""envoy.filters.http.decompressor: gzip taken off requests and responses."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from envoy.extensions.compression.gzip.decompressor.v3.gzip_pb2 import Gzip

from sidecar.config.common import named
from sidecar.config.compression_model import Decompressed, Decompressor
from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import Decision, Encode, FilterContext, FilterType, Steps
from sidecar.filters.bodies import BodyChange, request_has_body
from sidecar.filters.compressor import GZIP, feature_flag, forbids_transformation
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, drop, joined, put

_GZIP_WRAPPER: Final = 16  # zlib's window bits with a gzip header around the data


class _Direction:
    """What is counted of one direction, and who is decompressed."""

    def __init__(self, config: Decompressor, which: Decompressed, prefix: str, context: FilterContext) -> None:
        self._config = config
        self._which = which
        counter = context.registry.counter
        start = f"{context.stats.start}decompressor.{config.library_name}.gzip."
        self._decompressed = counter(start + prefix + "decompressed")
        self._not_decompressed = counter(start + prefix + "not_decompressed")
        self.before = counter(start + prefix + "total_compressed_bytes")
        self.after = counter(start + prefix + "total_uncompressed_bytes")
        self.errors = counter(start + "decompressor_library.zlib_data_error")

    def decide(self, headers: Headers) -> Gunzip | None:
        """The change of the body that these headers are of; they no longer say that it is compressed."""
        which = self._which
        codings = joined(headers, b"content-encoding") or b""
        first, more, rest = codings.partition(b",")
        transforms = which.enabled and (which.ignores_no_transform or not forbids_transformation(headers))
        if not transforms or first.strip().lower() != GZIP:
            self._not_decompressed.value += 1
            return None
        self._decompressed.value += 1
        drop(headers, b"content-length")
        if more:
            put(headers, b"content-encoding", rest.strip())
        else:
            drop(headers, b"content-encoding")
        return Gunzip(self._config, self)


class Gunzip(BodyChange):
    """Decompresses. What is no gzip, or grows too much, is lost from there on, as Envoy loses it."""

    __slots__ = ("_config", "_direction", "_ended", "_from", "_inflate", "_to")

    def __init__(self, config: Decompressor, direction: _Direction) -> None:
        self._config = config
        self._direction = direction
        self._inflate = zlib.decompressobj(config.window_bits | _GZIP_WRAPPER)
        self._ended = False
        self._from = self._to = 0

    def feed(self, data: bytes, end: bool) -> bytes:
        plain = self._expand(data) if data and not self._ended else b""
        self._from += len(data)
        self._to += len(plain)
        self._direction.before.value += len(data)
        self._direction.after.value += len(plain)
        return plain

    def _expand(self, data: bytes) -> bytes:
        try:
            plain = self._inflate.decompress(data, self._config.max_inflate_ratio * len(data))
        except zlib.error:
            plain = b""
            bad = True
        else:
            bad = bool(self._inflate.unconsumed_tail)
        self._direction.errors.value += bad
        self._ended = bad or self._inflate.eof
        return plain

    def trailers(self) -> Headers:
        prefix = b"x-envoy-decompressor-" + self._config.library_name.encode()
        return [
            (prefix + b"-compressed-bytes", b"%d" % self._from),
            (prefix + b"-uncompressed-bytes", b"%d" % self._to),
        ]


class DecompressorFilter:
    """One connection manager's filter; routes cannot configure it."""

    def __init__(self, config: Decompressor, context: FilterContext) -> None:
        self._advertises = config.response.enabled and config.advertises
        self._request = _Direction(config, config.request, "request.", context)
        self._response = _Direction(config, config.response, "response.", context)

    def bind(self, _overrides: Sequence[Any], _route: Route | None) -> Steps:
        return Steps((self._on_request,), body=(self._on_response,))

    def _on_request(self, exchange: Exchange) -> Decision | None:
        headers = exchange.headers
        if self._advertises:
            put(headers, b"accept-encoding", advertised(joined(headers, b"accept-encoding") or b""))
        if not request_has_body(exchange):
            return None
        change = self._request.decide(headers)
        return Encode(change) if change is not None else None

    def _on_response(self, _exchange: Exchange, headers: Headers, present: bool) -> BodyChange | None:
        return self._response.decide(headers) if present else None


def advertised(accept: bytes) -> bytes:
    """An accept-encoding with gzip added, at the end and without a weight."""
    tokens = [token.strip() for token in accept.split(b",")]
    others = [token for token in tokens if token and token.partition(b";")[0].strip() != GZIP]
    return b",".join([*others, GZIP])


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_GZIP: Final = {Gzip.DESCRIPTOR.full_name: None}
_WINDOW_BITS: Final = 15
_MAX_INFLATE_RATIO: Final = 100


def compile(reader: Reader) -> Decompressor:
    library = reader.child("decompressor_library")
    name, window_bits, ratio = _gzip(library) if library is not None else ("", _WINDOW_BITS, _MAX_INFLATE_RATIO)
    request = reader.child("request_direction_config")
    return Decompressor(
        library_name=name,
        window_bits=window_bits,
        max_inflate_ratio=ratio,
        request=_direction(request),
        response=_direction(reader.child("response_direction_config")),
        advertises=request is None or request.flag("advertise_accept_encoding", True),
    )


def _gzip(library: Reader) -> tuple[str, int, int]:
    name, _, config = named(library, _GZIP, "decompressor library")
    if config is None:
        return name, _WINDOW_BITS, _MAX_INFLATE_RATIO
    return name, config.number("window_bits", _WINDOW_BITS), config.number("max_inflate_ratio", _MAX_INFLATE_RATIO)


def _direction(reader: Reader | None) -> Decompressed:
    common = reader.child("common_config") if reader is not None else None
    if common is None:
        return Decompressed()
    return Decompressed(feature_flag(common, "enabled"), common.flag("ignore_no_transform_header"))


FILTER: Final = FilterType(Decompressor, DecompressorFilter, compile)
