"""Access logs in Loki, where somebody brings them there (labels `app` and `pod`, lines in Istio's JSON format)."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, logs, loki
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models

SOURCE = models.DataSourceRef(type_val="loki", uid="${loki}")
LINES = '{app=~"$app"} | json | __error__=""'


def build() -> Dashboard:
    board = (
        dashboard.Dashboard("Access logs").uid("mesh-logs").description("Requests one by one, as the proxies log them.")
    )
    board = board.tags(["mesh", "istio"]).timezone("browser").refresh("10s").time("now-15m", "now").editable()
    board = board.with_variable(dashboard.DatasourceVariable("loki").label("Loki").type("loki"))
    board = board.with_variable(dashboard.TextBoxVariable("app").label("App").default_value(".+"))
    return (
        board.with_panel(
            _lines("Failed", "Which requests failed, and how?", f"{LINES} | response_code >= 500 or response_code = 0")
        )
        .with_panel(_lines("Slow", "Which requests took longer than half a second?", f"{LINES} | duration > 500"))
        .with_panel(_lines("All", "What is asked?", LINES))
    )


def _lines(title: str, question: str, expr: str) -> logs.Panel:
    panel = logs.Panel().title(title).description(question).datasource(SOURCE).span(24).height(9)
    panel = panel.show_time(True).enable_log_details(True).sort_order(options.LogsSortOrder.DESCENDING)
    return panel.with_target(loki.Dataquery().expr(expr).ref_id("A"))
