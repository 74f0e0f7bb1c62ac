"""Panels of the kinds that the boards use. Each takes its title, the question that it answers, and its queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24  # columns of Grafana's grid
HEIGHT: Final = 8
SMALL: Final = 4

# Units by Grafana's names.
PER_SECOND: Final = "reqps"
SHARE: Final = "percentunit"
MILLISECONDS: Final = "ms"
SECONDS: Final = "s"
BYTES: Final = "bytes"
BYTES_PER_SECOND: Final = "Bps"
COUNT: Final = "short"
EVENTS_PER_SECOND: Final = "ops"

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Level = tuple[float | None, str]  # from which value on which colour


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and how its series are called."""

    expr: str
    legend: str = ""

    def build(self, ref: str, *, instant: bool = False) -> prometheus.Dataquery:
        query = prometheus.Dataquery().expr(self.expr).legend_format(self.legend or "__auto").ref_id(ref)
        return query.instant().format(PromQueryFormat.TABLE) if instant else query.range()


def number(
    title: str, question: str, query: str, unit: str = COUNT, *, levels: tuple[Level, ...] = (), width: int = 4
) -> stat.Panel:
    """One value, with its course behind it."""
    panel = stat.Panel().title(title).description(question).datasource(SOURCE).unit(unit).span(width).height(SMALL)
    panel = panel.graph_mode(options.BigValueGraphMode.AREA).with_target(Query(query).build("A"))
    return panel.thresholds(_thresholds(levels or ((None, BLUE),)))


def lines(
    title: str, question: str, *queries: Query, unit: str = COUNT, width: int = 12, stacked: bool = False
) -> timeseries.Panel:
    """Courses of values over time."""
    panel = timeseries.Panel().title(title).description(question).datasource(SOURCE).unit(unit).span(width)
    panel = (
        panel.height(HEIGHT).fill_opacity(30 if stacked else 8).line_width(1).show_points(options.VisibilityMode.NEVER)
    )
    if unit == SHARE:
        panel = panel.axis_soft_max(1)
    panel = (
        panel.min(0)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    for ref, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(query.build(ref))
    return panel


def states(title: str, question: str, query: Query, values: dict[int, tuple[str, str]], width: int = 24) -> Any:
    """Which of a few states something was in; `values` are text and colour by number."""
    mapping = models.ValueMap(
        options={
            str(value): models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(values.items())
        }
    )
    panel = statetimeline.Panel().title(title).description(question).datasource(SOURCE).span(width).height(HEIGHT)
    panel = panel.mappings([mapping]).thresholds(_thresholds(((None, GREEN),))).merge_values(True)
    return panel.show_value(options.VisibilityMode.AUTO).with_target(query.build("A"))


def rows(title: str, question: str, columns: dict[str, tuple[Query, str]], by: tuple[str, ...], width: int = 24) -> Any:
    """A table with a row for each combination of the labels `by`; `columns` are query and unit by heading."""
    panel = table.Panel().title(title).description(question).datasource(SOURCE).span(width).height(HEIGHT + 1)
    names = {}
    for ref, (heading, (query, unit)) in zip("ABCDEFGH", columns.items(), strict=False):
        panel = panel.with_target(query.build(ref, instant=True))
        panel = panel.override_by_name(heading, [models.DynamicConfigValue(id_val="unit", value=unit)])
        names[f"Value #{ref}"] = heading
    names |= {label: label.removeprefix("destination_").replace("_", " ") for label in by}
    return panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={})).with_transformation(
        models.DataTransformerConfig(
            id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": names, "indexByName": {}}
        )
    )


def row(title: str) -> dashboard.Row:
    return dashboard.Row(title)


def board(uid: str, title: str, about: str) -> dashboard.Dashboard:
    """An empty board: the last quarter of an hour, drawn anew every five seconds, changes of configuration marked."""
    found = dashboard.Dashboard(title).uid(uid).description(about).tags(["mesh", "istio"]).timezone("browser")
    found = found.refresh("5s").time("now-15m", "now").tooltip(models.DashboardCursorSync.CROSSHAIR).editable()
    found = found.link(
        dashboard.DashboardLink("Mesh boards")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["mesh"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )
    changes = dashboard.AnnotationQuery().name("Configuration").enable(True).icon_color("purple").datasource(SOURCE)
    changes = changes.expr("sum by (type, event) (increase(pilot_k8s_cfg_events[10s])) > 0")
    return found.annotation(changes).with_variable(
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    )


def variable(name: str, label: str, query: str, *, several: bool = True) -> dashboard.QueryVariable:
    """A choice among a label's values; all of them where `several` may be chosen."""
    found = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    found = found.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    if several:
        found = found.multi(True).include_all(True).all_value(".*")
        found = found.current(models.VariableOption(text=["All"], value=["$__all"]))
    return found


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _thresholds(levels: tuple[Level, ...]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in levels])
    )
