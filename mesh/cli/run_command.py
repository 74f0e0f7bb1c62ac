"""run: an app with a sidecar beside it. bootstrap: the file that such a sidecar starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.cli.probe_options import (
    ProbeDelay,
    ProbeExec,
    ProbeFailures,
    ProbeGrpc,
    ProbeHttp,
    ProbePeriod,
    ProbeSuccesses,
    ProbeTcp,
    ProbeTimeout,
)
from mesh.cli.workload import DEFAULT_XDS, Interception, Probing, Protocol, Workload, describe

Own = ParamSpec("Own")

READY_SECONDS = 60.0

Service = Annotated[str, typer.Option("--service", metavar="NAME", help="The service that it is an instance of.")]
Version = Annotated[str, typer.Option("--version", metavar="VERSION", help="Its label `version`.")]
Port = Annotated[
    list[str] | None,
    typer.Option(
        "--port", metavar="PORT[:APP][/tcp]", help="The service's port, and the app's if it differs. Repeatable."
    ),
]
Address = Annotated[
    str, typer.Option("--address", metavar="IP", help="The workload's own address.", show_default="a free one")
]
AppAddress = Annotated[str, typer.Option("--app-address", metavar="IP", help="Where the app listens.")]
Label = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="More labels. Repeatable.")]
NamespaceOf = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="The workload's namespace.")]
ProtocolOf = Annotated[Protocol, typer.Option("--protocol", help="What is spoken on --port.")]
Xds = Annotated[
    str, typer.Option("--xds", envvar="MESH_XDS", metavar="HOST:PORT", help="The control plane's xDS address.")
]
Name = Annotated[
    str, typer.Option("--name", metavar="NAME", help="The workload's name.", show_default="SERVICE-VERSION")
]
LocalityOf = Annotated[str, typer.Option("--locality", metavar="REGION/ZONE/SUBZONE", help="Where it is.")]
InterceptionOf = Annotated[
    Interception,
    typer.Option("--interception", help="none: the app uses http_proxy; redirect: iptables sends everything."),
]

AppMetrics = Annotated[
    str,
    typer.Option(
        "--app-metrics",
        envvar="MESH_APP_METRICS",
        metavar="[PORT]/PATH",
        help="The app's own metrics: port 15020 serves them together with the sidecar's.",
    ),
]

GroupOf = Annotated[
    str,
    typer.Option("--group", metavar="NAME", help="The WorkloadGroup that it is a member of: labels, ports, probe."),
]
SelfDiscovery = Annotated[
    bool,
    typer.Option(
        "--self-discovery",
        envvar="ISTIO_META_ENABLE_SELF_DISCOVERY",
        help="Know the other proxies of the service: zoneAwareLbSetting needs it.",
    ),
]
ServerOf = Annotated[
    str,
    typer.Option(
        "--server",
        "-s",
        envvar="MESH_SERVER",
        metavar="URL",
        help="The control plane's HTTP API.",
        show_default="beside its xDS",
    ),
]


def _workload(
    service: Service = "",
    version: Version = "",
    port: Port = None,
    address: Address = "",
    app_address: AppAddress = "127.0.0.1",
    label: Label = None,
    namespace: NamespaceOf = "default",
    protocol: ProtocolOf = Protocol.HTTP,
    xds: Xds = DEFAULT_XDS,
    name: Name = "",
    locality: LocalityOf = "",
    interception: InterceptionOf = Interception.NONE,
    app_metrics: AppMetrics = "",
    group: GroupOf = "",
    server: ServerOf = "",
    self_discovery: SelfDiscovery = False,
    probe_http: ProbeHttp = None,
    probe_tcp: ProbeTcp = None,
    probe_grpc: ProbeGrpc = None,
    probe_exec: ProbeExec = None,
    probe_delay: ProbeDelay = 0.0,
    probe_timeout: ProbeTimeout = 1.0,
    probe_period: ProbePeriod = 10.0,
    probe_successes: ProbeSuccesses = 1,
    probe_failures: ProbeFailures = 3,
) -> Workload:
    probing = Probing(
        probe_http, probe_tcp, probe_grpc, probe_exec, probe_delay, probe_timeout, probe_period, probe_successes,
        probe_failures,
    )  # fmt: skip
    return Workload(
        service, version, tuple(port or ()), address, app_address, tuple(label or ()), namespace, protocol, xds, name,
        locality, interception, probe=probing, app_metrics=app_metrics, group=group, server=server,
        self_discovery=self_discovery,
    )  # fmt: skip


def describes_workload(command: Callable[Concatenate[Workload, Own], None]) -> Callable[..., None]:
    """`command` with the options of `_workload` in place of its first parameter."""
    shared = signature(_workload, eval_str=True).parameters
    _, *own = signature(command, eval_str=True).parameters.values()

    @wraps(command)
    def described(**given: Any) -> None:
        workload = _workload(**{name: given.pop(name) for name in shared})
        command(workload, **given)  # type: ignore[call-arg]

    parameters = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*shared.values(), *own)]
    described.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    described.__annotations__ = {each.name: each.annotation for each in parameters}
    return described


@describes_workload
def run(
    workload: Workload,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The app and its arguments.")],
    ready_timeout: Annotated[
        float, typer.Option("--ready-timeout", metavar="SECONDS", min=0, help="How long to wait for the sidecar.")
    ] = READY_SECONDS,
    proxy: Annotated[
        str, typer.Option("--proxy", metavar="PROGRAM", help="A real Envoy, say, in place of our sidecar.")
    ] = "",
    proxy_log: Annotated[
        str, typer.Option("--proxy-log", metavar="FILE", help="Keep what the sidecar writes here; - is our own output.")
    ] = "",
) -> None:
    """Run an app with a sidecar: it starts when the sidecar has its configuration, and both end together.

    The app's plain HTTP calls go through the mesh because `http_proxy` is set for it (Python's aiohttp wants
    `trust_env=True`), its gRPC calls because `grpc_proxy` is (grpc-go wants HTTPS_PROXY with the same address, grpc-java
    -Dhttps.proxyHost and -Dhttps.proxyPort). The exit code is the app's.

    \b
      mesh run --service reviews --version v1 --port 9080 -- python app.py
      mesh run --service greeter --port 50051 --protocol grpc -- python -m examples.grpc.greeter
      mesh run --service client -- curl http://reviews:9080/reviews/0
    """
    from mesh.cli.runner import run_workload

    if proxy and (workload.probe != Probing() or workload.app_metrics):
        raise CliError("--probe and --app-metrics need our sidecar: another --proxy does not ask its app", code=USAGE)
    raise typer.Exit(run_workload(workload, command, ready_timeout, proxy, proxy_log))


@describes_workload
def bootstrap(
    workload: Workload,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="An ingress gateway (label istio=ingressgateway), not a sidecar.")
    ] = False,
) -> None:
    """Print the Envoy bootstrap file of a workload. Our sidecar and a real Envoy start from the same file.

    \b
      mesh bootstrap --service reviews --version v1 --port 9080 --address 127.0.1.9 > reviews.yaml
      mesh-sidecar -c reviews.yaml        or        envoy -c reviews.yaml
    """
    from mesh.bootstrap import bootstrap as make
    from mesh.bootstrap import render

    described = describe(replace(workload, gateway=gateway))
    described.reservation.release()
    print(render(make(described.node, *described.xds, described.reservation.ports)), end="")
