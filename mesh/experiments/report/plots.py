"""Plots as SVG, drawn by hand: lines, bands and steps over time or latency. Colours come from the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 10, 34
TICKS = 5

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """`kind` names its colour: baseline, candidate, asked or limit."""

    name: str
    kind: str
    points: Points
    stepped: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """What lies between two ends at each x."""

    kind: str
    points: Sequence[tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """`log` spreads decades evenly; `unit` follows each number."""

    label: str
    unit: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None


def plot(
    title: str, x: Axis, y: Axis, lines: Sequence[Line], bands: Sequence[Band] = (), marks: Sequence[float] = ()
) -> str:
    """`marks` are moments at which something was decided."""
    xs = [px for line in lines for px, _ in line.points]
    ys = [py for line in lines for _, py in line.points]
    ys += [end for band in bands for _, low, high in band.points for end in (low, high)]
    if not xs:
        return f'<figure><figcaption>{escape(title)}</figcaption><p class="none">no data</p></figure>'
    across = _Scale(x, xs, LEFT, WIDTH - RIGHT)
    up = _Scale(y, ys, HEIGHT - BOTTOM, TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts += [_grid_x(across), _grid_y(up)]
    parts += [_mark(across, moment) for moment in marks if across.low <= moment <= across.high]
    parts += [_band(band, across, up) for band in bands]
    parts += [_line(line, across, up) for line in lines]
    parts.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}">{escape(x.label)}</text></svg>'
    )
    names = "".join(f'<span class="key {line.kind}">{escape(line.name)}</span>' for line in lines if line.name)
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}<p class='legend'>{names}</p></figure>"


class _Scale:
    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        self.axis = axis
        low = min(values) if axis.low is None else axis.low
        high = max(values) if axis.high is None else axis.high
        if axis.log:
            low, high = max(low, 1e-6), max(high, 2e-6)
        if high <= low:
            high = low + (abs(low) or 1.0) * 0.1
        self.low, self.high = low, high
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.axis.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        if self.axis.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            decades = [10.0**power for power in range(first, last + 1)]
            return decades if len(decades) > 1 else [self.low, self.high]
        step = _round_step((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def text(self, value: float) -> str:
        return f"{value:.6g}{self.axis.unit}"


def _round_step(step: float) -> float:
    power = 10 ** math.floor(math.log10(step))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999))


def _grid_x(scale: _Scale) -> str:
    rows = []
    for value in scale.ticks():
        at = scale.at(value)
        rows.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        rows.append(
            f'<text class="tick mid" x="{at:.1f}" y="{HEIGHT - BOTTOM + 13}">{escape(scale.text(value))}</text>'
        )
    return "".join(rows)


def _grid_y(scale: _Scale) -> str:
    rows = []
    for value in scale.ticks():
        at = scale.at(value)
        rows.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        rows.append(f'<text class="tick end" x="{LEFT - 5}" y="{at + 3.5:.1f}">{escape(scale.text(value))}</text>')
    return "".join(rows)


def _mark(scale: _Scale, moment: float) -> str:
    at = scale.at(moment)
    return f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'


def _line(line: Line, across: _Scale, up: _Scale) -> str:
    words, last = [], 0.0
    for index, (px, py) in enumerate(line.points):
        x, y = across.at(px), up.at(py)
        if index and line.stepped:
            words.append(f"L{x:.1f} {last:.1f}")
        words.append(f"{'L' if index else 'M'}{x:.1f} {y:.1f}")
        last = y
    dashed = " dashed" if line.dashed else ""
    return f'<path class="line {line.kind}{dashed}" d="{"".join(words)}"/>'


def _band(band: Band, across: _Scale, up: _Scale) -> str:
    if not band.points:
        return ""
    there = [f"{across.at(x):.1f} {up.at(high):.1f}" for x, _, high in band.points]
    back = [f"{across.at(x):.1f} {up.at(low):.1f}" for x, low, _ in reversed(band.points)]
    return f'<path class="band {band.kind}" d="M{"L".join(there + back)}Z"/>'
