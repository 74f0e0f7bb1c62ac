"""The --probe options of `mesh run`, `mesh sidecar` and `mesh bootstrap`; each has its MESH_PROBE_… in the environment."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mesh.probe import MOST_SECONDS


def _option(name: str, metavar: str, text: str, **more: Any) -> Any:
    variable = f"MESH_PROBE_{name.upper()}"
    panel = "How the sidecar asks its app whether it is well"
    return typer.Option(
        f"--probe-{name}", envvar=variable, metavar=metavar, help=text, rich_help_panel=panel, show_envvar=False, **more
    )


ProbeHttp = Annotated[str | None, _option("http", "[PORT]/PATH", "Use the workload while this answers 200 to 399.")]
ProbeTcp = Annotated[str | None, _option("tcp", "PORT", "… while this accepts connections ('' for its own port).")]
ProbeGrpc = Annotated[str | None, _option("grpc", "[PORT]/[SERVICE]", "… while gRPC's health check says SERVING.")]
ProbeExec = Annotated[str | None, _option("exec", "COMMAND", "… while this ends with 0.")]
ProbeDelay = Annotated[float, _option("delay", "SECONDS", "Before the first.", min=0, max=MOST_SECONDS)]
ProbeTimeout = Annotated[float, _option("timeout", "SECONDS", "For an answer.", min=0.01, max=MOST_SECONDS)]
ProbePeriod = Annotated[float, _option("period", "SECONDS", "From one to the next.", min=0.05, max=MOST_SECONDS)]
ProbeSuccesses = Annotated[int, _option("successes", "N", "In a row, until it is used.", min=1)]
ProbeFailures = Annotated[int, _option("failures", "N", "In a row, until it is not.", min=1)]
