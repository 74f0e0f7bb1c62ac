"""Experiments, on paper: what they would do."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import OURS, PAPER, Case, document

VERSIONS: Final = "baseline: {subset: v1}, candidate: {subset: v3}, "
CHECKS: Final = (
    "checks: [{errorShare: {max: 5}}, {errorIncrease: {max: 1}}, {latency: {quantile: 0.9, max: 300ms}}, "
    "{latencyRatio: {quantile: 0.5, max: 1.5}}]"
)
MATCH: Final = (
    "[{name: m, uri: {prefix: /a}, ignoreUriCase: true, scheme: {exact: http}, method: {regex: G.*}, authority: {prefix: b}, "
    "headers: {x: {exact: a}}, withoutHeaders: {y: {exact: b}}, queryParams: {q: {exact: c}}, port: 80, "
    "sourceLabels: {app: client}, sourceNamespace: default, gateways: [mesh], statPrefix: s}]"
)


def experiment(name: str, strategy: str, versions: str = VERSIONS, target: str = "host: $HOST", more: str = "") -> Case:
    spec = f"target: {{{target}}}, {versions}strategy: {{{strategy}}}, {CHECKS}{more}"
    return Case(f"experiment: {name}", more=document("Experiment", spec, group=OURS), bare=True, via=PAPER, to="")


def fault(name: str, what: str, more: str = "") -> Case:
    return experiment(name, f"fault: {{{what}, duration: 10s, before: 7s, recovery: 5s{more}}}", "")


CASES: Final = (
    experiment("a canary", "canary: {mirrorFirst: {percent: 20, duration: 9s, requests: 7}, stickyCookie: c, steps: [{weight: 10, "
               "duration: 30s}, {weight: 20, requests: 50}, {weight: 30, manual: true}, "
               "{weight: 50, webhook: 'http://127.0.0.1/ask'}]}",
               target="host: $HOST, port: 80, virtualService: mine",
               more=", schedule: {start: '2027-01-17T10:00:00Z', timeZone: Europe/Berlin, windows: [{days: [Mon, Tue, Wed, Thu, "
                    "Fri, Sat, Sun], hours: '09:00-17:00'}]}"),
    *(experiment(f"on {day}", "blueGreen: {warmup: 5s, duration: 30s}",
                 more=f", schedule: {{timeZone: UTC, windows: [{{days: [{day}], hours: '09:00-17:00'}}]}}")
      for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")),
    experiment("of some requests", f"ab: {{share: 30, match: {MATCH}, stickyCookie: c, duration: 9s, requests: 7}}"),
    experiment("a version beside itself", "aa: {share: 40, duration: 9s, requests: 7}"),
    experiment("copies", "mirror: {percent: 20, compare: {host: other.example.com, port: 81, report: 'http://127.0.0.1/r'}, "
               "duration: 9s, requests: 7}"),
    fault("errors", "abort: {status: 503, percent: 50}, delay: {fixed: 1s, percent: 40}, observe: callers, "
          f"match: {MATCH}"),
    *(fault(f"errors at {place}", "abort: {status: 503}", f", at: {place}") for place in ("client", "upstream")),
    fault("slow bodies", "throttle: {limitKbps: 5, percent: 50}"),
    fault("no answers", "reset: {percent: 50}"),
    fault("who is paused", "processes: {workloads: [a], signal: pause}"),
    fault("connections that are held", "connections: {host: a, port: 1, count: 5}"),
    fault("names that are slow", "dns: {host: a, port: 1, delay: 1s}"),
)  # fmt: skip
