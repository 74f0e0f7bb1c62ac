"""demo: the whole mesh on this machine, with example services and load, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

GATEWAY_PORT = 8080
DEFAULT_RATE = 20.0
MOST_RATE = 2000.0


def demo(
    duration: Annotated[
        float,
        typer.Option(
            "--duration", metavar="SECONDS", min=0, help="End by itself after this long.", show_default="never"
        ),
    ] = 0.0,
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", min=0, max=MOST_RATE, help="Product pages asked for each second.")
    ] = DEFAULT_RATE,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=1, max=65535, help="The ingress gateway's port.")
    ] = GATEWAY_PORT,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="Plain lines, no live view.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave logs, bootstraps and the store in their folder.")] = False,
    store: Annotated[
        str,
        typer.Option(
            "--store", metavar="URL", help="The control plane's store.", show_default="a temporary sqlite file"
        ),
    ] = "",
    proxy: Annotated[
        str, typer.Option("--proxy", metavar="[NAME=]PROGRAM", help="A real Envoy, say, for all proxies or for one.")
    ] = "",
    grpc: Annotated[bool, typer.Option("--grpc", help="Reviews call ratings by gRPC, on port 9081.")] = False,
    otlp_endpoint: Annotated[
        str,
        typer.Option(
            "--otlp-endpoint", metavar="URL", help="Send all spans there: http://HOST:4318/v1/traces, grpc://HOST:4317."
        ),
    ] = "",
    network: Annotated[
        str,
        typer.Option("--network", metavar="A.B.C", hidden=True, help="Everything on loopback addresses of this /24."),
    ] = "",
    apart: Annotated[
        bool,
        typer.Option("--distinct-ports", hidden=True, help="Everything on 127.0.0.1, as where it is the only one."),
    ] = False,
) -> None:
    """Run a mesh: control plane, ingress gateway, four services with sidecars, and load. Ctrl-C ends all of it.

    Needs no privileges and leaves nothing behind. With --duration the exit code is 0 when every page came, and was whole.

    \b
      mesh demo
      mesh apply --wait -f examples/bookinfo/networking/reviews-90-10.yaml      (beside it)
      mesh demo --duration 20 --rate 50
    """
    from mesh.cli.demo_run import DemoOptions, run_demo

    options = DemoOptions(duration, rate, port, not no_tui, keep, store, proxy, network, apart, otlp_endpoint, grpc)
    raise typer.Exit(run_demo(options))
