"""ProxyConfig: how the proxies of some workloads are started. It takes effect at a proxy's next start, as in Istio.

https://istio.io/latest/docs/reference/config/networking/proxy-config/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mesh.istio.model import Message, shown
from mesh.istio.scalars import Integer, Labels, wrong


def environment_problem(values: Mapping[str, str]) -> str:
    """Why something cannot be an environment, or an empty string."""
    for name, value in values.items():
        if not name or "=" in name or "\0" in name + value:
            return f"{shown(name)} is not the name of a variable"
    return ""


def _environment(values: dict[str, str]) -> dict[str, str]:
    if problem := environment_problem(values):
        raise wrong(problem)
    return values


Environment = Annotated[dict[str, str], AfterValidator(_environment)]
Workers = Annotated[Integer, Field(ge=0, le=256)]


class ProxySelector(Message):
    match_labels: Labels = Field(default_factory=dict)


class ProxyConfig(Message):
    """For the proxies of its namespace that `selector` picks, or without one for all of them; in the mesh's root namespace
    for those of every namespace. What a nearer one says counts; `concurrency` 0 is a worker for each processor."""

    selector: ProxySelector | None = None
    concurrency: Workers | None = None
    environment_variables: Environment = Field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.selector.match_labels if self.selector is not None else {}


def summary(spec: Mapping[str, Any]) -> str:
    """What it sets."""
    workers = spec.get("concurrency")
    parts = [] if workers is None else [f"concurrency {workers}"]
    return ", ".join((*parts, *spec.get("environmentVariables", {})))
