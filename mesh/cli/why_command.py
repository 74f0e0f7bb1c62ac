"""why: what became of a request that has happened, at each proxy that it passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.cli.live_proxy import configuration, resources_of
from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, print_data
from mesh.cli.watching import complain, everybody

if TYPE_CHECKING:
    from mesh.explain.steps import Step
    from mesh.observe.log_lines import Record

WIDTH = 80


@dataclass(slots=True)
class _Hop:
    """One proxy's part: its log line, why it answered itself if it did, and the rules that lead where it sent it."""

    found: Record
    why: str = ""
    rules: list[Step] = field(default_factory=list)


def why(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST-ID", help="Its x-request-id, as `mesh logs` and `mesh traces` show it.")
    ],
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Explain what became of one request: every hop in order, where each proxy sent it and by which rule, how it ended,
    and why. From what the proxies still have: their last 2,000 log lines and 1,000 replies of their own.

    \b
      mesh why 3f1c2f1e-6d0b-9d3f-b0a2-6d6f0c3c2f4a
    """
    plane = ControlPlane(server)
    hops = _hops(server, request_id)
    if not hops:
        raise CliError(
            f"no proxy has logged a request {request_id}",
            "each keeps its last 2,000 lines, in Istio's text or JSON format; what there is: mesh logs",
        )
    _add_rules(plane, hops)
    if output is not Format.TABLE:
        print_data([_data(hop) for hop in hops], output)
        return
    for line in _text(request_id, hops):
        print(line)


def _hops(server: str, request_id: str) -> list[_Hop]:
    from mesh.observe.gather import ask
    from mesh.observe.hops import hops, reason_of, reasons, records

    proxies = everybody(server)
    logs = ask(proxies, "/logs")
    complain(logs.errors)
    found = hops(records(logs.found), request_id)
    whys = reasons(ask(proxies, "/why").found) if found else {}
    return [_Hop(each, reason_of(each, whys)) for each in found]


def _add_rules(plane: ControlPlane, hops: list[_Hop]) -> None:
    """By what each proxy has now: it may have had something else when the request came."""
    from mesh.explain.origins import Origins, key_of
    from sidecar.explain.given import Call, Given
    from sidecar.explain.way import rules_to

    by_name = {proxy["name"]: proxy for proxy in plane.proxies() if proxy["connected"]}
    given: dict[str, Given] = {}
    for hop in hops:
        found = hop.found
        proxy = by_name.get(found.pod)
        if found.inbound or proxy is None or found.cluster in ("", "-"):
            continue
        if found.pod not in given:
            given[found.pod] = Given(configuration(plane, proxy))
        call = Call(found.method, f"http://{found.authority}{found.path}")
        hop.rules = [*rules_to(given[found.pod], call, found.cluster)]
    sources = [step.source for hop in hops for step in hop.rules if step.source is not None]
    origins = Origins(resources_of(plane, filter(None, (key_of(source.config) for source in sources))))
    for hop in hops:
        hop.rules = [replace(s, origin=origins.find(s.source) if s.source is not None else None) for s in hop.rules]


# ── showing it ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(request_id: str, hops: list[_Hop]) -> list[str]:
    from mesh.explain.view import text_of_steps

    first = hops[0].found
    ended = f"{first.status or 'no answer'} in {first.milliseconds:.0f} ms"
    lines = [f"request {request_id}", f"{first.method} {first.authority}{first.path}: {ended}", ""]
    for number, hop in enumerate(hops, start=1):
        lines += text_of_steps(_steps(number, hop), WIDTH)
    return lines


def _steps(number: int, hop: _Hop) -> list[Step]:
    from mesh.explain.flags import details_in_words, flags_in_words
    from mesh.explain.steps import Step

    found = hop.found
    way = "from the network to its app" if found.inbound else "from its app on" if _is_sidecar(found) else "onwards"
    failed = found.status == 0 or found.status >= 500
    head = Step(f"{number} {found.pod}", "", None)
    inner = [
        Step("way", f"{way}: {found.method} {found.authority}{found.path}"),
        Step(
            "ended",
            f"{found.status or 'no answer'} in {found.milliseconds:.0f} ms: {details_in_words(found.details)}",
            not failed,
        ),
    ]
    inner += [Step("flag", words, False) for words in flags_in_words(found.flags)]
    if hop.why:
        inner.append(Step("why", hop.why, False))
    if found.cluster not in ("", "-"):
        inner.append(Step("cluster", found.cluster))
    if found.upstream not in ("", "-"):
        inner.append(Step("endpoint", found.upstream))
    if len(hop.rules) > 1:
        inner.append(Step("by", "one of these rules: the log does not have the request's headers"))
    return [replace(head, steps=(*inner, *hop.rules))]


def _is_sidecar(found: Record) -> bool:
    return not found.pod.startswith("istio-")


def _data(hop: _Hop) -> Mapping[str, Any]:
    from mesh.explain.flags import details_in_words, flags_in_words
    from mesh.explain.steps import step_json

    found = hop.found
    return {
        "pod": found.pod,
        "direction": "inbound" if found.inbound else "outbound",
        "method": found.method,
        "authority": found.authority,
        "path": found.path,
        "status": found.status,
        "milliseconds": found.milliseconds,
        "details": found.details,
        "ended": details_in_words(found.details),
        "flags": flags_in_words(found.flags),
        "why": hop.why,
        "route": found.route,
        "cluster": found.cluster,
        "endpoint": found.upstream,
        "rules": [step_json(step) for step in hop.rules],
    }
