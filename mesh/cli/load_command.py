"""load: requests at a rate of one's choice, and how they fared."""

from __future__ import annotations

import json
import signal
import sys
from base64 import b64decode
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.cli.output import print_table

if TYPE_CHECKING:
    from mesh.load.plan import Plan
    from mesh.load.processes import Progress, Report
    from mesh.load.schedule import Schedule
    from mesh.load.template import RequestSpec

DEFAULT_RATE, DEFAULT_SECONDS = 100.0, 10.0
MOST_RATE = 1_000_000.0


class LoadProtocol(StrEnum):
    HTTP1 = "http1"
    H2 = "h2"
    GRPC = "grpc"


class LoadFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    FORTIO = "fortio"


def load(
    url: Annotated[str, typer.Argument(metavar="[URL]", help="http://HOST[:PORT]/PATH", show_default=False)] = "",
    rate: Annotated[
        float, typer.Option("--rate", "-r", metavar="N", min=0.001, max=MOST_RATE, help="Requests a second.")
    ] = DEFAULT_RATE,
    duration: Annotated[
        float,
        typer.Option(
            "--duration", "-t", metavar="SECONDS", min=0, help="How long.", show_default="10, without --count"
        ),
    ] = 0.0,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=0, help="How many.", show_default=False)] = 0,
    poisson: Annotated[
        bool, typer.Option("--poisson", help="Random gaps, as of users who do not know each other.")
    ] = False,
    ramp: Annotated[
        str, typer.Option("--ramp", metavar="A:B:SECONDS", help="From rate A to rate B.", show_default=False)
    ] = "",
    steps: Annotated[
        str, typer.Option("--steps", metavar="RATE:SECONDS,…", help="Rates one after the other.", show_default=False)
    ] = "",
    replay: Annotated[
        str, typer.Option("--replay", metavar="FILE", help="An access log of Istio's, - for stdin.", show_default=False)
    ] = "",
    speed: Annotated[float, typer.Option("--speed", metavar="X", min=0.001, help="Of a replay.")] = 1.0,
    mix: Annotated[
        str, typer.Option("--mix", metavar="FILE", help="YAML: a list of requests with weights.", show_default=False)
    ] = "",
    method: Annotated[str, typer.Option("--method", "-X", metavar="METHOD", help="GET, POST …")] = "GET",
    header: Annotated[
        list[str], typer.Option("--header", "-H", metavar="NAME:VALUE", help="Repeatable.", show_default=False)
    ] = [],  # noqa: B006  (typer copies it)
    body: Annotated[
        str, typer.Option("--body", "-d", metavar="TEXT", help="@FILE reads one.", show_default=False)
    ] = "",
    connections: Annotated[
        int, typer.Option("--connections", "-c", metavar="N", min=1, max=20_000, help="At most, in all.")
    ] = 64,
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", min=1, max=64, help="That send; one does about 10,000/s.")
    ] = 1,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="From when a request was due.")
    ] = 10.0,
    proxy: Annotated[
        str, typer.Option("--proxy", metavar="HOST:PORT", help="An HTTP proxy, as a sidecar is.", show_default=False)
    ] = "",
    by_header: Annotated[
        str, typer.Option("--by-header", metavar="NAME", help="Count responses by it.", show_default=False)
    ] = "",
    protocol: Annotated[
        LoadProtocol, typer.Option("--protocol", help="h2: HTTP/2 by prior knowledge; grpc: unary calls over it.")
    ] = LoadProtocol.HTTP1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of all that is random.")] = 1,
    output: Annotated[LoadFormat, typer.Option("--output", "-o", help="How to print.")] = LoadFormat.TABLE,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="No live view.")] = False,
) -> None:
    """Send requests at a rate, whatever becomes of them, and tell how long they took.

    Latency counts from the moment a request was due, so a server that stalls cannot hide it (no coordinated omission).
    {{number}}, {{uuid}}, {{random 1 9}} and {{choice a b}} in URL, headers and body are new in each request.

    \b
      mesh load http://127.0.0.1:8080/productpage --rate 200 --duration 30
      mesh load 'http://127.0.0.1:8080/api/v1/products/{{random 0 9}}' --poisson -H 'end-user: jason'
      mesh load http://127.0.0.1:8080 --replay access.log --speed 2
      mesh load --mix pages.yaml --steps 50:10,100:10,200:10 -o json
      mesh load http://127.0.0.1:9000/shop.Prices/Get --protocol grpc -d base64:CgR0ZWE=    (one message)
    """
    from mesh.load.plan import Plan
    from mesh.load.template import RequestSpec

    schedule = _schedule(rate, poisson, ramp, steps)
    order: tuple[int, ...] = ()
    if replay:
        if not url or mix or ramp or steps:
            raise CliError("--replay wants the URL of the server, without a path, and no other schedule", code=USAGE)
        requests, schedule, order = _recording(replay, url, speed)
    elif mix:
        requests = _mix(mix, url)
    elif url:
        requests = (RequestSpec(url, method.upper(), _headers(header), _body(body, protocol)),)
    else:
        raise CliError("name a URL: mesh load http://HOST:PORT/PATH", "or several requests: --mix FILE", code=USAGE)
    if not duration and not count and not replay and not steps:
        duration = DEFAULT_SECONDS
    plan = Plan(
        requests, schedule, duration, count, connections, timeout, processes,
        proxy=proxy, label_header=by_header, seed=seed, order=order, protocol=protocol.value,
    )  # fmt: skip
    import asyncio

    report = asyncio.run(_run(plan, live=output is LoadFormat.TABLE and not no_tui and sys.stdout.isatty()))
    _print(report, output)


def _schedule(rate: float, poisson: bool, ramp: str, steps: str) -> Schedule:
    from mesh.load.schedule import Constant, Poisson, parse_ramp, parse_steps

    if bool(poisson) + bool(ramp) + bool(steps) > 1:
        raise CliError("--poisson, --ramp and --steps exclude each other", code=USAGE)
    try:
        if ramp:
            return parse_ramp(ramp)
        if steps:
            return parse_steps(steps)
    except ValueError as error:
        raise CliError(f"{'--ramp' if ramp else '--steps'}: {error}", code=USAGE) from error
    return Poisson(rate) if poisson else Constant(rate)


def _recording(file: str, url: str, speed: float) -> tuple[tuple[RequestSpec, ...], Schedule, tuple[int, ...]]:
    from mesh.load.access_log import read_log

    recording = read_log(_text(file).splitlines(), url, speed)
    if recording.skipped:
        print(f"{recording.skipped} lines of {file} are of no format that is known here, and left out", file=sys.stderr)
    return recording.requests, recording.schedule, recording.order


def _mix(file: str, base: str) -> tuple[RequestSpec, ...]:
    import yaml

    from mesh.load.template import RequestSpec, TemplateError

    try:
        rows = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise CliError(f"{file}: is not YAML: {error}") from error
    rows = rows.get("requests") if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not rows:
        raise CliError(f"{file}: must be a list of requests", "- {url: http://HOST:PORT/PATH, weight: 3}")
    specs = []
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise CliError(f"{file}: [{index}]: must be a mapping with a url")
        if isinstance(row.get("url"), str) and row["url"].startswith("/"):
            row = {**row, "url": base.rstrip("/") + row["url"]}
        try:
            specs.append(RequestSpec.of(row))
        except TemplateError as error:
            raise CliError(f"{file}: [{index}].{error}") from error
    return tuple(specs)


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise CliError(f"--header {text!r}: expected NAME:VALUE", code=USAGE)
        headers[name.strip()] = value.strip()
    return headers


def _body(text: str, protocol: LoadProtocol) -> str:
    """A gRPC message is bytes, which travel as the characters with their numbers."""
    if protocol is not LoadProtocol.GRPC:
        return _text(text[1:]) if text.startswith("@") else text
    try:
        if text.startswith("@"):
            return Path(text[1:]).read_bytes().decode("latin-1")
        if text.startswith("base64:"):
            return b64decode(text.removeprefix("base64:"), validate=True).decode("latin-1")
    except OSError as error:
        raise CliError(f"{text[1:]}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CliError(f"--body: is no base64: {error}", code=USAGE) from error
    return text


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


async def _run(plan: Plan, live: bool) -> Report:
    """To its end, or to Ctrl-C: what has come until then is reported."""
    import asyncio

    from mesh.load.processes import run_load

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if not live:
        return await run_load(plan, None, stop)
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), transient=True, auto_refresh=False) as view:
        progress: Progress = lambda report: view.update(_picture(report), refresh=True)  # noqa: E731
        return await run_load(plan, progress, stop)


def _picture(report: Report) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from mesh.load.report import HEADINGS, failures, headline, rows

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if index == 0 else "right")
    for row in rows(report):
        table.add_row(*row)
    return Group(Text(headline(report)), table, Text(failures(report.totals), style="red"))


def _print(report: Report, output: LoadFormat) -> None:
    from mesh.load.report import HEADINGS, as_fortio, as_json, failures, headline, rows

    if output is not LoadFormat.TABLE:
        print(json.dumps(as_json(report) if output is LoadFormat.JSON else as_fortio(report), indent=2))
        return
    print(headline(report))
    print_table(HEADINGS, list(rows(report)))
    if found := failures(report.totals):
        print(f"failed: {found}")
    if report.totals.labels:
        total = sum(report.totals.labels.values())
        shares = sorted(report.totals.labels.items(), key=lambda each: -each[1])
        print("by header: " + ", ".join(f"{name} {100 * n / total:.1f} %" for name, n in shares))
