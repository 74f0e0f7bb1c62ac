"""The numbers that experiments are written with, each with its bounds."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from mesh.istio.scalars import Duration, host_problem, is_header_name, is_ip, wrong

LEAST_INTERVAL: Final = 0.2
_CONTAINER: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _share(value: float) -> float:
    if not 0 <= value <= 100:
        raise wrong(f"must be a percentage from 0 to 100, not {value:g}")
    return value


def _chance(value: float) -> float:
    if not 0.0001 <= value <= 0.5:
        raise wrong(f"must be a probability from 0.0001 to 0.5, not {value:g}")
    return value


def _quantile(value: float) -> float:
    if not 0 < value < 1:
        raise wrong(f"must lie between 0 and 1, as 0.99 does, not {value:g}")
    return value


def _ratio(value: float) -> float:
    if not 0.1 <= value <= 32:
        raise wrong(f"must be a factor from 0.1 to 32, not {value:g}")
    return value


def _interval(value: float) -> float:
    if value < LEAST_INTERVAL:
        raise wrong(f"must be at least {LEAST_INTERVAL:g}s")
    return value


def _cookie(value: str) -> str:
    if not is_header_name(value):
        raise wrong("must be the name of a cookie")
    return value


def _container(value: str) -> str:
    if not _CONTAINER.fullmatch(value):
        raise wrong(f"{value!r} is not the name of a container, or of a service of compose")
    return value


def _host_or_ip(value: str) -> str:
    if not is_ip(value) and (problem := host_problem(value, wildcard=False)):
        raise wrong(f"{problem}; an address would do, too")
    return value


def _labels(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _LABEL.fullmatch(name):
            raise wrong(f"{name}: must be a label of Istio's metrics, as source_workload")
        if name in ("reporter", "destination_service", "destination_version", "le"):
            raise wrong(f"{name}: is chosen by the experiment itself")
    return value


MetricLabels = Annotated[dict[str, str], AfterValidator(_labels)]
Percent = Annotated[float, AfterValidator(_share)]
Chance = Annotated[float, AfterValidator(_chance)]
Quantile = Annotated[float, AfterValidator(_quantile)]
Ratio = Annotated[float, AfterValidator(_ratio)]
Interval = Annotated[Duration, AfterValidator(_interval)]
HostOrIp = Annotated[str, AfterValidator(_host_or_ip)]
ContainerName = Annotated[str, AfterValidator(_container)]
Cookie = Annotated[str, AfterValidator(_cookie)]
