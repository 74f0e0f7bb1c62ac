"""Traffic for simulations: made up, or drawn from what an experiment has counted."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.experiments.traffic import Recorded, Traffic, Version, random_source

SIDE = {"requests": 200.0, "failures": 10.0, "bounds": [10, 100, 1000], "shares": [0.25, 0.75, 0.95]}


def test_recorded_traffic_is_as_it_was_counted() -> None:
    recorded = Recorded.of(SIDE)
    assert recorded.error == 0.05
    assert recorded.shares() == pytest.approx([0.25, 0.5, 0.2, 0.05])
    drawn = Traffic(recorded, random_source(1)).draw(100_000)
    assert drawn.failures / drawn.requests == pytest.approx(0.05, abs=0.005)
    shares = [count / drawn.latencies.total for count in drawn.latencies.counts]
    assert shares == pytest.approx([0.25, 0.75, 0.95], abs=0.01)


@pytest.mark.parametrize(
    "change",
    [{"requests": 0.0}, {"bounds": []}, {"bounds": [10]}, {"shares": [0.5, 0.2, 0.9]}, {"shares": ["x", "y", "z"]}],
)
def test_what_is_no_record(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Recorded.of({**SIDE, **change})


def test_made_up_shares_are_whole() -> None:
    assert sum(Version().shares()) == pytest.approx(1.0)
