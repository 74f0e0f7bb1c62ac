"""How services, edges and workloads do, from the metrics of all proxies: the questions behind `mesh stat`, `mesh edges` and
`mesh metrics`, as PromQL over samples in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mesh.promql.evaluate import query
from mesh.promql.parse import parse
from mesh.promql.series import Labels, Store

REQUESTS: Final = "istio_requests_total"
BUCKETS: Final = "istio_request_duration_milliseconds_bucket"
WANTED: Final = frozenset((REQUESTS, BUCKETS))


@dataclass(frozen=True, slots=True)
class Row:
    """Of one combination of labels: requests per second, the share that succeeded, and quantiles in milliseconds. What
    cannot be said without requests is None."""

    labels: Mapping[str, str]
    rate: float
    success: float | None
    p50: float | None
    p95: float | None
    p99: float | None


def rows(store: Store, at: float, where: str, by: tuple[str, ...], window: int) -> list[Row]:
    """A row for each combination of the labels `by`, those with most requests first."""
    group = ", ".join(by)
    rates = query(f"sum by ({group}) (rate({REQUESTS}{{{where}}}[{window}s]))", store, at)
    bad = query(f'sum by ({group}) (rate({REQUESTS}{{{where}, response_code=~"5..|0"}}[{window}s]))', store, at)
    quantiles = {
        q: query(f"histogram_quantile({q}, sum by ({group}, le) (rate({BUCKETS}{{{where}}}[{window}s])))", store, at)
        for q in (0.5, 0.95, 0.99)
    }

    def row(labels: Labels, rate: float) -> Row:
        success = 1 - bad.get(labels, 0.0) / rate if rate else None
        return Row(dict(labels), rate, success, *(_known(found.get(labels)) for found in quantiles.values()))

    return sorted((row(labels, rate) for labels, rate in rates.items()), key=lambda each: -each.rate)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def check(where: str) -> None:
    """Raises PromqlError for conditions on labels that are none."""
    parse(f"{REQUESTS}{{{where}}}")
