"""experiment plan, simulate, import: without a control plane."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.cli.output import print_table

if TYPE_CHECKING:
    from mesh.experiments.resource import Experiment
    from mesh.experiments.traffic import Recorded

File = Annotated[str, typer.Argument(metavar="FILE", help="The experiment's YAML, - for stdin.")]
Rate = Annotated[
    float, typer.Option("--rate", "-r", metavar="N", min=0.001, help="Requests a second, to both versions.")
]
Baseline = Annotated[
    float, typer.Option("--errors", metavar="PERCENT", min=0, max=50, help="The baseline's share of failures.")
]
P50 = Annotated[float, typer.Option("--p50", metavar="MS", min=0.1, help="The baseline's median latency.")]
P99 = Annotated[float, typer.Option("--p99", metavar="MS", min=0.2, help="The baseline's p99.")]
Runs = Annotated[int, typer.Option("--runs", metavar="N", min=1, max=100_000, help="Simulated experiments a row.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of all that is random.")]


def plan(
    file: File,
    rate: Rate,
    errors: Baseline = 0.1,
) -> None:
    """Tell how many requests an experiment takes, and how long, at its α and power.

    \b
      mesh experiment plan examples/experiments/reviews-v3.yaml --rate 50 --errors 0.5
    """
    from mesh.experiments.planning import needed_for_errors

    name, spec = _read(file)
    limits = [each.error_increase.max for each in spec.checks if each.error_increase is not None]
    share = _share(spec)
    print(f"{name}: {share:.0%} of {rate:g} requests/s to the candidate, α {spec.alpha:g}, power {spec.power:g}")
    if not limits:
        raise CliError("it has no errorIncrease check", "latencies: mesh experiment simulate", code=USAGE)
    rows = []
    for limit in limits:
        for more in (0.0, limit + 1, limit + 2, limit + 5):
            needed = needed_for_errors(
                errors / 100, (errors + more) / 100, limit / 100, share, spec.alpha, spec.power, len(spec.checks)
            )
            verdict = "promote" if more <= limit else "roll back"
            number = "-" if needed.total is None else str(needed.total)
            rows.append([f"{errors + more:g} %", verdict, number, _duration(needed.seconds(rate))])
    print_table(["CANDIDATE FAILS", "VERDICT", "REQUESTS TO BOTH", "TIME"], rows)


def simulate(
    file: File,
    rate: Rate = 100.0,
    errors: Baseline = 0.5,
    p50: P50 = 60.0,
    p99: P99 = 300.0,
    runs: Runs = 100,
    seed: Seed = 1,
    recorded: Annotated[
        str,
        typer.Option("--recorded", metavar="REPORT", help="Draw from what an experiment's JSON report has counted."),
    ] = "",
) -> None:
    """Run the decision rule over made-up or recorded traffic: how often it is right, and how many requests it takes.

    Beside it, on the same versions, Flagger's rule with its defaults: fixed thresholds on the candidate alone.

    \b
      mesh experiment simulate examples/experiments/reviews-v3.yaml --runs 200
      mesh experiment report reviews-v3 -o json -f report.json
      mesh experiment simulate stricter.yaml --recorded report.json
    """
    from mesh.experiments.simulate import Setting, simulate_flagger
    from mesh.experiments.simulate import simulate as simulated
    from mesh.experiments.stages import checks
    from mesh.experiments.traffic import Source, Version
    from mesh.experiments.verdict import Verdict

    name, spec = _read(file)
    looks = max(1, round(spec.max_duration / spec.interval))
    setting = Setting(checks(spec), spec.alpha, rate, _share(spec), spec.interval, min(looks, 400))
    made_up = Version(errors / 100, p50, p99)
    base: Source = made_up
    candidates: dict[str, Source] = {
        "equal": made_up,
        **{f"{points} points more errors": made_up.worse(points / 100) for points in (1, 2, 5)},
        **{f"{percent} % slower": made_up.slower(1 + percent / 100) for percent in (10, 20, 50)},
    }
    said = f"baseline {errors:g} % errors, p50 {p50:g} ms, p99 {p99:g} ms"
    if recorded:
        base, new = _recorded(recorded)
        candidates = {"equal to the baseline": base, "as recorded": new}
        said = f"versions as in {recorded}"
    rows = []
    for label, candidate in candidates.items():
        for rule, outcome in (
            ("ours", simulated(setting, base, candidate, runs, seed)),
            ("Flagger's", simulate_flagger(candidate, runs, rate, seed=seed)),
        ):
            shares = [f"{100 * outcome.share(verdict):.0f} %" for verdict in Verdict]
            common = max(outcome.verdicts, key=lambda verdict: outcome.verdicts[verdict])
            rows.append([label, rule, *shares, f"{outcome.median_requests(common):.0f}"])
    print(f"{name}: {runs} simulated experiments a row; {said}")
    print_table(["CANDIDATE", "RULE", "PROMOTE", "ROLL BACK", "NEITHER", "MEDIAN REQUESTS"], rows)


def import_file(file: File) -> None:
    """Write the Experiment that a Flagger Canary or an Argo AnalysisTemplate amounts to, and list what is left out.

    \b
      mesh experiment import canary.yaml > experiment.yaml
    """
    from mesh.experiments.foreign import ForeignError, translate
    from mesh.istio.dump import dump_data

    try:
        document, left_out = translate(_text(file))
    except ForeignError as error:
        raise CliError(f"{file}: {error}") from error
    print(dump_data(document), end="")
    for line in left_out:
        print(f"not carried over: {line}", file=sys.stderr)


def _read(file: str) -> tuple[str, Experiment]:
    from mesh.istio.load import load

    found = [each for each in load(_text(file), file) if each.key.kind == "Experiment"]
    if len(found) != 1:
        raise CliError(f"{file}: must hold one Experiment, not {len(found)}")
    return found[0].key.name, found[0].spec


def _recorded(file: str) -> tuple[Recorded, Recorded]:
    """Baseline and candidate of a report in JSON."""
    from mesh.experiments.traffic import Recorded

    try:
        report = json.loads(_text(file))
        return Recorded.of(report["baseline"]), Recorded.of(report["candidate"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        hint = "it is what this writes: mesh experiment report NAME -o json"
        raise CliError(f"{file}: is not a report with traffic of two versions: {error}", hint) from error


def _share(spec: Experiment) -> float:
    """The candidate's share in the stage in which most is seen of it."""
    from mesh.experiments.stages import stages

    weights = [stage.weight for stage in stages(spec) if 0 < stage.weight < 100]
    return max(weights, default=50) / 100


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _duration(seconds: Any) -> str:
    if seconds is None:
        return "never"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
