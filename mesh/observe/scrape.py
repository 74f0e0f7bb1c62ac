"""Asks targets for their metrics, side by side and each within its time, and puts the answers into a store."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote

from mesh.clock import Clock
from mesh.observe.exposition import Exposition, parse
from mesh.observe.targets import PROXIES, Target
from mesh.promql.series import Labels, Store, labels_of
from mesh.promql.syntax import Aggregation, Binary, Call, Expression, Negation, Selector

TIMEOUT_SECONDS: Final = 10.0
AT_ONCE: Final = 16
MAX_BYTES: Final = 64 * 1024 * 1024  # of one answer


def names(expressions: Iterable[Expression]) -> frozenset[str]:
    """The metrics that expressions ask for."""
    found: set[str] = set()
    left: list[Expression] = list(expressions)
    while left:
        match left.pop():
            case Selector(name):
                found.add(name)
            case Binary(_, one, other):
                left += (one, other)
            case Aggregation(_, of, parameter):
                left += (of, *((parameter,) if parameter is not None else ()))
            case Call(_, arguments):
                left += arguments
            case Negation(of):
                left.append(of)
    return frozenset(found - {""})


class Scraper:
    """Fetches only the metrics called `wanted`; a proxy renders no others for it."""

    def __init__(self, store: Store, wanted: frozenset[str], clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wanted = re.compile("|".join(sorted(map(re.escape, wanted))))
        self._filter = "|".join(sorted({_pattern(name) for name in wanted}))
        self.targets: Sequence[Target] = ()
        self.errors: dict[str, str] = {}  # why a target did not answer, by instance

    def scrape(self, targets: Sequence[Target]) -> None:
        """One round; `up` tells of each target whether it answered."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scrape") as pool:
            answers = list(pool.map(self._ask, targets))
        self.errors = {}
        for target, answer in zip(targets, answers, strict=True):
            up: tuple[Labels, float] = (labels_of("up", target.labels), float(isinstance(answer, Exposition)))
            samples = answer.samples if isinstance(answer, Exposition) else []
            if isinstance(answer, str):
                self.errors[target.instance] = answer
            self._store.scraped(target.instance, self._clock.wall(), [*samples, up])
        self._store.forget(self._clock.wall())

    def _ask(self, target: Target) -> Exposition | str:
        """The metrics, or why there are none."""
        path = target.path
        if target.job == PROXIES:
            path += f"?filter={quote(self._filter)}"
        try:
            text = fetch(target, path)
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        return parse(text, target.labels, self._wanted)


def fetch(target: Target, path: str) -> str:
    """The body of a GET. Raises OSError or HTTPException, also for an answer other than 200 or too big a one."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MAX_BYTES + 1)
        if response.status != 200:
            raise http.client.HTTPException(f"{path.partition('?')[0]} answered {response.status}")
        if len(body) > MAX_BYTES:
            raise http.client.HTTPException(f"more than {MAX_BYTES} bytes of metrics")
        return body.decode(errors="replace")
    finally:
        connection.close()


def _pattern(name: str) -> str:
    """A metric's name as a proxy's `filter` finds it: Envoy looks at its own names, which have dots and the name of the
    cluster in them."""
    base = re.sub(r"^envoy_(cluster|http|listener|server)?_?|_(bucket|sum|count)$", "", name)
    return base.replace("_", "[._]")
