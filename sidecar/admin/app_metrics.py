"""The app's own metrics, asked for while the proxy's are scraped: what Istio's agent does on port 15020.

They are put behind the proxy's as they are, in Prometheus' text format. An app that does not answer costs its own metrics,
and is counted under the names of Istio's agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain
from typing import Final

import aiohttp
from prometheus_client.registry import Collector

from mesh.node import Node
from sidecar.admin.answers import breathing
from sidecar.telemetry.prometheus import CellMetric, Points, pieces

log = logging.getLogger(__name__)

MOST_BYTES: Final = 16 * 1024 * 1024
LONGEST_SECONDS: Final = 10.0
PIECE: Final = 64 * 1024
_TEXT: Final = "text/plain;version=0.0.4"
_FAILED: Final = (("type", "application"),)


class AppMetrics(Collector):
    """`url` is where the app has its metrics."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._scrapes = 0
        self._failures = 0
        self._complained = False

    def collect(self) -> Iterator[CellMetric]:
        """Istio's agent's counters."""
        labels = _FAILED
        yield CellMetric(
            "istio_agent_scrapes_total", "counter", [Points(tuple, "", self._scrapes)], "Scrapes of app and proxy."
        )
        yield CellMetric(
            "istio_agent_scrape_failures_total",
            "counter",
            [Points(lambda: labels, 'type="application"', self._failures)],
            "Scrapes in which the app did not answer as it should.",
        )

    async def fetch(self, patience: float) -> bytes:
        """The app's page; empty, and counted, when it cannot be had within `patience` seconds."""
        self._scrapes += 1
        try:
            async with asyncio.timeout(min(patience, LONGEST_SECONDS)):
                page = await self._page()
        except (OSError, ValueError, aiohttp.ClientError) as error:
            self._failures += 1
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            log.log(
                logging.DEBUG if self._complained else logging.WARNING, "metrics of the app: %s: %s", self._url, reason
            )
            self._complained = True
            return b""
        self._complained = False
        return page

    async def _page(self) -> bytes:
        """Raises ValueError for what is no page of metrics."""
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(self._url, headers={"Accept": _TEXT}, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            if "html" in answer.content_type:
                raise ValueError(f"{answer.content_type} is no page of metrics")
            parts: list[bytes] = []
            size = 0
            async for part in answer.content.iter_chunked(PIECE):
                size += len(part)
                if size > MOST_BYTES:
                    raise ValueError(f"more than {MOST_BYTES} bytes")
                parts.append(part)
        page = b"".join(parts).rstrip().removesuffix(b"# EOF").rstrip()
        return page + b"\n" if page else b""


def of(node: Node) -> AppMetrics | None:
    """What the node says about its app."""
    if not node.app_metrics:
        return None
    host = f"[{node.app_address}]" if ":" in node.app_address else node.app_address
    return AppMetrics(f"http://{host}{node.app_metrics}")


def is_not_the_apps(name: str) -> bool:
    """Whether a metric of ours is told beside an app's, which has `process_…` of its own."""
    return not name.startswith("process_")


async def merged(
    own: Collector, app: AppMetrics | None, headers: Mapping[str, str]
) -> tuple[str, AsyncIterator[str | bytes]]:
    """The content type and the page: the proxy's metrics, and then the app's. In the text format only, which is what the app
    is asked for."""
    content_type, text = pieces(own, "")
    if app is None:
        return content_type, breathing(text)
    page = await app.fetch(_patience(headers))
    _, counters = pieces(app, "")
    return content_type, _behind(breathing(chain(text, counters)), page)


def _patience(headers: Mapping[str, str]) -> float:
    """Less than the scraper has."""
    try:
        return max(0.1, 0.9 * float(headers.get("X-Prometheus-Scrape-Timeout-Seconds", LONGEST_SECONDS)))
    except ValueError:
        return LONGEST_SECONDS


async def _behind(own: AsyncIterator[str | bytes], page: bytes) -> AsyncIterator[str | bytes]:
    async for piece in own:
        yield piece
    for start in range(0, len(page), PIECE):
        yield page[start : start + PIECE]
