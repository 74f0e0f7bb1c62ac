"""Fields that work, and that newer ones have replaced."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import DEPRECATED
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from mesh.istio.model import Path


def fields(seen: Examined) -> Iterator[Finding]:
    """The old spellings of shares, and a single mirror."""
    for resource in seen.of("VirtualService"):
        for number, rule in enumerate(resource.spec.http):
            path: Path = ("spec", "http", number)
            if rule.fault is not None and rule.fault.delay is not None and rule.fault.delay.percent is not None:
                message = (
                    "Deprecated: HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage"
                )
                yield finding(DEPRECATED, resource, (*path, "fault", "delay", "percent"), message)
            for word, value in (("mirrorPercent", rule.mirror_percent), ("mirror_percent", rule.mirror_percent_snake)):
                if value is not None:
                    message = f"Deprecated: HTTPRoute.{word} is deprecated; use HTTPRoute.mirrorPercentage"
                    yield finding(DEPRECATED, resource, (*path, word), message)
