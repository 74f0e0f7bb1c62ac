from __future__ import annotations

from mesh.promql.series import Store, labels_of
from mesh.promql.syntax import Selector

UP = labels_of("up", {"pod": "a"})


def test_a_series_that_a_scrape_no_longer_brings_has_ended() -> None:
    store = Store(keep=60)
    store.scraped("a", 0, [(UP, 1.0)])
    assert list(store.newest(Selector("up"), 1)) == [(UP, 1.0)]
    store.scraped("a", 5, [])
    assert list(store.newest(Selector("up"), 6)) == []


def test_old_samples_are_forgotten_and_their_place_is_free_again() -> None:
    store = Store(keep=60, most=1)
    store.scraped("a", 0, [(UP, 1.0)])
    other = labels_of("up", {"pod": "b"})
    store.scraped("b", 1, [(other, 1.0)])
    assert store.refused == 1
    store.forget(100)
    store.scraped("b", 101, [(other, 1.0)])
    assert list(store.newest(Selector("up"), 101)) == [(other, 1.0)]
    assert store.refused == 1
