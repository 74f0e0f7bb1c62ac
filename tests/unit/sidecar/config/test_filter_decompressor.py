"""The decompressor's configuration."""

from __future__ import annotations

from typing import Any

from sidecar.config.compression_model import Decompressed, Decompressor
from tests.unit.sidecar.config.build import T, hcm_of, parts, problems

KIND = T + "envoy.extensions.filters.http.decompressor.v3.Decompressor"
GZIP = T + "envoy.extensions.compression.gzip.decompressor.v3.Gzip"
ZSTD = T + "envoy.extensions.compression.zstd.decompressor.v3.Zstd"


def chained(kind: str = GZIP, library: Any = (), **config: Any) -> Any:
    given = parts()
    typed = {"name": "lib", "typed_config": {"@type": kind, **dict(library)}}
    whole = {"@type": KIND, "decompressor_library": typed, **config}
    given.hcm["http_filters"].insert(0, {"name": "f", "typed_config": whole})
    return given


def compiled(**config: Any) -> Decompressor:
    found: Decompressor = hcm_of(chained(**config)).filters[0].config
    return found


def test_defaults() -> None:
    assert compiled() == Decompressor("lib")


def test_all_its_fields() -> None:
    off = {"enabled": {"default_value": False, "runtime_key": "x"}}
    found = compiled(
        library={"window_bits": 9, "max_inflate_ratio": 7},
        request_direction_config={"common_config": off, "advertise_accept_encoding": False},
        response_direction_config={"common_config": {"ignore_no_transform_header": True}},
    )
    assert found == Decompressor(
        "lib", 9, 7, Decompressed(enabled=False), Decompressed(ignores_no_transform=True), False
    )


def test_another_library_is_refused() -> None:
    [found] = problems(chained(ZSTD))
    assert found.startswith(
        "typed_config: envoy.extensions.compression.zstd.decompressor.v3.Zstd is not an implemented"
    )
