"""envoy.filters.http.router: the end of every chain. It has no steps: what comes after the filters is `forward`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import NO_STEPS, FilterContext, FilterType, Steps


class RouterFilter:
    """Nothing of it is configurable here."""

    def __init__(self, config: None, context: FilterContext) -> None: ...

    def bind(self, overrides: Sequence[Any], route: Route | None) -> Steps:
        return NO_STEPS


def compile(reader: Reader) -> None:
    reader.flag("start_child_span")  # deprecated, superseded by the connection manager's spawn_upstream_span


FILTER: Final = FilterType(type(None), RouterFilter, compile)
