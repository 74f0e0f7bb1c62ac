"""envoy.filters.http.compressor with the gzip library."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.compression.gzip.compressor.v3.gzip_pb2 import Gzip

from sidecar.config.common import typed
from sidecar.config.compression_model import Compressor, CompressorRoute, GzipLibrary
from sidecar.config.reader import Reader

_GZIP: Final = {Gzip.DESCRIPTOR.full_name: None}
_MIN_LENGTH: Final = 30
_CONTENT_TYPES: Final = (
    "application/ecmascript",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/javascript",
    "application/json",
    "application/x-javascript",
    "application/x-json",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/ecmascript",
    "text/html",
    "text/javascript",
    "text/jscript",
    "text/js",
    "text/plain",
    "text/x-javascript",
    "text/x-js",
    "text/xml",
)
# Who is enabled, and from which size on: among the older fields, or in the place of those.
_LEGACY: Final = ("runtime_enabled", "content_length")
_COMMON: Final = ("enabled", "min_content_length")
_INSTEAD: Final = (*_LEGACY, "content_type", "disable_on_etag_header", "remove_accept_encoding_header")


def compile(reader: Reader) -> Compressor:
    library = reader.child("compressor_library")
    name = library.text("name") if library is not None else ""
    response = reader.child("response_direction_config")
    direction, common, names = reader, reader if response is None else response.child("common_config"), _LEGACY
    if response is not None:
        for field in _INSTEAD:
            reader.refuse(field, "has no effect beside response_direction_config")
        response.only("status_header_enabled", False)
        direction, names = response, _COMMON
    return Compressor(
        library_name=name,
        library=_gzip(library) if library is not None else GzipLibrary(),
        enabled=common is None or feature_flag(common, names[0]),
        min_length=(common.number(names[1]) if common is not None else 0) or _MIN_LENGTH,
        content_types=_content_types(common),
        etag_disables=direction.flag("disable_on_etag_header"),
        removes_accept_encoding=direction.flag("remove_accept_encoding_header"),
        uncompressible_codes=frozenset(response.values("uncompressible_response_codes") if response else ()),
        choose_first=reader.flag("choose_first"),
        has_response_direction=response is not None,
        **_requests(reader.child("request_direction_config")),
    )


def compile_route(reader: Reader) -> CompressorRoute:
    if reader.flag("disabled"):
        return CompressorRoute(enabled=False)
    overrides = reader.child("overrides")
    if overrides is None:
        return CompressorRoute()
    library, response = overrides.child("compressor_library"), overrides.child("response_direction_config")
    removes = None
    if response is not None and response.has("remove_accept_encoding_header"):
        removes = response.flag("remove_accept_encoding_header")
    return CompressorRoute(
        enabled=True if response is not None else None,
        removes_accept_encoding=removes,
        library=_gzip(library) if library is not None else None,
    )


def feature_flag(reader: Reader, field: str, default: bool = True) -> bool:
    """A RuntimeFeatureFlag's default value."""
    flag = reader.child(field)
    return default if flag is None else flag.flag("default_value", default)


def _requests(reader: Reader | None) -> dict[str, Any]:
    common = reader.child("common_config") if reader is not None else None
    if reader is None or (common is not None and not feature_flag(common, "enabled")):
        if common is not None:  # of what is not compressed
            common.number("min_content_length")
            common.values("content_type")
        return {}
    length = common.number("min_content_length") if common is not None else 0
    return {"request_min_length": length or _MIN_LENGTH, "request_content_types": _content_types(common)}


def _content_types(reader: Reader | None) -> frozenset[bytes]:
    types = reader.values("content_type") if reader is not None else ()
    return frozenset(each.lower().encode() for each in types or _CONTENT_TYPES)


def _gzip(library: Reader) -> GzipLibrary:
    _, config = typed(library, _GZIP, "compressor library")
    if config is None:
        return GzipLibrary()
    level = config.enum_number("compression_level")
    return GzipLibrary(
        level=level or -1,
        memory_level=config.number("memory_level", 5),
        window_bits=config.number("window_bits", 12),
        strategy=config.enum_number("compression_strategy"),
    )
