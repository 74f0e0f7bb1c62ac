"""alerts: Prometheus' alerting rules, evaluated by Prometheus where there is one and by ourselves where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, age, print_data, print_table
from mesh.cli.watching import everybody
from mesh.clock import Clock, SystemClock
from mesh.errors import MeshError

if TYPE_CHECKING:
    from mesh.alerts.engine import Alert, Engine
    from mesh.observe.scrape import Scraper

INTERVAL_SECONDS = 5.0
ROUNDS_AT_LEAST = 3  # a rate needs two samples, and a counter that is new one more
LONGEST_WINDOW = 6 * 3600.0
HEADINGS = ["ALERT", "STATE", "SINCE", "WHAT", "NEXT"]

Rules = Annotated[
    list[Path], typer.Option("--rules", metavar="FILE", help="Rule files of Prometheus. Default: the mesh's own.")
]
Seconds = Annotated[
    float, typer.Option("--for", metavar="SECONDS", min=0, help="Measure for so long, then print and end.")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on, and say when an alert begins or ends.")]
Webhook = Annotated[
    str, typer.Option("--webhook", metavar="URL", help="Post changes there, as Alertmanager would. With --watch.")
]
Prometheus = Annotated[
    str, typer.Option("--prometheus", metavar="URL", envvar="MESH_PROMETHEUS", help="Ask this Prometheus instead.")
]


def alerts(
    watch: Watch = False,
    seconds: Seconds = 3 * INTERVAL_SECONDS,
    rules: Rules = [],  # noqa: B006  # typer copies it
    webhook: Webhook = "",
    prometheus: Prometheus = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show which alerts are firing or about to.

    The rules are Prometheus'. Without one the metrics are taken from the proxies themselves, for as long as the command
    runs: windows that are longer than that see what there is. Exit code 1 when an alert is firing.

    \b
      mesh alerts
      mesh alerts --watch --webhook http://127.0.0.1:9000/alerts
      mesh alerts --prometheus http://127.0.0.1:9090
    """
    if webhook and not watch:
        raise CliError("--webhook wants --watch: changes are posted as they happen", code=USAGE)
    if prometheus:
        _show(_asked(prometheus), output)
        return
    engine, scraper = _engine(rules)
    if watch:
        _watch(engine, scraper, server, webhook)
    _measure(engine, scraper, server, seconds)
    for name, reason in {**scraper.errors, **engine.errors}.items():
        print(f"{name}: {reason}", file=sys.stderr)
    _show(engine.alerts(), output)


def _engine(rules: Sequence[Path]) -> tuple[Engine, Scraper]:
    from mesh.alerts.engine import Engine
    from mesh.alerts.rules import load
    from mesh.cli.examples import ROOT
    from mesh.observe.scrape import Scraper, names
    from mesh.promql.series import Store

    paths = list(rules) or sorted((ROOT / "examples" / "prometheus" / "rules").glob("*.yml"))
    groups = [group for path in paths for group in load(path)]
    store = Store(keep=LONGEST_WINDOW)
    recorded = {rule.name for group in groups for rule in group.rules if rule.record}
    wanted = names(rule.expression for group in groups for rule in group.rules) - recorded
    return Engine(groups, store), Scraper(store, wanted, SystemClock())


def _measure(engine: Engine, scraper: Scraper, server: str, seconds: float) -> None:
    ends, rounds = time.monotonic() + seconds, 0
    while rounds < ROUNDS_AT_LEAST or time.monotonic() < ends:
        if rounds:
            time.sleep(min(INTERVAL_SECONDS, max(1.0, seconds / ROUNDS_AT_LEAST)))
        _round(engine, scraper, server, SystemClock())
        rounds += 1


def _watch(engine: Engine, scraper: Scraper, server: str, webhook: str) -> None:
    """Until Ctrl-C."""
    from mesh.alerts.webhook import WebhookError, checked, post

    if webhook:
        checked(webhook)
    print(f"watching {sum(len(group.rules) for group in engine.groups)} rules; Ctrl-C ends it", file=sys.stderr)
    while True:
        changed = _round(engine, scraper, server, SystemClock())
        for alert in changed:
            print(f"{time.strftime('%H:%M:%S')} {alert.state:8} {alert.name}   {_what(alert)}", flush=True)
        if changed and webhook:
            try:
                post(webhook, changed, server)
            except WebhookError as error:
                print(error, file=sys.stderr)
        time.sleep(INTERVAL_SECONDS)


def _round(engine: Engine, scraper: Scraper, server: str, clock: Clock) -> list[Alert]:
    """Whom there is to ask may change meanwhile; while the control plane is away, those known last are asked."""
    try:
        scraper.targets = everybody(server)
    except MeshError:
        if not scraper.targets:
            raise
    scraper.scrape(scraper.targets)
    return engine.evaluate(clock.wall())


def _asked(url: str) -> list[Alert]:
    """The alerts of a Prometheus that has the rules."""
    import json
    from datetime import datetime
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener

    from mesh.alerts.engine import Alert, State

    try:
        with build_opener(ProxyHandler({})).open(f"{url.rstrip('/')}/api/v1/alerts", timeout=10) as answer:
            found = json.load(answer)["data"]["alerts"]
    except (URLError, OSError, ValueError, KeyError) as error:
        raise CliError(f"{url} is not a Prometheus that answers: {error}") from error
    return [
        Alert(
            each["labels"].pop("alertname", "?"),
            each["labels"],
            each["annotations"],
            State(each["state"]),
            datetime.fromisoformat(each["activeAt"][:19] + "+00:00").timestamp(),
            float(each["value"]),
        )
        for each in found
    ]


def _show(found: Sequence[Alert], output: Format) -> None:
    from mesh.alerts.engine import State

    if output is not Format.TABLE:
        from dataclasses import asdict

        print_data([asdict(alert) | {"state": str(alert.state)} for alert in found], output)
    elif not found:
        print("no alert is firing, and none is about to")
    else:
        rows = [
            [alert.name, alert.state.value, age(alert.since), _what(alert), alert.annotations.get("next", "")]
            for alert in found
        ]
        print_table(HEADINGS, rows)
    if any(alert.state is State.FIRING for alert in found):
        raise typer.Exit(1)


def _what(alert: Alert) -> str:
    return alert.annotations.get("summary") or ", ".join(f"{name}={value}" for name, value in alert.labels.items())
