"""Spans of one trace as a tree in time, and as lines for a terminal or a page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_BAR: Final = "█"
_NAME_WIDTH: Final = 34


@dataclass(slots=True)
class Hop:
    """A span with those that it caused. Times are Unix nanoseconds."""

    pod: str
    name: str
    kind: str
    span_id: str
    parent_id: str
    start: int
    end: int
    error: bool
    attributes: Mapping[str, Any]
    children: list[Hop] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        return (self.end - self.start) / 1e6

    @property
    def status(self) -> str:
        found = self.attributes
        return str(found.get("http.response.status_code", found.get("http.status_code", "")))

    @property
    def flags(self) -> str:
        return str(self.attributes.get("response_flags", "-"))


@dataclass(slots=True)
class Trace:
    """`roots` are the spans whose parents nobody has shown: the first proxy's, or those after a gap."""

    trace_id: str
    hops: list[Hop]
    roots: list[Hop]

    @property
    def start(self) -> int:
        return min(hop.start for hop in self.hops)

    @property
    def end(self) -> int:
        return max(hop.end for hop in self.hops)

    @property
    def milliseconds(self) -> float:
        return (self.end - self.start) / 1e6

    @property
    def failed(self) -> bool:
        return any(hop.error for hop in self.hops)

    @property
    def request_id(self) -> str:
        return next(
            (str(hop.attributes["guid:x-request-id"]) for hop in self.hops if "guid:x-request-id" in hop.attributes), ""
        )


def traces(answers: Mapping[str, Any]) -> list[Trace]:
    """The traces in what proxies answered (their /traces, by pod), newest first."""
    hops: dict[str, dict[str, Hop]] = {}
    for pod, answer in answers.items():
        for span in answer.get("spans", ()):
            hop = Hop(
                pod,
                str(span["name"]),
                str(span["kind"]),
                str(span["spanId"]),
                str(span.get("parentSpanId") or ""),
                int(span["startTimeUnixNano"]),
                int(span["endTimeUnixNano"]),
                bool(span.get("error")),
                span.get("attributes") or {},
            )
            hops.setdefault(str(span["traceId"]), {})[hop.span_id] = hop
    found = [_trace(trace_id, spans) for trace_id, spans in hops.items()]
    return sorted(found, key=lambda trace: trace.start, reverse=True)


def _trace(trace_id: str, spans: dict[str, Hop]) -> Trace:
    roots: list[Hop] = []
    for hop in sorted(spans.values(), key=lambda hop: hop.start):
        parent = spans.get(hop.parent_id)
        (roots if parent is None or parent is hop else parent.children).append(hop)
    return Trace(trace_id, list(spans.values()), roots)


def in_order(hops: Sequence[Hop], depth: int = 0) -> Iterator[tuple[int, Hop]]:
    """Each with how deep it lies, callers before those they called."""
    for hop in hops:
        yield depth, hop
        yield from in_order(hop.children, depth + 1)


def text(trace: Trace, width: int = 80) -> list[str]:
    """A line for each span: who, whom, how it ended, how long, and a bar for when."""
    bar_width = max(10, width - _NAME_WIDTH - 18)
    lines = []
    for depth, hop in in_order(trace.roots):
        arrow = "→" if hop.kind == "CLIENT" else "←"
        name = f"{'  ' * min(depth, 8)}{hop.pod} {arrow} {_short(hop.name)}"
        mark = " ✗" if hop.error else "  "
        lines.append(
            f"{_cut(name, _NAME_WIDTH):{_NAME_WIDTH}} {hop.status or '-':>3}{mark}{hop.milliseconds:8.1f} ms "
            f"{_bar(trace, hop, bar_width)}".rstrip()
        )
    return lines


def page(trace: Trace) -> str:
    """One HTML file without anything from elsewhere."""
    return _PAGE.format(
        title=html.escape(f"Trace {trace.trace_id}"),
        about=html.escape(
            f"{len(trace.hops)} spans, {trace.milliseconds:.1f} ms, request id {trace.request_id or '-'}"
        ),
        rows="".join(_rows(trace)),
    )


def _rows(trace: Trace) -> Iterable[str]:
    whole = max(1, trace.end - trace.start)
    for depth, hop in in_order(trace.roots):
        left, share = (hop.start - trace.start) / whole * 100, max(0.3, (hop.end - hop.start) / whole * 100)
        details = "\n".join(f"{key}: {value}" for key, value in hop.attributes.items())
        yield (
            f'<tr title="{html.escape(details, quote=True)}"><td style="padding-left:{depth * 1.2 + 0.5}em">'
            f"{html.escape(hop.pod)} {'→' if hop.kind == 'CLIENT' else '←'} {html.escape(_short(hop.name))}</td>"
            f"<td>{html.escape(hop.status or '-')}</td><td>{hop.milliseconds:.1f} ms</td><td class=lane>"
            f'<div class="{"bad" if hop.error else hop.kind.lower()}" style="margin-left:{left:.2f}%;width:{share:.2f}%">'
            "</div></td></tr>\n"
        )


def _bar(trace: Trace, hop: Hop, width: int) -> str:
    whole = max(1, trace.end - trace.start)
    left = int((hop.start - trace.start) / whole * (width - 1))
    return " " * left + _BAR * max(1, round((hop.end - hop.start) / whole * (width - left)))


def _short(name: str) -> str:
    """A span's name without the domain that all have."""
    return name.replace(".svc.cluster.local", "")


def _cut(text_: str, width: int) -> str:
    return text_ if len(text_) <= width else text_[: width - 1] + "…"


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --client: #3b82f6; --server: #10b981; --bad: #dc2626; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
h1 {{ font-size: 1.1rem; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
td, th {{ border-bottom: 1px solid var(--line); padding: .25rem .5rem; text-align: left; white-space: nowrap; }}
td:nth-child(3) {{ text-align: right; }}
.lane {{ width: 55%; }}
.lane div {{ height: .8rem; border-radius: 2px; }}
.client {{ background: var(--client); }} .server {{ background: var(--server); }} .bad {{ background: var(--bad); }}
.key span {{ display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; }}
.key span {{ vertical-align: middle; margin: 0 .3rem 0 1rem; }}
</style></head><body>
<h1>{title}</h1><p>{about}</p>
<p class="key"><span class="client"></span>sent by a proxy<span class="server"></span>received by a proxy
<span class="bad"></span>failed</p>
<table><thead><tr><th>who</th><th>status</th><th>time</th><th>when</th></tr></thead><tbody>
{rows}</tbody></table>
</body></html>
"""
