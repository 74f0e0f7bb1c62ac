from __future__ import annotations

import math
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.promql.evaluate import query
from mesh.promql.series import METRIC, Labels, Sample, Store, labels_of
from tests.harness.prometheus import Prometheus, binary, serving

BEGAN = 1_700_000_000.0
STEP = 5.0
SCRAPES = 60
BOUNDS = ("1", "5", "25", "100", "+Inf")
ENDS = BEGAN + STEP * (SCRAPES - 1)

QUERIES = (
    "requests_total",
    'requests_total{code="200"}',
    'requests_total{code!="200", service=~"re.*"}',
    '{__name__=~"up|limit"}',
    "rate(requests_total[1m])",
    "increase(requests_total[30s])",
    "irate(requests_total[1m])",
    "delta(connections[1m])",
    "sum(rate(requests_total[1m]))",
    "sum by (service) (rate(requests_total[1m]))",
    "sum(rate(requests_total[1m])) by (service)",
    "sum without (code, pod) (rate(requests_total[1m]))",
    "max by (service) (connections) - min by (service) (connections)",
    "avg(connections) * 2 + 1",
    "count by (code) (requests_total)",
    "quantile(0.5, connections)",
    "topk(2, sum by (service) (requests_total))",
    "bottomk by (service) (1, connections)",
    "histogram_quantile(0.99, sum by (service, le) (rate(duration_bucket[1m])))",
    "histogram_quantile(0.5, sum by (le) (rate(duration_bucket[40s])))",
    'sum by (service) (rate(requests_total{code=~"5.."}[1m])) / sum by (service) (rate(requests_total[1m])) > 0.01',
    'sum(rate(requests_total{code="404"}[1m])) or vector(0)',
    "connections > 10",
    "connections > bool 10",
    "10 < connections",
    "1 - connections / on (service) group_left (team) limit",
    "limit * on (service) group_right () connections",
    "connections and on (service) limit",
    'connections unless on (service) limit{service="details"}',
    "connections or limit",
    "-connections ^ 2",
    "2 ^ 3 ^ 2",
    "7 % 3 - 2 * 3",
    "abs(-connections) + ceil(connections / 3) - floor(connections / 3)",
    "sqrt(connections) + exp(connections / 100) + ln(connections)",
    "clamp_max(connections, 12) + clamp_min(connections, 5)",
    'label_replace(connections, "short", "$1", "pod", "(.*)-.*")',
    'label_replace(limit, "team", "", "team", ".*")',
    "absent(nothing)",
    'absent(nothing{job="istiod", code=~"5.."})',
    "absent(connections)",
    'scalar(limit{service="details"}) + 1',
    "time()",
    "avg_over_time(connections[1m]) + max_over_time(connections[1m]) - min_over_time(connections[1m])",
    "sum_over_time(up[1m]) / count_over_time(up[1m])",
    "changes(connections[2m]) + last_over_time(connections[1m])",
    "rate(resets_total[2m])",
    "increase(young_total[2m])",
    "connections == 3 or connections != 3",
    "1 / (connections - connections)",
)


@dataclass(frozen=True, slots=True)
class Both:
    """The same samples in a real Prometheus and in ours."""

    prometheus: Prometheus
    store: Store


def samples() -> dict[Labels, list[Sample]]:
    """Counters that grow at random, gauges, a histogram, a counter that is reset and one that begins late."""
    rng = random.Random(7)
    found: dict[Labels, list[Sample]] = {}

    def counter(name: str, step: float, **labels: str) -> None:
        value, course = 0.0, []
        for index in range(SCRAPES):
            value += rng.randint(0, int(step))
            course.append((BEGAN + STEP * index, value))
        found[labels_of(name, labels)] = course

    def gauge(name: str, top: int, **labels: str) -> None:
        found[labels_of(name, labels)] = [(BEGAN + STEP * i, float(rng.randint(1, top))) for i in range(SCRAPES)]

    for service in ("reviews", "ratings", "details"):
        for pod in (f"{service}-v1", f"{service}-v2"):
            gauge("connections", 20, service=service, pod=pod)
            for code in ("200", "503"):
                counter("requests_total", 40 if code == "200" else 2, service=service, pod=pod, code=code)
        total = [0.0] * SCRAPES
        for bound in BOUNDS:
            steps = [rng.randint(0, 9) for _ in range(SCRAPES)]
            running = 0.0
            for index, step in enumerate(steps):
                running += step
                total[index] += running
            course = [(BEGAN + STEP * index, value) for index, value in enumerate(total)]
            found[labels_of("duration_bucket", {"service": service, "le": bound})] = course
        found[labels_of("limit", {"service": service, "team": f"team-{service}"})] = [
            (BEGAN + STEP * index, 30.0) for index in range(SCRAPES)
        ]
    found[labels_of("up", {"job": "istiod"})] = [(BEGAN + STEP * i, float(i % 7 != 0)) for i in range(SCRAPES)]
    found[labels_of("resets_total", {})] = [(BEGAN + STEP * i, float((i % 11) * 3)) for i in range(SCRAPES)]
    found[labels_of("young_total", {})] = [
        (BEGAN + STEP * i, float(i - SCRAPES + 9)) for i in range(SCRAPES - 8, SCRAPES)
    ]
    return found


def openmetrics(found: dict[Labels, list[Sample]]) -> str:
    lines = []
    for labels, course in found.items():
        have = dict(labels)
        name = have.pop(METRIC)
        inner = ",".join(f'{label}="{value}"' for label, value in have.items())
        lines += [f"{name}{{{inner}}} {value} {at}" for at, value in course]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder: Path = tmp_path_factory.mktemp("promql")
    found = samples()
    text, data = folder / "samples.txt", folder / "data"
    text.write_text(openmetrics(found))
    subprocess.run(
        [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True
    )
    store = Store(keep=math.inf)
    for index in range(SCRAPES):
        at = BEGAN + STEP * index
        now = [(labels, value) for labels, course in found.items() for when, value in course if when == at]
        store.scraped("test", at, now)
    with serving(folder, data) as prometheus:
        yield Both(prometheus, store)


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize("back", (0.0, 3.0, 61.5))
def test_the_answer_is_prometheus_answer(both: Both, text: str, back: float) -> None:
    at = ENDS - back
    answer = both.prometheus.get("query", query=text, time=str(at))
    samples = answer["result"] if answer["resultType"] == "vector" else [{"metric": {}, "value": answer["result"]}]
    expected = {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in samples}
    found = query(text, both.store, at)
    assert found.keys() == expected.keys()
    for labels, value in found.items():
        assert value == pytest.approx(expected[labels], rel=1e-9, nan_ok=True), labels
