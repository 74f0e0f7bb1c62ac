"""What the demo shows: a live view on a terminal, lines elsewhere, and the summary at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mesh.cli.demo_metrics import Edge, EdgeStats, LoadTotals
from mesh.cli.options import DEFAULT_SERVER

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

EVENTS_KEPT = 6
BAR_WIDTH = 24
PART_GAP = 3
ALL_COLUMNS_WIDTH = 76  # of a terminal with room for every column; narrower ones go without the medians
NAME_GAP, FIGURE_WIDTH = 2, 9  # `100.0 %` and `1234 ms`, with the gap
VERSION_STYLES = {"v1": "cyan", "v2": "green", "v3": "red"}


@dataclass(slots=True)
class Picture:
    """All that is shown. `recent` is what the load saw in the last seconds, `hosts` what is not in use and why;
    `mesh` and `examples` are how the reader's shell gets at the command and the routing rules."""

    rate: float
    url: str = ""
    server: str = ""
    mesh: str = "mesh"
    examples: str = "examples/bookinfo/networking"
    seconds: float = 0.0
    left: float | None = None
    totals: LoadTotals = field(default_factory=LoadTotals)
    recent: LoadTotals = field(default_factory=LoadTotals)
    edges: Mapping[Edge, EdgeStats] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    known_hosts: int = 0
    events: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))


def commands_to_try(picture: Picture) -> list[tuple[str, str]]:
    """What it does, and the command."""
    mesh, examples = picture.mesh, picture.examples
    server = "" if picture.server == DEFAULT_SERVER else f" -s {picture.server}"
    apply = f"{mesh} apply{server} -w -f {examples}"
    return [
        ("send 10 % of reviews to v2", f"{apply}/reviews-90-10.yaml"),
        ("v2 for jason, v3 for others", f"{apply}/reviews-jason-v2.yaml"),
        ("ratings fail for jason", f"{apply}/ratings-abort-jason.yaml"),
        ("  … and look as jason", f"curl -H 'end-user: jason' {picture.url}"),
        ("what each proxy has", f"{mesh} proxy-status{server}"),
        ("undo", f"{mesh} history{server}; {mesh} rollback{server} REVISION"),
    ]


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def percent(share: float | None, digits: int = 2) -> str:
    """Never rounded up to 100: one failure in a million is not none."""
    if share is None:
        return "–"
    text = f"{share * 100:.{digits}f}"
    if share < 1 and float(text) == 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return f"{text} %"


def plain_line(picture: Picture) -> str:
    totals = picture.totals
    split = ", ".join(f"{version} {share:.0%}" for version, _, share in picture.recent.shares())
    latencies = picture.recent.latencies
    fallbacks = f", {totals.fallbacks} pages without reviews" if totals.fallbacks else ""
    return (
        f"{picture.seconds:6.0f} s   {totals.requests} requests   {percent(totals.success)} ok   "
        f"p50 {milliseconds(latencies.quantile(0.5))}   p99 {milliseconds(latencies.quantile(0.99))}   "
        f"reviews {split or '–'}{fallbacks}"
    )


def summary(totals: LoadTotals, seconds: float) -> list[str]:
    """The result of a run, a fact a line."""
    lines = [
        f"requests   {totals.requests} in {seconds:.1f} s",
        f"success    {percent(totals.success)}",
        f"latency    p50 {milliseconds(totals.latencies.quantile(0.5))}, "
        f"p99 {milliseconds(totals.latencies.quantile(0.99))}",
    ]
    lines += [f"reviews {version} {count:6d}   {share:6.1%}" for version, count, share in totals.shares()]
    if totals.fallbacks:
        lines.append(f"fallback   {totals.fallbacks} pages without reviews")
    if totals.failures:
        lines.append("failures   " + ", ".join(f"{what}: {count}" for what, count in totals.failures.most_common()))
    if totals.skipped:
        lines.append(f"not sent   {totals.skipped}: too many were open already")
    return lines


def render(picture: Picture, width: int, height: int) -> Group:
    """The live view, at most `height` lines: what matters most stays."""
    from rich.console import Group

    head = _head(picture, width)
    parts: list[RenderableType] = [head, _edges(picture, width), _breakers(picture)]
    room = height - len(head.renderables) - (len(picture.edges or [""]) + 2) - (len(picture.hosts) + 2)
    if picture.events and room >= len(picture.events) + 2:
        parts.append(_events(picture))
        room -= len(picture.events) + 2
    if room > 2:
        parts.append(_tries(commands_to_try(picture)[: room - 2], width))
    return Group(*parts)


def _head(picture: Picture, width: int) -> Group:
    """Totals since the start; latencies, as those of the rows below, of the last seconds."""
    from rich.console import Group
    from rich.text import Text

    totals, recent = picture.totals, picture.recent.latencies
    left = f", {picture.left:.0f} s left" if picture.left is not None else ", Ctrl-C ends it"
    good = totals.success is None or totals.success == 1
    title = [
        Text("mesh demo", "bold"),
        Text(picture.url, "underline cyan"),
        Text(f"{picture.seconds:.0f} s{left}"),
    ]
    load = [
        Text(f"{picture.rate:g} pages/s"),
        Text(f"{totals.requests} requests"),
        Text(f"{percent(totals.success)} ok", "bold green" if good else "bold red"),
        Text(f"p50 {milliseconds(recent.quantile(0.5))}"),
        Text(f"p99 {milliseconds(recent.quantile(0.99))}"),
    ]
    if totals.fallbacks:
        load.append(Text(f"{totals.fallbacks} without reviews", "bold yellow"))
    return Group(*_flowing(title, width), *_flowing(load, width), _split(picture.recent))


def _flowing(parts: Sequence[Text], width: int) -> list[Text]:
    """Lines of parts with room between them; no part is broken: a figure keeps its unit."""
    from rich.text import Text

    lines: list[list[Text]] = [[]]
    for part in parts:
        if lines[-1] and sum(each.cell_len + PART_GAP for each in lines[-1]) + part.cell_len > width:
            lines.append([])
        lines[-1].append(part)
    return [Text(" " * PART_GAP).join(line) for line in lines]


def _split(recent: LoadTotals) -> Text:
    """The versions of reviews in the last seconds, as a bar."""
    from rich.text import Text

    text = Text("reviews   ")
    for version, _, share in recent.shares():
        style = VERSION_STYLES.get(version, "magenta")
        text.append("█" * max(1, round(share * BAR_WIDTH)), style=style)
        text.append(f" {version} {share:.0%}   ", style=style)
    return text


def _edges(picture: Picture, width: int) -> Table:
    """Where there is little room names are cut, figures never."""
    from rich.table import Table

    medians = width >= ALL_COLUMNS_WIDTH
    headings = ["VERSION", "REQ/S", "SUCCESS", *(["P50"] if medians else []), "P99"]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", title_justify="left")
    for heading in ("FROM", "TO", *headings):
        justify: Literal["left", "right"] = "left" if heading in ("FROM", "TO", "VERSION") else "right"
        table.add_column(f"\n{heading}", justify=justify, no_wrap=True)
    room = width - FIGURE_WIDTH * len(headings) - 2 * NAME_GAP  # of both names
    to = min(room // 2, max((len(edge.destination) for edge in picture.edges), default=0))
    for edge, stats in sorted(picture.edges.items(), key=lambda item: _order(item[0])):
        idle = stats.rate == 0
        style = "dim" if idle else ("bold red" if stats.success is not None and stats.success < 1 else "")
        figures = [f"{stats.rate:.1f}", percent(stats.success, 1)]
        latencies = [milliseconds(stats.p50)] if medians else []
        names = [_cut(edge.source, room - to), _cut(edge.destination, to), _cut(edge.version, FIGURE_WIDTH - NAME_GAP)]
        table.add_row(*names, *figures, *latencies, milliseconds(stats.p99), style=style)
    if not picture.edges:
        table.add_row("the sidecars have no metrics yet", *[""] * (len(headings) + 1), style="dim")
    return table


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _order(edge: Edge) -> tuple[int, Edge]:
    """As a request goes."""
    path = ("istio-ingressgateway", "productpage", "reviews")
    return (path.index(edge.source) if edge.source in path else len(path), edge)


def _breakers(picture: Picture) -> Text:
    from rich.text import Text

    if picture.hosts:
        return Text(
            "\n" + "\n".join(["BREAKERS", *picture.hosts]), style="bold yellow", no_wrap=True, overflow="ellipsis"
        )
    known = f"all {picture.known_hosts} endpoints are in use" if picture.known_hosts else "–"
    return Text.assemble(("\nBREAKERS  ", "bold"), (known, "green" if picture.known_hosts else "dim"))


def _events(picture: Picture) -> Text:
    from rich.text import Text

    lines = Text("\n" + "\n".join(picture.events), style="yellow")
    return Text.assemble(("\nEVENTS", "bold"), lines, no_wrap=True, overflow="ellipsis")


def _tries(tries: list[tuple[str, str]], width: int) -> Text:
    """Whole commands, a line each: they are copied. Where there is no room for both, what they do is left out."""
    from rich.text import Text

    widest = max(len(command) for _, command in tries)
    column = max(len(what) for what, _ in tries) + 2
    text = Text("\nTRY, IN ANOTHER TERMINAL", style="bold", no_wrap=True, overflow="crop")
    for what, command in tries:
        said = what.ljust(column) if column + widest <= width else ""
        text.append(f"\n{said}", style="not bold dim").append(command, style="not bold cyan")
    return text
