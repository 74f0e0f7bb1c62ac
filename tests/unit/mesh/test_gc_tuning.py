"""The garbage collector stands still while configuration is read, and only then."""

from __future__ import annotations

import gc

import pytest

from mesh.gc_tuning import SELDOM, keep, uncollected


def test_the_collector_is_on_again_afterwards() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        assert not gc.isenabled()
        1 / 0  # noqa: B018
    assert gc.isenabled()


def test_blocks_within_each_other() -> None:
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_is_kept_is_not_looked_at_again() -> None:
    before, often = gc.get_freeze_count(), gc.get_threshold()
    keep()
    try:
        assert gc.get_freeze_count() > before
        assert gc.get_threshold() == (SELDOM, *often[1:])
    finally:
        gc.unfreeze()
        gc.set_threshold(*often)
