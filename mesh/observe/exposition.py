"""Prometheus' text format into samples (https://prometheus.io/docs/instrumenting/exposition_formats/).

prometheus-client's parser takes 20 µs a line and a sidecar has thousands; this one takes two, and leaves comments,
time stamps and exemplars out. A line that is none of these is skipped and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mesh.promql.series import METRIC, Labels

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_LINE: Final = re.compile(rf"([a-zA-Z_:][\w:]*)(?:{{((?:[^\"}}]|{_QUOTED})*)}})? (\S+)(?: -?\d+)?(?: # .*)?")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPES: Final = {"n": "\n", "\\": "\\", '"': '"'}


@dataclass(slots=True)
class Exposition:
    """`samples` have the labels of their target; `skipped` counts lines that could not be read."""

    samples: list[tuple[Labels, float]] = field(default_factory=list)
    skipped: int = 0


def parse(text: str, target: Mapping[str, str], wanted: re.Pattern[str] | None = None) -> Exposition:
    """Every sample of `text`, or those whose name is `wanted` whole. A label of the target wins over a sample's own, which
    is kept as `exported_…`, as by Prometheus."""
    found = Exposition()
    for line in text.split("\n"):
        if not line or line[0] == "#":
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            found.skipped += 1
            continue
        name, inner, number = match.groups()
        if wanted is not None and wanted.fullmatch(name) is None:
            continue
        try:
            value = float(number)
        except ValueError:
            found.skipped += 1
            continue
        found.samples.append((_labels(name, inner, target), value))
    return found


def _labels(name: str, inner: str | None, target: Mapping[str, str]) -> Labels:
    labels = {METRIC: name}
    if inner:
        for label, value in _LABEL.findall(inner):
            text = (
                value if "\\" not in value else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), value)
            )
            labels[f"exported_{label}" if label in target else label] = text
    return tuple(sorted((labels | dict(target)).items()))
