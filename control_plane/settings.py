"""The command line of `mesh-control-plane` → settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from control_plane import logs
from control_plane.ads.admission import LocalAddresses
from control_plane.registry.lifecycle import LOST_SECONDS, REMOVAL_SECONDS, RESTART_SECONDS, Grace
from control_plane.sources.open import default_url
from control_plane.translate.providers import json_members
from control_plane.world import AccessLogEncoding, MeshConfig, OutboundPolicy
from mesh.naming import CONSOLE_PORT, CONTROL_METRICS_PORT, XDS_PORT
from mesh.version import VERSION

DESCRIPTION: Final = """\
The control plane of the mesh. Reads what the mesh should do (Istio and Kubernetes resources), tells every proxy its part
of it over xDS, and keeps the list of workloads."""

EXAMPLES: Final = """\
examples:
  mesh-control-plane                               configuration in a file of its own, changed with `mesh apply`
  mesh-control-plane --store dir:///etc/mesh       configuration from a folder of YAML files, as a git checkout is;
                                                   a change of a file takes effect, a broken one is reported and ignored
  mesh-control-plane --xds-address 0.0.0.0:15010   proxies on other machines; there is no authentication yet

Stop it and start it again at will: proxies go on with what they have, and come back by themselves."""


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    store: str
    xds: Address
    http: Address
    metrics: Address
    allowed_hosts: tuple[str, ...]
    local_addresses: LocalAddresses
    grace: Grace
    mesh: MeshConfig
    log_level: str
    log_format: str


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Ends the process with a message and code 2 for a wrong command line, as every command does."""
    parser = _parser()
    given = parser.parse_args(arguments)
    encoding = AccessLogEncoding(given.access_log_encoding)
    if encoding is AccessLogEncoding.JSON and given.access_log_format and json_members(given.access_log_format) is None:
        parser.error("--access-log-format must be a JSON object with --access-log-encoding JSON")
    return Settings(
        store=given.store,
        xds=given.xds_address,
        http=given.http_address,
        metrics=given.metrics_address,
        allowed_hosts=tuple(given.allowed_host),
        local_addresses=LocalAddresses(given.local_addresses),
        grace=Grace(given.lost_grace, given.removal_grace, given.restart_grace),
        mesh=MeshConfig(
            access_log_file=given.access_log_file,
            access_log_encoding=encoding,
            access_log_format=given.access_log_format,
            enable_tracing=given.tracing,
            sampling=given.tracing_sampling,
            otlp_endpoint=given.otlp_endpoint,
            outbound_policy=OutboundPolicy(given.outbound_policy),
            root_namespace=given.root_namespace,
        ),
        log_level=given.log_level,
        log_format=given.log_format,
    )


def address(text: str) -> Address:
    """HOST:PORT, [IPV6]:PORT, or :PORT for every interface; port 0 takes a free one."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        return Address(host[1:-1], int(port))
    if ":" in host:
        raise argparse.ArgumentTypeError(f"{text!r}: write an IPv6 address in brackets, [::1]:{port}")
    return Address(host or "0.0.0.0", int(port))


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return value


def _url(text: str) -> str:
    if text and not text.startswith(("http://", "https://", "grpc://")):
        examples = "http://127.0.0.1:4318/v1/traces or grpc://127.0.0.1:4317"
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as {examples}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mesh-control-plane",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mesh-control-plane {VERSION}")
    _add_places(parser)
    _add_grace(parser)
    _add_mesh(parser)
    log = parser.add_argument_group("logs (on standard error)")
    log.add_argument("--log-level", choices=logs.LEVELS, default="info", help="default: %(default)s")
    log.add_argument("--log-format", choices=(logs.TEXT, logs.JSON), default=logs.TEXT, help="default: %(default)s")
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    places = parser.add_argument_group("where (HOST:PORT; port 0 takes a free one, which is printed)")
    places.add_argument(
        "--store",
        metavar="URL",
        default=default_url(),
        help="where the configuration is kept: sqlite:///PATH or dir:///PATH (default: %(default)s)",
    )
    for name, port, what in (
        ("--xds-address", XDS_PORT, "proxies connect here"),
        ("--http-address", CONSOLE_PORT, "the HTTP API, which `mesh` uses; whoever reaches it may change everything"),
        ("--metrics-address", CONTROL_METRICS_PORT, "Prometheus metrics, at /metrics"),
    ):
        default = Address("127.0.0.1", port)
        parsed = {"type": address, "default": default, "metavar": "HOST:PORT"}
        places.add_argument(name, help=f"{what} (default: {default})", **parsed)  # type: ignore[arg-type]
    places.add_argument(
        "--allowed-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name with dots under which the HTTP API and the metrics are asked for, *.NAME for all below it; "
        "addresses, localhost and names without a dot always are (may be repeated)",
    )
    places.add_argument(
        "--local-addresses",
        choices=[policy.value for policy in LocalAddresses],
        default=LocalAddresses.SAME_HOST.value,
        help="from where a proxy may say that it has a loopback or link-local address (default: %(default)s)",
    )


def _add_grace(parser: argparse.ArgumentParser) -> None:
    grace = parser.add_argument_group("how long a workload without connection is kept")
    for name, default, what in (
        ("--lost-grace", LOST_SECONDS, "until it counts as unhealthy and is not used any more"),
        ("--removal-grace", REMOVAL_SECONDS, "from then on, until it is forgotten"),
        ("--restart-grace", RESTART_SECONDS, "until it counts as unhealthy, after a restart of the control plane"),
    ):
        grace.add_argument(
            name, type=_seconds, default=default, metavar="SECONDS", help=f"{what} (default: {default:g})"
        )


def _add_mesh(parser: argparse.ArgumentParser) -> None:
    default = MeshConfig()
    mesh = parser.add_argument_group("what holds for the whole mesh")
    mesh.add_argument(
        "--access-log-file",
        metavar="PATH",
        default=default.access_log_file,
        help='where proxies write their access logs; "" switches them off (default: %(default)s)',
    )
    mesh.add_argument(
        "--access-log-encoding",
        choices=[encoding.value for encoding in AccessLogEncoding],
        default=default.access_log_encoding.value,
        help="default: %(default)s",
    )
    mesh.add_argument(
        "--access-log-format", metavar="FORMAT", default=default.access_log_format, help="default: Istio's"
    )
    mesh.add_argument(
        "--tracing",
        action=argparse.BooleanOptionalAction,
        default=default.enable_tracing,
        help="whether proxies trace requests (default: they do)",
    )
    mesh.add_argument(
        "--tracing-sampling",
        type=_percent,
        default=default.sampling,
        metavar="PERCENT",
        help=f"of requests that nobody has decided about yet (default: {default.sampling:g})",
    )
    mesh.add_argument(
        "--otlp-endpoint",
        type=_url,
        default=default.otlp_endpoint,
        metavar="URL",
        help="where proxies send their spans, http://HOST:4318/v1/traces or grpc://HOST:4317 (default: nowhere, "
        "they keep the latest)",
    )
    mesh.add_argument(
        "--outbound-policy",
        choices=[policy.value for policy in OutboundPolicy],
        default=default.outbound_policy.value,
        help="what becomes of requests to hosts that the mesh does not know (default: %(default)s)",
    )
    mesh.add_argument(
        "--root-namespace",
        metavar="NAME",
        default=default.root_namespace,
        help="the namespace whose rules hold for all others (default: %(default)s)",
    )
