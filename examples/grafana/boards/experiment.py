"""A traffic experiment: the versions of one service side by side, with how sure one can be."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import COUNT, MILLISECONDS, SHARE, Query
from examples.grafana.boards.queries import quantile, requests, success, wilson

THIS = 'reporter="source", destination_service_name="$service", destination_version!="unknown"'
VERSION = "destination_version"
LEGEND = "{{destination_version}}"


def build() -> Dashboard:
    board = panels.board("mesh-experiment", "Experiment", "Versions of a service beside each other.")
    board = board.with_variable(
        panels.variable(
            "service", "Service", "label_values(istio_requests_total, destination_service_name)", several=False
        )
    )
    for panel in (*_split(), *_answers()):
        board = board.with_panel(panel)
    return board


def _split() -> tuple[object, ...]:
    observed = f"{requests(THIS, VERSION)} / ignoring ({VERSION}) group_left () ({requests(THIS)} > 0)"
    configured = 'sum by (subset) (mesh_route_weight{host=~"$service([.].*)?", subset!=""})'
    return (
        panels.lines(
            "Split",
            "Is traffic shared as configured?",
            Query(observed, f"{LEGEND} observed"),
            Query(configured, "{{subset}} configured"),
            unit=SHARE,
        ),
        panels.lines(
            "Requests so far",
            "How much evidence is there for each version, in the time shown?",
            Query(f"sum by ({VERSION}) (increase(istio_requests_total{{{THIS}}}[$__range]))", LEGEND),
            unit=COUNT,
        ),
    )


def _answers() -> tuple[object, ...]:
    return (
        panels.lines(
            "Success",
            "Does one version fail more often at the moment?",
            Query(success(THIS, VERSION), LEGEND),
            unit=SHARE,
        ),
        panels.lines(
            "Success with its interval",
            "Between which bounds is each version's success, 95 times in a hundred?",
            Query(wilson(THIS, VERSION, upper=False), f"{LEGEND} at least"),
            Query(wilson(THIS, VERSION, upper=True), f"{LEGEND} at most"),
            unit=SHARE,
        ),
        panels.lines(
            "p50", "Is one version slower for most?", Query(quantile(0.5, THIS, VERSION), LEGEND), unit=MILLISECONDS
        ),
        panels.lines(
            "p99",
            "Is one version slower for the unlucky?",
            Query(quantile(0.99, THIS, VERSION), LEGEND),
            unit=MILLISECONDS,
        ),
    )
