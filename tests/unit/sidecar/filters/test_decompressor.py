"""Gzip taken off bodies, whatever is in them."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.compression_model import Decompressed, Decompressor
from sidecar.filters import Encode
from sidecar.filters.bodies import BodyChange
from sidecar.filters.decompressor import DecompressorFilter, advertised
from sidecar.http.headers import Headers
from tests.unit.sidecar.filters.support import Bench, asked, exchange

CONFIG = Decompressor("lib")
CODED: Headers = [(b"content-encoding", b"gzip"), (b"content-length", b"9")]


def respond(headers: Headers, config: Decompressor = CONFIG, bench: Bench | None = None) -> BodyChange | None:
    (step,) = (bench or Bench()).steps(DecompressorFilter, config).body
    return step(exchange(), headers, True)


def change(config: Decompressor = CONFIG, bench: Bench | None = None) -> BodyChange:
    found = respond(list(CODED), config, bench)
    assert found is not None
    return found


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_it_is_what_was_compressed_however_it_comes(plain: bytes, size: int) -> None:
    data, one = gzip.compress(plain), change(Decompressor("lib", max_inflate_ratio=2000))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(one.feed(piece, False) for piece in pieces) + one.feed(b"", True) == plain
    assert list(one.trailers()) == [
        (b"x-envoy-decompressor-lib-compressed-bytes", b"%d" % len(data)),
        (b"x-envoy-decompressor-lib-uncompressed-bytes", b"%d" % len(plain)),
    ]


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_what_is_no_gzip_is_lost_and_breaks_nothing(pieces: list[bytes]) -> None:
    one = change()
    for piece in pieces:
        one.feed(piece, False)
    one.feed(b"", True)


def test_what_grows_too_much_is_cut() -> None:
    bench = Bench()
    one = change(bench=bench)
    data = gzip.compress(b"x" * 10_000_000)
    assert len(one.feed(data, False)) <= 100 * len(data)
    assert one.feed(data, True) == b""
    assert bench.count("http.test.decompressor.lib.gzip.decompressor_library.zlib_data_error") == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (CODED, []),
        ([(b"content-encoding", b"GZIP , br")], [(b"content-encoding", b"br")]),
        ([(b"content-encoding", b"br, gzip")], None),
        ([(b"content-length", b"9")], None),
        ([*CODED, (b"cache-control", b"no-transform")], None),
    ],
)
def test_what_the_headers_say_then(before: Headers, after: Headers | None) -> None:
    headers = list(before)
    found = respond(headers)
    assert (found is not None) == (after is not None)
    assert headers == (before if after is None else after)


def test_no_transform_may_be_ignored_and_a_direction_disabled() -> None:
    headers = [*CODED, (b"cache-control", b"no-transform")]
    assert respond(headers, Decompressor("lib", response=Decompressed(ignores_no_transform=True))) is not None
    assert respond(list(CODED), Decompressor("lib", response=Decompressed(enabled=False))) is None


def test_requests() -> None:
    steps = Bench().steps(DecompressorFilter, CONFIG)
    made = exchange([(b"content-encoding", b"gzip")])
    made.hop_headers = {b"content-length": b"9"}
    assert isinstance(asked(steps, made), Encode)
    assert made.headers == [(b"accept-encoding", b"gzip")]
    assert asked(steps, exchange([(b"content-encoding", b"gzip")])) is None  # it has no body
    quiet = Bench().steps(DecompressorFilter, Decompressor("lib", advertises=False))
    made = exchange()
    assert asked(quiet, made) is None
    assert made.headers == []


@pytest.mark.parametrize(
    ("accept", "said"),
    [(b"", b"gzip"), (b"br", b"br,gzip"), (b"gzip;q=0.1, br;q=0.2,,", b"br;q=0.2,gzip"), (b"gzip", b"gzip")],
)
def test_what_is_advertised(accept: bytes, said: bytes) -> None:
    assert advertised(accept) == said
