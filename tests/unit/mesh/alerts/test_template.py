from __future__ import annotations

import pytest

from mesh.alerts.template import Template


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ $labels.pod }} at {{$value}}", "a at 0.25"),
        ("{{ $value | humanizePercentage }}{{ $labels.nothing }}", "25%"),
        ("{{ $value | humanize }}", "0.25"),
        ("{{ $value | humanizeDuration }}", "250ms"),
        ("none", "none"),
    ],
)
def test_labels_and_values_are_filled_in(text: str, expected: str) -> None:
    assert Template(text).expand({"pod": "a"}, 0.25) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0s"), (12.5, "12.5s"), (90, "1m 30s"), (3700, "1h 1m 40s"), (90000, "1d 1h 0m 0s")]
)
def test_durations_are_written_as_prometheus_writes_them(value: float, expected: str) -> None:
    assert Template("{{ $value | humanizeDuration }}").expand({}, value) == expected
