"""logs, tap, top: requests one by one, as the proxies logged them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.cli.options import DEFAULT_SERVER, Server
from mesh.cli.watching import Follow, complain, everybody, live, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mesh.observe.hops import Reasons
    from mesh.observe.log_lines import Record

POLL_SECONDS = 0.5
OVERLAP_SECONDS = 2.0  # a worker process of a proxy may tell a line a little later than its neighbour
REMEMBERED = 50_000
ROUTES_SHOWN = 30

Status = Annotated[str, typer.Option("--status", metavar="CODE", help="Only this code, or class: 503, 5xx.")]
Slow = Annotated[str, typer.Option("--slower-than", metavar="TIME", help="Only slower ones: 200ms, 1s.")]
Trace = Annotated[str, typer.Option("--trace", metavar="ID", help="Only lines that hold this request or trace id.")]
Path = Annotated[str, typer.Option("--path", metavar="PREFIX", help="Only paths that begin so.")]
Method = Annotated[str, typer.Option("--method", metavar="NAME", help="Only this method.")]
Service = Annotated[
    str, typer.Argument(metavar="[SERVICE]", help="A service or workload: only what its proxies logged.")
]


@dataclass(slots=True)
class Reader:
    """Brings the lines that are new since the last time, oldest first."""

    server: str
    service: str
    wanted: Callable[[Record], bool]
    errors: dict[str, str] = field(default_factory=dict)
    reasons: Reasons = field(default_factory=dict)  # of replies of the proxies' own among them
    _after: float = 0.0
    _seen: OrderedDict[tuple[str, float, str], None] = field(default_factory=OrderedDict)

    def read(self) -> list[Record]:
        from mesh.observe.gather import ask
        from mesh.observe.hops import reasons, records

        proxies = [target for target in everybody(self.server) if _is_of(target.pod, self.service)]
        answers = ask(proxies, f"/logs?after={self._after:.6f}")
        self.errors = answers.errors
        told = records(answers.found)
        found = [each for each in sorted(told, key=lambda each: (each.start_time, each.at)) if self._is_new(each)]
        if told:
            self._after = max(self._after, max(each.at for each in told) - OVERLAP_SECONDS)
        found = [each for each in found if self.wanted(each)]
        if any(each.details not in ("", "via_upstream") for each in found):
            self.reasons = reasons(ask(proxies, "/why").found)
        return found

    def _is_new(self, found: Record) -> bool:
        key = (found.pod, found.at, found.line)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True


def logs(
    service: Service = "",
    follow: Follow = False,
    status: Status = "",
    slower_than: Slow = "",
    trace: Trace = "",
    path: Path = "",
    method: Method = "",
    tail: Annotated[int, typer.Option("--tail", metavar="N", min=-1, help="Only the last N lines; -1: all.")] = -1,
    raw: Annotated[bool, typer.Option("--raw", help="The lines as they were logged.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show the access logs of all proxies in one stream: the last lines that each still has.

    \b
      mesh logs reviews --status 5xx --tail 10
      mesh logs --slower-than 200ms --follow
    """
    reader = Reader(server, service, _conditions(status, slower_than, trace, path, method))
    for found in _stream(reader, follow, tail):
        print(found.line if raw or not found.understood else _line(found, reader.reasons), flush=follow)


def tap(
    service: Service = "",
    status: Status = "",
    path: Path = "",
    method: Method = "",
    count: Annotated[int, typer.Option("--max", metavar="N", min=0, help="End after so many; 0: never.")] = 0,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Watch requests as they happen, a line for each request and one for its response."""
    reader = Reader(server, service, _conditions(status, "", "", path, method))
    reader.read()  # what was before
    for number, found in enumerate(_stream(reader, True), start=1):
        for line in _tapped(number, found):
            print(line, flush=True)
        if number == count:
            return


def top(
    service: Service = "",
    once: Annotated[bool, typer.Option("--once", metavar="", help="Print the table once, of what is known.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Watch a live table of routes: how often, how slow at best and worst, how well."""
    reader, routes = Reader(server, service, lambda found: found.understood), Routes()

    def render() -> RenderableType:
        for found in reader.read():
            routes.add(found)
        return table(HEADINGS, routes.rows(), right=frozenset((3, 4, 5, 6, 7)))

    if once:
        from mesh.cli.output import print_table

        render()
        print_table(HEADINGS, routes.rows(), nothing="no requests have been seen")
    else:
        live(render)
    complain(reader.errors)


HEADINGS = ("PROXY", "METHOD", "PATH", "COUNT", "BEST", "WORST", "LAST", "SUCCESS")


@dataclass(slots=True)
class Routes:
    """Requests counted by proxy, method and path, the most frequent of them."""

    _found: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)  # count, good, best, worst, last

    def add(self, found: Record) -> None:
        key = (found.pod, found.method, found.path.partition("?")[0])
        counts = self._found.setdefault(key, [0, 0, float("inf"), 0, 0])
        counts[0] += 1
        counts[1] += 0 < found.status < 500
        counts[2] = min(counts[2], found.milliseconds)
        counts[3] = max(counts[3], found.milliseconds)
        counts[4] = found.milliseconds
        if len(self._found) > REMEMBERED:
            del self._found[min(self._found, key=lambda each: self._found[each][0])]

    def rows(self) -> list[list[str]]:
        most = sorted(self._found.items(), key=lambda each: -each[1][0])[:ROUTES_SHOWN]
        return [
            [
                _cut(pod, 20),
                method,
                _cut(path, 18),
                f"{count:.0f}",
                _ms(best),
                _ms(worst),
                _ms(last),
                f"{good / count:.1%}",
            ]
            for (pod, method, path), (count, good, best, worst, last) in most
        ]


def _conditions(status: str, slower_than: str, trace: str, path: str, method: str) -> Callable[[Record], bool]:
    from mesh.observe.log_lines import wanted

    try:
        return wanted(status, slower_than, trace, path, method)
    except ValueError as error:
        raise CliError(str(error), code=USAGE) from error


def _stream(reader: Reader, follow: bool, tail: int = -1) -> Iterator[Record]:
    """What is known, or the last `tail` of it, and then what comes."""
    known = reader.read()
    yield from known if tail < 0 else known[len(known) - min(tail, len(known)) :]
    complain(reader.errors)
    while follow:
        time.sleep(POLL_SECONDS)
        yield from reader.read()
        complain(reader.errors)


def _is_of(pod: str, service: str) -> bool:
    return not service or pod == service or pod.startswith(f"{service}-")


def _line(found: Record, reasons: Reasons) -> str:
    when = found.start_time.partition("T")[2].rstrip("Z") or found.start_time
    arrow = "←" if found.inbound else "→"
    from mesh.observe.hops import reason_of

    why = reason_of(found, reasons)
    flags = "" if found.flags == "-" else f" {found.flags} {found.details}{': ' if why else ''}{why}"
    return (
        f"{when} {found.pod} {arrow} {found.status or '-'} {_ms(found.milliseconds)} "
        f"{found.method} {found.authority}{found.path}{flags}"
    )


def _tapped(number: int, found: Record) -> Iterator[str]:
    """As Linkerd's tap prints them."""
    way = "in " if found.inbound else "out"
    who = f"id={number} proxy={way} src={found.remote} dst={found.upstream} pod={found.pod}"
    yield f"req {who} :method={found.method} :authority={found.authority} :path={found.path}"
    yield f"rsp {who} :status={found.status} latency={_ms(found.milliseconds)} flags={found.flags}"
    yield f"end {who} duration={_ms(found.milliseconds)} response-length={found.bytes_sent}B"


def _ms(value: float) -> str:
    return "-" if value < 0 else f"{value:.0f}ms"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
