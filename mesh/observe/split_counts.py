"""How many requests each proxy has sent to each of its clusters, from their metrics."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import quote

from mesh.observe.exposition import parse
from mesh.observe.scrape import AT_ONCE, fetch
from mesh.observe.targets import PROXIES, Target
from mesh.promql.series import METRIC, Labels

TOTAL: Final = "envoy_cluster_upstream_rq_total"
RETRY: Final = "envoy_cluster_upstream_rq_retry"
CONNECTIONS: Final = "envoy_cluster_upstream_cx_total"
REQUESTS: Final = "istio_requests_total"
_WANTED: Final = re.compile("|".join((TOTAL, RETRY, CONNECTIONS, REQUESTS)))
_FILTER: Final = "upstream_rq_total$|upstream_rq_retry$|upstream_cx_total$|istio[._]requests[._]total"
UNKNOWN: Final = "unknown"
K = TypeVar("K")


@dataclass(slots=True)
class Counts:
    """Of one moment: `sent` by (pod, metric, cluster); `strangers` are requests that came to a service's workloads from
    nobody with a proxy, by the service's host."""

    sent: dict[tuple[str, str, str], float] = field(default_factory=dict)
    strangers: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def since(self, before: Counts) -> Counts:
        """What has happened since. A counter that is smaller began anew."""
        return Counts(_grown(self.sent, before.sent), _grown(self.strangers, before.strangers), self.errors)


def _grown(now: Mapping[K, float], before: Mapping[K, float]) -> dict[K, float]:
    return {key: value - (before.get(key, 0.0) if before.get(key, 0.0) <= value else 0.0) for key, value in now.items()}


def counts(targets: Sequence[Target]) -> Counts:
    """What all proxies have counted by now."""
    proxies = [target for target in targets if target.job == PROXIES]
    found = Counts()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="counts") as pool:
        for target, answer in zip(proxies, pool.map(_ask, proxies), strict=True):
            if isinstance(answer, str):
                found.errors[target.pod] = answer
            else:
                add(found, target.pod, answer)
    return found


def _ask(target: Target) -> list[tuple[Labels, float]] | str:
    try:
        text = fetch(target, f"{target.path}?filter={quote(_FILTER)}")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return parse(text, {}, _WANTED).samples


def add(found: Counts, pod: str, samples: Iterable[tuple[Labels, float]]) -> None:
    """What one proxy said."""
    for labels, value in samples:
        of = dict(labels)
        name = of.get(METRIC, "")
        if name != REQUESTS:
            found.sent[pod, name, of.get("envoy_cluster_name", "")] = value
        elif of.get("reporter") == "destination" and of.get("source_workload") == UNKNOWN:
            host = of.get("destination_service", "")
            found.strangers[host] = found.strangers.get(host, 0.0) + value
