"""envoy.filters.http.router: the end of every chain. It has no steps: what comes after the filters is `forward`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import NO_STEPS, FilterContext, FilterType, Steps


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Whether headers of Envoy's own (`x-envoy-…`) are left out; the connection manager's business, too."""

    suppress_envoy_headers: bool = False


class RouterFilter:
    """It has no steps, whatever its configuration."""

    def __init__(self, config: RouterConfig, context: FilterContext) -> None: ...

    def bind(self, overrides: Sequence[Any], route: Route | None) -> Steps:
        return NO_STEPS


def compile(reader: Reader) -> RouterConfig:
    reader.flag("start_child_span")  # deprecated, superseded by the connection manager's spawn_upstream_span
    return RouterConfig(reader.flag("suppress_envoy_headers"))


FILTER: Final = FilterType(RouterConfig, RouterFilter, compile)
