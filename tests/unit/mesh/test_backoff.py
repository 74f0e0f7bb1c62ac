from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mesh.backoff import Backoff


class _Highest(random.Random):
    def random(self) -> float:
        return 1.0


def test_the_ceiling_doubles_up_to_the_maximum_and_starts_again() -> None:
    backoff = Backoff(0.5, 3.0, _Highest())
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5


@given(st.integers(), st.integers(1, 20))
def test_waits_stay_below_the_maximum(seed: int, count: int) -> None:
    backoff = Backoff(0.1, 2.0, random.Random(seed))
    assert all(0 <= backoff.next() <= 2.0 for _ in range(count))
