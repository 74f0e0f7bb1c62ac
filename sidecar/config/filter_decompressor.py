"""envoy.filters.http.decompressor with the gzip library."""

from __future__ import annotations

from typing import Final

from envoy.extensions.compression.gzip.decompressor.v3.gzip_pb2 import Gzip

from sidecar.config.common import typed
from sidecar.config.compression_model import Decompressed, Decompressor
from sidecar.config.filter_compressor import feature_flag
from sidecar.config.reader import Reader

_GZIP: Final = {Gzip.DESCRIPTOR.full_name: None}
_WINDOW_BITS: Final = 15
_MAX_INFLATE_RATIO: Final = 100


def compile(reader: Reader) -> Decompressor:
    library = reader.child("decompressor_library")
    name = library.text("name") if library is not None else ""
    window_bits, ratio = _gzip(library) if library is not None else (_WINDOW_BITS, _MAX_INFLATE_RATIO)
    request = reader.child("request_direction_config")
    return Decompressor(
        library_name=name,
        window_bits=window_bits,
        max_inflate_ratio=ratio,
        request=_direction(request),
        response=_direction(reader.child("response_direction_config")),
        advertises=request is None or request.flag("advertise_accept_encoding", True),
    )


def _gzip(library: Reader) -> tuple[int, int]:
    _, config = typed(library, _GZIP, "decompressor library")
    if config is None:
        return _WINDOW_BITS, _MAX_INFLATE_RATIO
    return config.number("window_bits", _WINDOW_BITS), config.number("max_inflate_ratio", _MAX_INFLATE_RATIO)


def _direction(reader: Reader | None) -> Decompressed:
    common = reader.child("common_config") if reader is not None else None
    if common is None:
        return Decompressed()
    return Decompressed(feature_flag(common, "enabled"), common.flag("ignore_no_transform_header"))
