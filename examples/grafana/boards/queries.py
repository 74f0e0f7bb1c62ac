"""PromQL that several boards ask: rates, success, quantiles and intervals of Istio's metrics. Pure text."""

from __future__ import annotations

from typing import Final

WINDOW: Final = "$__rate_interval"
REQUESTS: Final = "istio_requests_total"
DURATION: Final = "istio_request_duration_milliseconds_bucket"
Z: Final = 1.96  # of the standard normal distribution: an interval that holds 95 times in a hundred


def rate(metric: str, where: str, *by: str) -> str:
    """Per second, a series for each combination of the labels `by`."""
    return f"sum{_by(by)} (rate({metric}{{{where}}}[{WINDOW}]))"


def requests(where: str, *by: str) -> str:
    return rate(REQUESTS, where, *by)


def success(where: str, *by: str) -> str:
    """The share of requests that were no server error and did get an answer; nothing where there were no requests."""
    good = rate(REQUESTS, f'{where}, response_code!~"5..|0"', *by)
    return f"({good} or 0 * {requests(where, *by)}) / ({requests(where, *by)} > 0)"


def quantile(q: float, where: str, *by: str, metric: str = DURATION) -> str:
    return f"histogram_quantile({q:g}, sum by ({', '.join((*by, 'le'))}) (rate({metric}{{{where}}}[{WINDOW}])))"


def zero(expression: str) -> str:
    """0 where there is nothing to count, in the place of no data."""
    return f"{expression} or vector(0)"


def wilson(where: str, *by: str, upper: bool) -> str:
    """A bound of Wilson's score interval for the share of requests that succeeded, over the range that is shown."""
    count = f"(sum{_by(by)} (increase({REQUESTS}{{{where}}}[$__range])) > 0)"
    good = f'sum{_by(by)} (increase({REQUESTS}{{{where}, response_code!~"5..|0"}}[$__range]))'
    share = f"(({good} or 0 * {count}) / {count})"
    spread = f"{Z} * sqrt({share} * (1 - {share}) / {count} + {Z**2 / 4:.4f} / {count} ^ 2)"
    middle = f"{share} + {Z**2 / 2:.4f} / {count}"
    sign = "+" if upper else "-"
    return f"({middle} {sign} {spread}) / (1 + {Z**2:.4f} / {count})"


def service_of(expression: str) -> str:
    """The label `service` from the name of an outbound cluster."""
    pattern = "outbound[|][0-9]+[|][^|]*[|]([^.]+).*"
    return f'label_replace({expression}, "service", "$1", "envoy_cluster_name", "{pattern}")'


def subset_of(expression: str) -> str:
    """The label `subset` from the name of an outbound cluster."""
    pattern = "outbound[|][0-9]+[|]([^|]*)[|].*"
    return f'label_replace({expression}, "subset", "$1", "envoy_cluster_name", "{pattern}")'


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
