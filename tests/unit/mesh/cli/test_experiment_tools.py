"""`mesh experiment simulate` over what a report has counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.cli.errors import CliError
from mesh.cli.experiment_tools import simulate

EXPERIMENT = """
apiVersion: mesh.asyncmesh.io/v1alpha1
kind: Experiment
metadata: {name: stricter}
spec:
  target: {host: reviews}
  baseline: {subset: v1}
  candidate: {subset: v2}
  strategy: {canary: {steps: [{weight: 50, duration: 10s}]}}
  checks: [{errorIncrease: {max: 1}}]
  interval: 5s
"""


def side(failures: float) -> dict[str, object]:
    return {"requests": 1000.0, "failures": failures, "bounds": [10.0, 100.0], "shares": [0.5, 0.99]}


def test_a_rule_over_recorded_traffic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    (tmp_path / "report.json").write_text(json.dumps({"baseline": side(1), "candidate": side(80)}))
    simulate(str(tmp_path / "experiment.yaml"), runs=10, recorded=str(tmp_path / "report.json"))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if " ours " in line]
    (_, *equal), (_, *recorded) = (row[row.index("ours") :] for row in rows)
    assert (equal[0], recorded[2]) == ("100", "100")  # promoted, and rolled back, for sure


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"baseline": {}, "candidate": {}}', '{"baseline": 1, "candidate": 2}']
)
def test_what_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(CliError, match=r"report.json: is not a report with traffic of two versions"):
        simulate(str(tmp_path / "experiment.yaml"), runs=1, recorded=str(tmp_path / "report.json"))
