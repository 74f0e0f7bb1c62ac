"""The compressor's configuration: in its old fields, by direction, on routes."""

from __future__ import annotations

from typing import Any

from sidecar.config.compression_model import Compressor, CompressorRoute, GzipLibrary
from tests.unit.sidecar.config.build import T, hcm_of, parts, problems, route_of

HTTP = T + "envoy.extensions.filters.http.compressor.v3."
GZIP = T + "envoy.extensions.compression.gzip.compressor.v3.Gzip"
BROTLI = T + "envoy.extensions.compression.brotli.compressor.v3.Brotli"
OFF = {"enabled": {"default_value": False, "runtime_key": "x"}}


def library(kind: str = GZIP, **fields: Any) -> dict[str, Any]:
    return {"name": "lib", "typed_config": {"@type": kind, **fields}}


def chained(**config: Any) -> Any:
    given = parts()
    typed = {"@type": HTTP + "Compressor", "compressor_library": library(), **config}
    given.hcm["http_filters"].insert(0, {"name": "f", "typed_config": typed})
    return given


def compiled(**config: Any) -> Compressor:
    found: Compressor = hcm_of(chained(**config)).filters[0].config
    return found


def routed(**config: Any) -> Any:
    given = parts()
    given.route["typed_per_filter_config"] = {"f": {"@type": HTTP + "CompressorPerRoute", **config}}
    return route_of(given).filters["f"]


def test_defaults() -> None:
    found = compiled()
    assert (found.library_name, found.library, found.min_length) == ("lib", GzipLibrary(), 30)
    assert found.enabled
    assert found.wants(b"text/html")
    assert found.wants(b"")
    assert not found.wants(b"image/png")


def test_the_older_fields_and_those_by_direction() -> None:
    old = compiled(
        content_length=7,
        content_type=["A/b"],
        disable_on_etag_header=True,
        remove_accept_encoding_header=True,
        runtime_enabled={"default_value": False, "runtime_key": "x"},
        choose_first=True,
    )
    common = {"min_content_length": 7, "content_type": ["A/b"], **OFF}
    response = {"common_config": common, "disable_on_etag_header": True, "remove_accept_encoding_header": True}
    new = compiled(
        response_direction_config={**response, "uncompressible_response_codes": [206]},
        request_direction_config={"common_config": OFF},
        choose_first=True,
    )
    same = ("lib", GzipLibrary(), False, 7, frozenset((b"a/b",)), True, True)
    assert old == Compressor(*same, choose_first=True)
    assert new == Compressor(*same, frozenset((206,)), choose_first=True, has_response_direction=True)


def test_requests() -> None:
    assert compiled().request_min_length is None
    common = {"min_content_length": 7, "content_type": ["A/b"]}
    assert compiled(request_direction_config={"common_config": {**common, **OFF}}) == compiled()
    found = compiled(request_direction_config={"common_config": common})
    assert (found.request_min_length, found.request_content_types) == (7, frozenset((b"a/b",)))
    found = compiled(request_direction_config={})
    assert (found.request_min_length, found.request_content_types) == (30, found.content_types)


def test_the_library() -> None:
    found = compiled(
        compressor_library=library(
            memory_level=9, window_bits=15, compression_level="BEST_COMPRESSION", compression_strategy="FIXED"
        )
    )
    assert found.library == GzipLibrary(9, 9, 15, 4)


def test_what_is_refused() -> None:
    path = "typed_config: envoy.extensions.compression.brotli.compressor.v3.Brotli is not an"
    [found] = problems(chained(compressor_library=library(BROTLI)))
    assert found.startswith(path)
    [found] = problems(chained(response_direction_config={"status_header_enabled": True}))
    assert found.startswith("status_header_enabled: ")
    [found] = problems(chained(response_direction_config={}, content_length=5))
    assert found == "content_length: has no effect beside response_direction_config"


def test_routes() -> None:
    assert routed(disabled=True) == CompressorRoute(enabled=False)
    assert routed(overrides={"response_direction_config": {}}) == CompressorRoute(enabled=True)
    removes = {"response_direction_config": {"remove_accept_encoding_header": False}}
    assert routed(overrides=removes) == CompressorRoute(enabled=True, removes_accept_encoding=False)
    assert routed(overrides={"compressor_library": library(window_bits=9)}) == CompressorRoute(
        library=GzipLibrary(window_bits=9)
    )
