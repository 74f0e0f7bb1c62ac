from __future__ import annotations

from types import SimpleNamespace

import pytest

from sidecar.config.model import AppendAction, HeaderAdd, HeaderOps
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.router.header_ops import compile_ops

BEFORE: Headers = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


def after(*levels: HeaderOps) -> Headers:
    exchange, headers = Exchange(SimpleNamespace(), b"GET", b"/path", [], 0.0), list(BEFORE)
    for mutate in compile_ops(levels):
        mutate(exchange, headers)
    return headers


@pytest.mark.parametrize(
    ("add", "wanted"),
    [
        (HeaderAdd(b"a", "4"), [*BEFORE, (b"a", b"4")]),
        (HeaderAdd(b"a", "4", AppendAction.OVERWRITE), [(b"a", b"4"), (b"b", b"2")]),
        (HeaderAdd(b"c", "4", AppendAction.OVERWRITE), [*BEFORE, (b"c", b"4")]),
        (HeaderAdd(b"a", "4", AppendAction.ADD_IF_ABSENT), BEFORE),
        (HeaderAdd(b"c", "4", AppendAction.ADD_IF_ABSENT), [*BEFORE, (b"c", b"4")]),
        (HeaderAdd(b"b", "4", AppendAction.OVERWRITE_IF_EXISTS), [(b"a", b"1"), (b"b", b"4"), (b"a", b"3")]),
        (HeaderAdd(b"c", "4", AppendAction.OVERWRITE_IF_EXISTS), BEFORE),
        (HeaderAdd(b"c", ""), BEFORE),
        (HeaderAdd(b"c", "", keep_empty=True), [*BEFORE, (b"c", b"")]),
        (HeaderAdd(b"c", "%REQ(:METHOD)% 100%%"), [*BEFORE, (b"c", b"GET 100%")]),
    ],
)
def test_additions(add: HeaderAdd, wanted: Headers) -> None:
    assert after(HeaderOps(add=(add,))) == wanted


def test_what_is_removed_may_be_added_again_and_levels_go_in_order() -> None:
    first = HeaderOps(add=(HeaderAdd(b"a", "new"),), remove=(b"a",))
    second = HeaderOps(remove=(b"b", b"nothing"))
    assert after(first, second) == [(b"a", b"new")]


def test_the_host_is_the_authority() -> None:
    exchange = Exchange(SimpleNamespace(), b"GET", b"/", [], 0.0)
    headers: Headers = []
    for mutate in compile_ops([HeaderOps(add=(HeaderAdd(b"host", "other", AppendAction.OVERWRITE),))]):
        mutate(exchange, headers)
    assert (exchange.authority, headers) == (b"other", [])
