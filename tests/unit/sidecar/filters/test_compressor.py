"""Who gets gzip, and what of."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.compression_model import Compressor, CompressorRoute, GzipLibrary
from sidecar.filters import Encode
from sidecar.filters.bodies import BodyChange
from sidecar.filters.compressor import Choice, CompressorFilter, Gzip, choose
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.telemetry.cells import Counter
from tests.unit.sidecar.filters.support import Bench, answered, asked, exchange

PLAIN = Compressor("lib", content_types=frozenset((b"text/plain",)))


@pytest.mark.parametrize(
    ("accept", "choice"),
    [
        (b"gzip", Choice.COMPRESSOR),
        (b"*", Choice.WILDCARD),
        (b"br, gzip;q=0.5", Choice.COMPRESSOR),
        (b"gzip;q=0.5, identity;q=0.6", Choice.IDENTITY),
        (b"identity, gzip", Choice.IDENTITY),
        (b"gzip;q=0, *", Choice.NOT_VALID),
        (b"gzip;q=x", Choice.NOT_VALID),
        (b"", Choice.NOT_VALID),
        (b"br", Choice.NOT_VALID),
    ],
)
def test_what_is_chosen(accept: bytes, choice: Choice) -> None:
    assert choose(accept, allowed=True, first=False) is choice
    assert choose(accept, allowed=False, first=False) is Choice.NOT_VALID


def test_gzip_may_be_preferred_to_what_weighs_as_much() -> None:
    assert choose(b"identity, gzip", allowed=True, first=True) is Choice.COMPRESSOR
    assert choose(b"identity, gzip;q=0.9", allowed=True, first=True) is Choice.IDENTITY


@given(st.binary(max_size=40))
def test_whatever_a_client_says_there_is_a_choice(accept: bytes) -> None:
    choose(accept, allowed=True, first=True)


@given(
    st.lists(st.binary(max_size=300), max_size=6),
    st.sampled_from([GzipLibrary(), GzipLibrary(9, 9, 15, 2), GzipLibrary(1, 1, 9, 4)]),
)
def test_what_is_compressed_can_be_read(pieces: list[bytes], library: GzipLibrary) -> None:
    before, after = Counter(), Counter()
    change = Gzip(library, before, after)
    out = b"".join(change.feed(piece, False) for piece in pieces) + change.feed(b"", True)
    assert gzip.decompress(out) == b"".join(pieces)
    assert (before.value, after.value) == (sum(map(len, pieces)), len(out))


def respond(
    config: Compressor, headers: Headers, *overrides: CompressorRoute, accept: bytes | None = b"gzip", **more: Any
) -> tuple[Bench, BodyChange | None]:
    """What becomes of a response with these headers, and its change."""
    bench = Bench()
    steps = bench.steps(CompressorFilter, config, *overrides)
    made: Exchange = exchange([(b"accept-encoding", accept)] if accept is not None else [])
    assert asked(steps, made) is None
    made.status = more.get("status", 200)
    headers[:] = answered(steps, made, headers)
    changes = [step(made, headers, more.get("present", True)) for step in steps.body]
    return bench, changes[0] if changes else None


def sized(*more: tuple[bytes, bytes], size: int = 100) -> Headers:
    return [(b"content-type", b"text/plain; charset=x"), (b"content-length", b"%d" % size), *more]


def count(bench: Bench, name: str) -> int:
    return bench.count(f"http.test.compressor.lib.gzip.{name}")


def test_a_response_is_compressed() -> None:
    headers = sized((b"etag", b'"x"'), (b"vary", b"Cookie"))
    bench, change = respond(PLAIN, headers)
    assert isinstance(change, Gzip)
    assert headers == [
        (b"content-type", b"text/plain; charset=x"),
        (b"vary", b"Cookie, Accept-Encoding"),
        (b"content-encoding", b"gzip"),
    ]
    assert [count(bench, name) for name in ("compressed", "header_compressor_used", "request.not_compressed")] == [
        1
    ] * 3


@pytest.mark.parametrize(
    ("headers", "more", "counter", "varies"),
    [
        (sized(), {"accept": None}, "no_accept_header", True),
        (sized(), {"accept": b"br"}, "header_not_valid", True),
        (sized(), {"present": False}, "not_compressed", True),
        (sized(), {"status": 206}, "not_compressed", False),
        (sized(size=29), {}, "content_length_too_small", False),
        (sized((b"content-encoding", b"br")), {}, "not_compressed", False),
        (sized((b"cache-control", b"a, no-transform")), {}, "not_compressed", False),
        (sized((b"etag", b"W/x")), {}, "not_compressed_etag", False),
        ([(b"content-type", b"image/png")], {}, "not_compressed", False),
    ],
)
def test_what_is_not(headers: Headers, more: dict[str, Any], counter: str, varies: bool) -> None:
    config = Compressor(
        "lib", content_types=PLAIN.content_types, etag_disables=True, uncompressible_codes=frozenset((206,))
    )
    headers = list(headers)
    bench, change = respond(config, headers, **more)
    assert change is None
    assert count(bench, counter) == count(bench, "not_compressed") == 1
    assert ((b"vary", b"Accept-Encoding") in headers) == varies


def test_routes_disable_and_enable() -> None:
    headers = sized()
    bench, change = respond(PLAIN, headers, CompressorRoute(enabled=False))
    assert (change, headers, count(bench, "not_compressed")) == (None, sized(), 1)
    disabled = Compressor("lib", enabled=False, content_types=PLAIN.content_types, has_response_direction=True)
    bench, change = respond(disabled, sized(), CompressorRoute(enabled=True))
    assert change is not None
    assert count(bench, "response.compressed") == 1


def test_accept_encoding_is_kept_from_the_upstream() -> None:
    steps = Bench().steps(CompressorFilter, PLAIN, CompressorRoute(removes_accept_encoding=True))
    made = exchange([(b"accept-encoding", b"gzip"), (b"accept-encoding", b"br")])
    asked(steps, made)
    assert made.headers == []
    steps = Bench().steps(CompressorFilter, PLAIN)
    made = exchange([(b"accept-encoding", b"gzip"), (b"accept-encoding", b"br")])
    asked(steps, made)
    assert made.headers == [(b"accept-encoding", b"gzip,br")]


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────

UP = Compressor("lib", request_min_length=30, request_content_types=frozenset((b"a/b",)))


@pytest.mark.parametrize(
    ("config", "headers", "hop_headers", "compresses"),
    [
        (UP, [(b"content-type", b"A/b")], {b"content-length": b"30"}, True),
        (UP, [], {b"transfer-encoding": b"chunked"}, True),
        (UP, [], {b"content-length": b"29"}, False),
        (UP, [], {b"content-length": b"0"}, False),
        (UP, [], {}, False),
        (UP, [(b"content-type", b"a/c")], {b"content-length": b"30"}, False),
        (UP, [(b"content-encoding", b"br")], {b"content-length": b"30"}, False),
        (UP, [], {b"content-length": b"30", b"upgrade": b"x"}, False),
        (PLAIN, [], {b"content-length": b"30"}, False),
    ],
)
def test_requests(config: Compressor, headers: Headers, hop_headers: dict[bytes, bytes], compresses: bool) -> None:
    bench, made = Bench(), exchange(headers)
    made.hop_headers = hop_headers
    decision = asked(bench.steps(CompressorFilter, config), made)
    assert isinstance(decision, Encode) == compresses
    assert ((b"content-encoding", b"gzip") in made.headers) == compresses
    assert count(bench, "request.compressed" if compresses else "request.not_compressed") == 1
