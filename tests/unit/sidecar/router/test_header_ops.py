from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from sidecar.config.model import AppendAction, HeaderAdd, HeaderOps, RemoveMatching, StringMatch, StringMatcher
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.router.header_ops import Mutation, compile_mutations, compile_ops

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


def changed(mutations: Iterable[Mutation], *before: tuple[bytes, bytes]) -> Headers:
    exchange, headers = Exchange(SimpleNamespace(), b"GET", b"/path", [], 0.0), list(before)
    for mutate in mutations:
        mutate(exchange, headers)
    return headers


def test_within_a_level_it_is_removed_then_overwritten_then_added() -> None:
    added, over = HeaderAdd(b"a", "added"), HeaderAdd(b"a", "over", AppendAction.OVERWRITE)
    present = HeaderAdd(b"b", "present", AppendAction.OVERWRITE_IF_EXISTS)
    levels = [HeaderOps(add=(added, present, over), remove=(b"c",))]
    assert changed(compile_ops(levels), (b"b", b"1"), (b"c", b"2")) == [
        (b"b", b"present"),
        (b"a", b"over"),
        (b"a", b"added"),
    ]


def test_mutations_happen_in_the_order_written() -> None:
    parts = (
        HeaderAdd(b"a", "1"),
        b"a",
        HeaderAdd(b"x-b", "2"),
        RemoveMatching(StringMatcher(StringMatch.PREFIX, "x-")),
        HeaderAdd(b"x-c", "3"),
    )
    assert changed(compile_mutations(parts), (b"x-d", b"4"), (b"e", b"5")) == [(b"e", b"5"), (b"x-c", b"3")]


@pytest.mark.parametrize("name", [b"host", b":authority"])
@pytest.mark.parametrize("action", [AppendAction.APPEND, AppendAction.OVERWRITE])
def test_both_names_of_the_host_set_it(name: bytes, action: AppendAction) -> None:
    exchange = Exchange(SimpleNamespace(), b"GET", b"/", [], 0.0)
    for mutate in compile_ops([HeaderOps(add=(HeaderAdd(name, "%REQ(:METHOD)%.test", action),))]):
        mutate(exchange, exchange.headers)
    assert (exchange.authority, exchange.headers) == (b"GET.test", [])


@pytest.mark.parametrize("action", list(AppendAction))
def test_a_value_that_comes_out_empty_changes_nothing_unless_it_is_kept(action: AppendAction) -> None:
    def with_value(value: str, keep: bool) -> Headers:
        return changed(compile_ops([HeaderOps(add=(HeaderAdd(b"a", value, action, keep_empty=keep),))]), (b"b", b"1"))

    assert with_value("", False) == [(b"b", b"1")]
    added = action is not AppendAction.OVERWRITE_IF_EXISTS
    assert with_value("", True) == [(b"b", b"1"), *([(b"a", b"")] if added else [])]
