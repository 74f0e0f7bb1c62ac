"""envoy.filters.http.compressor: gzip for the bodies that are worth it, and of responses for the clients that take it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from envoy.extensions.compression.gzip.compressor.v3 import gzip_pb2

from sidecar.config.common import named
from sidecar.config.compression_model import Compressor, CompressorRoute, GzipLibrary
from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import Decision, Encode, FilterContext, FilterType, Step, Steps
from sidecar.filters.bodies import BodyChange, request_has_body
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, drop, get, joined, put
from sidecar.telemetry.cells import Counter

GZIP: Final = b"gzip"
_GZIP_WRAPPER: Final = 16  # zlib's window bits with a gzip header around the data
_NUMBER: Final = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_VARY: Final = b"Accept-Encoding"


class Choice(Enum):
    """Which encoding a client gets, and by what word of its accept-encoding; Envoy counts each."""

    NOT_VALID = "header_not_valid"
    IDENTITY = "header_identity"
    WILDCARD = "header_wildcard"
    COMPRESSOR = "header_compressor_used"


def choose(accept: bytes, *, allowed: bool, first: bool) -> Choice:
    """What an accept-encoding asks for where gzip is all there is, if it is `allowed`; `first` prefers it to what has the
    same weight and stands before it."""
    pairs: list[tuple[bytes, float]] = []
    for token in accept.split(b","):
        name, has_parameter, parameter = token.partition(b";")
        key, equals, value = parameter.partition(b"=")
        weight = 1.0
        if has_parameter and equals and key.strip().lower() == b"q":
            if _NUMBER.fullmatch(value.strip()) is None:
                continue
            weight = float(value)
        if token:
            pairs.append((name.strip(), weight))
    if not allowed or not pairs or any(name == GZIP and not weight for name, weight in pairs):
        return Choice.NOT_VALID
    chosen, best = Choice.NOT_VALID, 0.0
    for name, weight in pairs:
        choice = _CHOICES.get(name)
        if choice is not None and (weight > best or (weight == best and first and choice is Choice.COMPRESSOR)):
            chosen, best = choice, weight
    return chosen if best else Choice.NOT_VALID


_CHOICES: Final = {GZIP: Choice.COMPRESSOR, b"identity": Choice.IDENTITY, b"*": Choice.WILDCARD}


class Gzip(BodyChange):
    """Compresses; every piece goes on at once."""

    __slots__ = ("_after", "_before", "_deflate")

    def __init__(self, library: GzipLibrary, before: Counter, after: Counter) -> None:
        wrapped = library.window_bits | _GZIP_WRAPPER
        self._deflate = zlib.compressobj(library.level, zlib.DEFLATED, wrapped, library.memory_level, library.strategy)
        self._before = before
        self._after = after

    def feed(self, data: bytes, end: bool) -> bytes:
        compressed = self._deflate.compress(data) + self._deflate.flush(zlib.Z_FINISH if end else zlib.Z_SYNC_FLUSH)
        self._before.value += len(data)
        self._after.value += len(compressed)
        return compressed


def forbids_transformation(headers: Headers) -> bool:
    """Whether cache-control says no-transform."""
    value = joined(headers, b"cache-control")
    return value is not None and any(token.strip().lower() == b"no-transform" for token in value.split(b","))


class _Requests:
    """The way up, for those that are configured to compress on it."""

    def __init__(self, config: Compressor, prefix: str, context: FilterContext) -> None:
        self._config = config
        counter = context.registry.counter
        self._compressed = counter(prefix + "compressed")
        self._not_compressed = counter(prefix + "not_compressed")
        self._before = counter(prefix + "total_uncompressed_bytes")
        self._after = counter(prefix + "total_compressed_bytes")
        self._too_small = counter(prefix + "content_length_too_small")

    def decide(self, exchange: Exchange, library: GzipLibrary) -> Decision | None:
        if not self._compresses(exchange):
            self._not_compressed.value += 1
            return None
        self._compressed.value += 1
        put(exchange.headers, b"content-encoding", GZIP)
        return Encode(Gzip(library, self._before, self._after))

    def _compresses(self, exchange: Exchange) -> bool:
        least, headers, hop_headers = self._config.request_min_length, exchange.headers, exchange.hop_headers
        if least is None or b"upgrade" in hop_headers or not request_has_body(exchange):
            return False
        if int(hop_headers.get(b"content-length", least)) < least:
            self._too_small.value += 1
            return False
        kind = _media_type(headers)
        return (not kind or kind in self._config.request_content_types) and get(headers, b"content-encoding") is None


class CompressorFilter:
    """One connection manager's filter of one place in the chain."""

    def __init__(self, config: Compressor, context: FilterContext) -> None:
        self._config = config
        prefix = f"{context.stats.start}compressor.{config.library_name}.gzip."
        response = prefix + "response." * config.has_response_direction
        counter = context.registry.counter
        self._requests = _Requests(config, prefix + "request.", context)
        self._compressed = counter(response + "compressed")
        self._not_compressed = counter(response + "not_compressed")
        self._before = counter(response + "total_uncompressed_bytes")
        self._after = counter(response + "total_compressed_bytes")
        self._too_small = counter(response + "content_length_too_small")
        self._no_accept_header = counter(prefix + "no_accept_header")
        self._not_compressed_etag = counter(prefix + "not_compressed_etag")
        self._choices = {choice: counter(prefix + choice.value) for choice in Choice}

    def bind(self, overrides: Sequence[CompressorRoute], _route: Route | None) -> Steps:
        own, config = overrides[0] if overrides else CompressorRoute(), self._config
        removes = config.removes_accept_encoding if own.removes_accept_encoding is None else own.removes_accept_encoding
        library = own.library or config.library
        if not (config.enabled if own.enabled is None else own.enabled):
            return Steps((self._request_step(library, removes=False),), (self._pass,))

        def body(exchange: Exchange, headers: Headers, present: bool) -> BodyChange | None:
            return self._respond(exchange, headers, present, library)

        return Steps((self._request_step(library, removes=removes),), body=(body,))

    def _request_step(self, library: GzipLibrary, *, removes: bool) -> Step:
        def step(exchange: Exchange) -> Decision | None:
            accept = joined(exchange.headers, b"accept-encoding")
            exchange.keep(self, accept)
            if accept is not None and b"," in accept:  # it may have been in several fields
                put(exchange.headers, b"accept-encoding", accept)
            if (chain := exchange.kept(CompressorFilter)) is None:
                exchange.keep(CompressorFilter, chain := [])
            chain.append(self._config)
            if removes:
                drop(exchange.headers, b"accept-encoding")
            return self._requests.decide(exchange, library)

        return step

    def _pass(self, _exchange: Exchange, _headers: Headers) -> None:
        self._not_compressed.value += 1

    def _respond(self, exchange: Exchange, headers: Headers, present: bool, library: GzipLibrary) -> BodyChange | None:
        large = self._is_large(headers)
        worth_it = large and self._is_worth_it(exchange.status, headers)
        compresses = present and large and self._is_accepted(exchange, headers) and worth_it
        if compresses:
            self._mark(headers)
            self._compressed.value += 1
        else:
            self._not_compressed.value += 1
        if worth_it:  # who caches it has to know that others may get it compressed
            _vary(headers)
        return Gzip(library, self._before, self._after) if compresses else None

    def _is_large(self, headers: Headers) -> bool:
        length = get(headers, b"content-length")
        if length is None or (length.isdigit() and int(length) >= self._config.min_length):
            return True
        self._too_small.value += 1
        return False

    def _is_worth_it(self, status: int, headers: Headers) -> bool:
        config = self._config
        if not config.wants(_media_type(headers)) or forbids_transformation(headers):
            return False
        if config.etag_disables and get(headers, b"etag") is not None:
            self._not_compressed_etag.value += 1
            return False
        return get(headers, b"content-encoding") is None and status not in config.uncompressible_codes

    def _is_accepted(self, exchange: Exchange, headers: Headers) -> bool:
        accept: bytes | None = exchange.kept(self)
        if accept is None:
            self._no_accept_header.value += 1
            return False
        choice: Choice | None = exchange.kept(Choice)
        if choice is None:  # the first compressor that is asked decides for all of the chain
            kind = _media_type(headers)
            chain = [config for config in exchange.kept(CompressorFilter) if config.wants(kind)]
            choice = choose(accept, allowed=bool(chain), first=bool(chain) and chain[0].choose_first)
            exchange.keep(Choice, choice)
        self._choices[choice].value += 1
        return choice in (Choice.COMPRESSOR, Choice.WILDCARD)

    def _mark(self, headers: Headers) -> None:
        etag = get(headers, b"etag")
        if etag is not None and etag[:2].lower() != b"w/":
            drop(headers, b"etag")  # a strong one is of these very bytes
        drop(headers, b"content-length")
        put(headers, b"content-encoding", GZIP)


def _media_type(headers: Headers) -> bytes:
    return (get(headers, b"content-type") or b"").partition(b";")[0].strip().lower()


def _vary(headers: Headers) -> None:
    before = joined(headers, b"vary")
    if before is None:
        headers.append((b"vary", _VARY))
    elif all(token.strip() != _VARY for token in before.split(b",")):
        put(headers, b"vary", before + b", " + _VARY)


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_GZIP: Final = {gzip_pb2.Gzip.DESCRIPTOR.full_name: None}
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
    name, gzip = _gzip(library) if library is not None else ("", GzipLibrary())
    response = reader.child("response_direction_config")
    direction, common, names = reader, reader if response is None else response.child("common_config"), _LEGACY
    if response is not None:
        for field in _INSTEAD:
            reader.refuse(field, "has no effect beside response_direction_config")
        response.only("status_header_enabled", False)
        direction, names = response, _COMMON
    return Compressor(
        library_name=name,
        library=gzip,
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
        library=_gzip(library)[1] if library is not None else None,
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


def _gzip(library: Reader) -> tuple[str, GzipLibrary]:
    """Its name, and what it does."""
    name, _, config = named(library, _GZIP, "compressor library")
    if config is None:
        return name, GzipLibrary()
    level = config.enum_number("compression_level")
    return name, GzipLibrary(
        level=level or -1,
        memory_level=config.number("memory_level", 5),
        window_bits=config.number("window_bits", 12),
        strategy=config.enum_number("compression_strategy"),
    )


FILTER: Final = FilterType(
    Compressor,
    CompressorFilter,
    compile,
    compile_route,
    route_type="envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
)
