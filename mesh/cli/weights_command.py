"""weights: how requests are to be split, and how they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.cli.live_proxy import configuration, host_states, resources_of
from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, print_data, print_table
from mesh.cli.watching import Window, complain, everybody
from mesh.naming import ClusterName

if TYPE_CHECKING:
    from mesh.explain.origins import Origins
    from mesh.explain.steps import Source
    from mesh.explain.weights import Share, Split
    from mesh.observe.split_counts import Counts
    from sidecar.explain.given import Given
    from sidecar.explain.splits import RuleSplit

DEFAULT_WINDOW = 10
HEADINGS = ("CALLER", "TO", "CONFIGURED", "OBSERVED", "95 % INTERVAL", "REQUESTS")
WIDTH = 80
OUT_OF_USE = frozenset(("failed_outlier_check", "failed_active_hc", "failed_eds_health", "eds_status_draining"))


def weights(
    host: Annotated[str, typer.Argument(metavar="HOST", help="A service: reviews, or its full name.")],
    caller: Annotated[
        str, typer.Option("--from", metavar="PROXY", help="Only this caller's, by its proxy's name.")
    ] = "",
    window: Window = DEFAULT_WINDOW,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Compare the configured split of a host's requests with what its callers do, each share with its interval, and say
    what explains a difference.

    Counts for a few seconds first: the more requests there are in them, the narrower the intervals.

    \b
      mesh weights reviews
      mesh weights reviews --window 60
    """
    from mesh.observe.split_counts import counts

    plane = ControlPlane(server)
    targets = everybody(server)
    before = counts(targets)
    time.sleep(window)
    seen = counts(targets).since(before)
    complain(seen.errors)
    splits, whole = _splits(plane, host, caller, seen)
    if output is not Format.TABLE:
        print_data([_data(split) for split in splits], output)
        return
    if not splits:
        print(f"no rule splits the requests to {whole}: load balancing among its endpoints decides")
        return
    _print(splits, window)


def _splits(plane: ControlPlane, host: str, caller: str, seen: Counts) -> tuple[list[Split], str]:
    """A split for each caller that has sent requests to the host, or for all of them where none has."""
    from mesh.explain.origins import Origins, key_of
    from sidecar.explain.given import Given
    from sidecar.explain.splits import rules_of

    whole, found, known = "", [], False
    for proxy in plane.proxies():
        if not proxy["connected"] or caller not in ("", proxy["name"]):
            continue
        known = True
        given = Given(configuration(plane, proxy))
        name = _full_name(given, host)
        if not name:
            continue
        whole = name
        rules, others = rules_of(given, name)
        if rules:
            found.append((proxy, given, rules, others))
    if not known:
        raise CliError(f"no proxy {caller or 'at all'} is connected", "those that are: mesh proxy-status")
    if not whole:
        raise CliError(f"no proxy knows a service {host}", "those that there are: mesh proxy-config clusters PROXY")
    sources = [
        source for _, _, rules, _ in found for rule in rules for _, source in rule.in_front if source is not None
    ]
    origins = Origins(resources_of(plane, filter(None, (key_of(source.config) for source in sources))))
    splits = [_split(proxy, rules, others, seen, origins) for proxy, _, rules, others in found]
    active = [split for split in splits if split.total]
    notes = _strangers(seen, whole)
    return [_noted(split, notes) for split in active or splits], whole


def _full_name(given: Given, host: str) -> str:
    """The service that is meant: of this name, else in the namespace `default`, else in the first one by name."""
    from sidecar.explain.splits import hosts_called

    host = host.rpartition("//")[2].partition("/")[0].partition(":")[0]  # of a URL, or HOST:PORT
    fitting = sorted(name for name in hosts_called(given) if name == host or name.startswith(f"{host}."))
    return min(fitting, key=lambda name: (name != host, f"{host}.default." not in name), default="")


def _split(proxy: Mapping[str, Any], rules: list[RuleSplit], others: int, seen: Counts, origins: Origins) -> Split:
    from mesh.explain.weights import Split

    rule = rules[0]
    return Split(
        str(proxy["name"]),
        tuple(_shares(proxy, rule, seen)),
        rule.decided_by,
        tuple(_asks(words, source, origins) for words, source in rule.in_front),
        others + len(rules) - 1,
        rule.connections,
    )


def _asks(words: str, source: Source | None, origins: Origins) -> str:
    origin = origins.find(source) if source is not None else None
    return f"{words} ({origin})" if origin is not None else words


def _shares(proxy: Mapping[str, Any], rule: RuleSplit, seen: Counts) -> Iterable[Share]:
    from mesh.explain.weights import Share
    from mesh.observe.split_counts import CONNECTIONS, RETRY, TOTAL

    pod, metric = str(proxy["name"]), CONNECTIONS if rule.connections else TOTAL
    states, _ = host_states(proxy, [name for name, _ in rule.shares])
    for cluster, share in rule.shares:
        retries = int(seen.sent.get((pod, RETRY, cluster), 0.0))
        requests = int(seen.sent.get((pod, metric, cluster), 0.0)) - (0 if rule.connections else retries)
        hosts = [state for (name, _), state in states.items() if name == cluster]
        out = [state for state in hosts if OUT_OF_USE.intersection(state.flags)]
        unusable = f"{len(out)} of {len(hosts)} endpoints are out of use" if hosts and len(out) == len(hosts) else ""
        yield Share(_short(cluster), share, max(requests, 0), retries, unusable)


def _short(cluster: str) -> str:
    parsed = ClusterName.parse(cluster)
    return cluster if parsed is None else parsed.subset or parsed.host


def _strangers(seen: Counts, host: str) -> tuple[str, ...]:
    count = int(seen.strangers.get(host, 0.0))
    if not count:
        return ()
    return (
        f"{count} requests came from callers without a proxy: no rule counts for them, and they are not in the table",
    )


def _noted(split: Split, notes: tuple[str, ...]) -> Split:
    from dataclasses import replace

    return replace(split, notes=(*split.notes, *notes))


# ── showing it ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(splits: list[Split], window: int) -> None:
    import textwrap

    from mesh.explain.weights import reasons, table, verdict

    print_table(HEADINGS, table(splits))
    print()
    for split in splits:
        print(f"{split.caller}, in {window} s: {verdict(split)}")
        for why in reasons(split):
            lines = textwrap.wrap(why, WIDTH - 4, break_on_hyphens=False)
            print("  - " + "\n    ".join(lines))


def _data(split: Split) -> dict[str, Any]:
    from mesh.explain.weights import agrees, intervals, reasons, verdict

    return {
        "caller": split.caller,
        "requests": split.total,
        "as_configured": agrees(split) if split.total else None,
        "verdict": verdict(split),
        "reasons": reasons(split),
        "shares": [
            {
                "to": share.name,
                "configured": share.configured,
                "observed": share.requests / split.total if split.total else None,
                "interval": [interval.low, interval.high],
                "requests": share.requests,
                "retries": share.retries,
            }
            for share, interval in zip(split.shares, intervals(split), strict=True)
        ],
    }
