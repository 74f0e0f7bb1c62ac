"""Bodies through the changes of several filters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.filters.bodies import BodyChange, BodyChanges, ResponseBody, as_response_step, at_end, ended
from sidecar.http.headers import Headers
from tests.unit.sidecar.filters.support import exchange


class Upper(BodyChange):
    def feed(self, data: bytes, end: bool) -> bytes:
        return data.upper() + (b"." if end else b"")

    def trailers(self) -> Headers:
        return [(b"a", b"b")]


class Drop(BodyChange):
    """Passes on a byte at a time."""

    interval = 2.0

    def __init__(self) -> None:
        self._kept = b""

    @property
    def held(self) -> int:
        return len(self._kept)

    def feed(self, data: bytes, end: bool) -> bytes:
        self._kept += data
        return b""

    def release(self) -> bytes:
        released, self._kept = self._kept[:1], self._kept[1:]
        return released


def test_without_changes_a_body_passes() -> None:
    changes = BodyChanges([])
    assert changes.feed(b"a", False) == (b"a", False)
    assert changes.feed(b"", True) == (b"", True)
    assert changes.held == 0


def test_the_end_comes_when_nothing_is_held_any_more() -> None:
    changes = BodyChanges([Drop(), Upper()])
    assert changes.feed(b"ab", False) == (b"", False)
    assert changes.interval == 2.0
    assert changes.release() == (b"A", False)
    assert changes.feed(b"c", True) == (b"", False)
    assert changes.held == 2
    assert changes.release() == (b"B", False)
    assert changes.release() == (b"C.", True)
    assert changes.trailers() == [(b"a", b"b")]


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(0, 3))
def test_whatever_holds_it_back_all_of_it_passes_once_and_ends_once(pieces: list[bytes], drops: int) -> None:
    changes = BodyChanges([*(Drop() for _ in range(drops)), Upper(), *(Drop() for _ in range(drops))])
    out, ends = b"", 0
    for piece, end in [*((piece, False) for piece in pieces), (b"", True)]:
        data, over = changes.feed(piece, end)
        out, ends = out + data, ends + over
    while changes.held:
        assert not ends
        data, over = changes.release()
        out, ends = out + data, ends + over
    assert (out, ends) == (b"".join(pieces).upper() + b".", 1)


def test_a_step_is_asked_only_where_bodies_are_changed() -> None:
    asked: list[bool] = []

    def step(_exchange: object, _headers: object, present: bool) -> BodyChange | None:
        asked.append(present)
        return Upper() if present else None

    made = exchange()
    as_response_step(step)(made, [])
    assert not asked
    for present in (True, False):
        body = ResponseBody(present)
        made.keep(ResponseBody, body)
        as_response_step(step)(made, [])
        assert len(body.changes) == present
    assert asked == [True, False]


def test_what_is_done_at_the_end() -> None:
    made, done = exchange(), []
    ended(made)
    at_end(made, lambda: done.append(1))
    at_end(made, lambda: done.append(2))
    ended(made)
    assert done == [1, 2]


class Taker(BodyChange):
    """Takes the trailers into the body."""

    holds_head = True

    def __init__(self) -> None:
        self._end = b""

    def take_trailers(self, trailers: Headers) -> None:
        self._end = b"".join(name for name, _ in trailers)
        trailers.clear()

    def feed(self, data: bytes, end: bool) -> bytes:
        return data + (self._end if end else b"")


def test_trailers_that_become_body_pass_through_the_changes_after() -> None:
    changes = BodyChanges([Taker(), Upper()])
    left = [(b"a", b"1"), (b"b", b"2")]
    assert changes.hold_head
    assert changes.feed(b"x", False) == (b"X", False)
    changes.take_trailers(left)
    assert left == []
    assert changes.feed(b"", True) == (b"AB.", True)
    assert not BodyChanges([Upper()]).hold_head
