"""Where an experiment's numbers come from: the proxies' own pages, or a Prometheus that has scraped them. The same samples
either way."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import aiohttp

from control_plane.registry.workload import Workload
from mesh.experiments.samples import DURATION, PAGE, REQUESTS, Reader, Sample, Selection, count, sample
from mesh.naming import PROMETHEUS_PORT

log = logging.getLogger(__name__)

SCRAPE_SECONDS: Final = 2.0
AT_ONCE: Final = 32
MOST_BYTES: Final = 32 * 2**20  # of one answer

Row = tuple[dict[str, str], str]  # labels and a number as it is written


class Collector(Protocol):
    """`look` gives the samples that a selection is about, by proxy; empty when nobody answered."""

    async def look(self, selection: Selection) -> Mapping[str, Sequence[Sample]]: ...


class ProxyCollector:
    """Asks every connected proxy for its page, as Prometheus would."""

    def __init__(self, session: aiohttp.ClientSession, workloads: Callable[[], Iterable[Workload]]) -> None:
        self._session = session
        self._workloads = workloads
        self._places = asyncio.Semaphore(AT_ONCE)
        self._readers: dict[Selection, Reader] = {}

    async def look(self, selection: Selection) -> Mapping[str, Sequence[Sample]]:
        nodes = [workload.node for workload in self._workloads() if workload.connected and not workload.node.generator]
        pages = await asyncio.gather(
            *(self._page(node.address, node.metrics_port or PROMETHEUS_PORT) for node in nodes)
        )
        reader = self._readers.setdefault(selection, Reader(selection))
        return {node.id: list(reader.read(page)) for node, page in zip(nodes, pages, strict=True) if page is not None}

    async def _page(self, address: str, port: int) -> str | None:
        host = f"[{address}]" if ":" in address else address
        async with self._places:
            return await page(self._session, f"http://{host}:{port}{PAGE}")


class PrometheusCollector:
    """Asks a Prometheus for the series as they are, not for rates: what a proxy counts counts, without extrapolation."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def look(self, selection: Selection) -> Mapping[str, Sequence[Sample]]:
        found: dict[str, list[Sample]] = {}
        selector = f"{{{selection}}}"
        for name in (REQUESTS, DURATION):
            rows = await self._query(name + selector)
            if rows is None:
                return {}
            for labels, text in rows:
                labels.pop("__name__", None)
                proxy = "/".join(labels.pop(key, "") for key in ("job", "instance"))
                value = count(text)
                if value is not None and (one := sample(name, labels, value)) is not None:
                    found.setdefault(proxy, []).append(one)
        # It answers, and knows nothing of the host yet: that is data, too.
        return found or {self._url: []}

    async def number(self, query: str) -> float | None:
        """The one number that a query gives (NaN where Prometheus says so), or None."""
        rows = await self._query(query)
        if rows is None or len(rows) != 1:
            return None
        try:
            return float(rows[0][1])
        except ValueError:
            return None

    async def _query(self, query: str) -> list[Row] | None:
        """None for whatever is not a vector or a scalar."""
        text = await page(self._session, f"{self._url}/api/v1/query", {"query": query})
        try:
            data = json.loads(text or "")["data"]
            if data["resultType"] == "scalar":
                return [({}, str(data["result"][1]))]
            return [
                ({str(key): str(value) for key, value in row["metric"].items()}, str(row["value"][1]))
                for row in data["result"]
            ]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None


async def page(session: aiohttp.ClientSession, url: str, query: Mapping[str, str] | None = None) -> str | None:
    """A page, or None when there is none: redirects and answers without an end are none."""
    try:
        timeout = aiohttp.ClientTimeout(total=SCRAPE_SECONDS)
        async with session.get(url, params=query, timeout=timeout, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    log.warning("%s gave no metrics: its answer has more than %d bytes", url, MOST_BYTES)
                    return None
            return body.decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        log.debug("%s gave no metrics: %s", url, error)
        return None
