"""What compressor and decompressor are configured with (see `sidecar.config.model`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GzipLibrary:
    """zlib's parameters."""

    level: int = -1
    memory_level: int = 5
    window_bits: int = 12
    strategy: int = 0


@dataclass(frozen=True, slots=True)
class Compressor:
    """envoy.filters.http.compressor: what is compressed of responses. `content_types` are in lower case;
    `has_response_direction` says how the configuration was written, by which Envoy names its counters."""

    library_name: str
    library: GzipLibrary = GzipLibrary()
    enabled: bool = True
    min_length: int = 30
    content_types: frozenset[bytes] = frozenset()
    etag_disables: bool = False
    removes_accept_encoding: bool = False
    uncompressible_codes: frozenset[int] = frozenset()
    choose_first: bool = False
    has_response_direction: bool = False
    request_min_length: int | None = None  # None: requests are not compressed
    request_content_types: frozenset[bytes] = frozenset()

    def wants(self, content_type: bytes) -> bool:
        """Whether bodies of this type are to be compressed; a response that names none may be of any."""
        return not content_type or content_type in self.content_types


@dataclass(frozen=True, slots=True)
class CompressorRoute:
    """What a route changes about it; None where it changes nothing."""

    enabled: bool | None = None
    removes_accept_encoding: bool | None = None
    library: GzipLibrary | None = None


@dataclass(frozen=True, slots=True)
class Decompressed:
    """Which bodies of one direction are decompressed."""

    enabled: bool = True
    ignores_no_transform: bool = False


@dataclass(frozen=True, slots=True)
class Decompressor:
    """envoy.filters.http.decompressor with zlib's parameters. `advertises`: upstreams are told that gzip is accepted."""

    library_name: str
    window_bits: int = 15
    max_inflate_ratio: int = 100
    request: Decompressed = Decompressed()
    response: Decompressed = Decompressed()
    advertises: bool = True
