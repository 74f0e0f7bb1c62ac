"""Who calls whom, as the callers' proxies have counted since they started."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from mesh.naming import service_host
from mesh.observe.exposition import parse
from mesh.observe.scrape import AT_ONCE, fetch
from mesh.observe.targets import PROXIES, Target

_REQUESTS: Final = "istio_requests_total"
_PATH: Final = f"/stats/prometheus?filter={_REQUESTS}"
_UNKNOWN: Final = ("", "unknown")


def calls(targets: Sequence[Target]) -> dict[str, list[str]]:
    """The host of each calling service → the hosts that it has called. A proxy that does not answer adds nothing."""
    proxies = [target for target in targets if target.job == PROXIES]
    found: dict[str, set[str]] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="calls") as pool:
        for text in pool.map(_asked, proxies):
            for caller, called in edges(sample for sample, value in parse(text, {}, _WANTED).samples if value):
                found.setdefault(caller, set()).add(called)
    return {caller: sorted(called) for caller, called in sorted(found.items())}


_WANTED: Final = re.compile(_REQUESTS)


def edges(samples: Iterable[Iterable[tuple[str, str]] | Mapping[str, str]]) -> Iterable[tuple[str, str]]:
    """(caller, called), by hosts, of the samples that callers' proxies have counted."""
    for sample in samples:
        labels = dict(sample)
        source, host = labels.get("source_canonical_service", ""), labels.get("destination_service", "")
        if labels.get("reporter") == "source" and source not in _UNKNOWN and host not in _UNKNOWN:
            namespace = labels.get("source_workload_namespace", "default")
            yield service_host(source, namespace).lower(), host.lower()


def _asked(target: Target) -> str:
    try:
        return fetch(target, _PATH)
    except (OSError, http.client.HTTPException):
        return ""
