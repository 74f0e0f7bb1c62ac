"""The command line of `mesh-sidecar`: Envoy's flags, as far as they mean something here → Settings.

A flag of Envoy's that would be ignored is refused with what to do, so that nobody believes that it works.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh.version import VERSION
from sidecar.process import native
from sidecar.telemetry.rotation import KEPT, Rotation

# Envoy's words, and the levels of Python's logging that they are; `trace` is below DEBUG.
LOG_LEVELS: Final = {
    "trace": 5,
    "debug": 10,
    "info": 20,
    "warning": 30,
    "warn": 30,
    "error": 40,
    "critical": 50,
    "off": 60,
}
LOG_FORMAT: Final = "[%(asctime)s.%(msecs)03d][%(process)d][%(levelname)s][%(name)s] %(message)s"
DRAIN_TIME: Final = 600
LOG_FLUSH: Final = 10_000
TERMINATION_DRAIN: Final = 5

_DESCRIPTION = """\
The sidecar proxy: it runs beside a service, takes its traffic in and out, and does what its configuration says.

It starts from an Envoy v3 bootstrap file. What the file holds under static_resources is served at once; listeners, routes,
clusters and endpoints that come from a control plane (dynamic_resources) follow as soon as it answers."""

_EPILOG = """\
examples:
  mesh bootstrap --service reviews --port 9080 > reviews.yaml     write a workload's bootstrap file
  mesh-sidecar -c reviews.yaml                                    run it
  mesh-sidecar -c reviews.yaml --mode validate                    only say whether it is good
  mesh-sidecar -c reviews.yaml --config-yaml 'admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15100}}}'

The last configuration that the control plane sent and that was accepted is kept under --state-dir, in a file named after
the node's id; with no control plane at start the sidecar serves from it. A bootstrap without ads_config never uses it.
environment:
  MESH_SPAN_ATTRIBUTES         the names in spans that are sent on: opentelemetry (the default), envoy, both
  OTEL_EXPORTER_OTLP_PROTOCOL  http/json has spans go as JSON where the configuration says HTTP (default: as protobuf)

`python -m sidecar.config` lists every configuration field that is implemented."""

# Envoy's flags that have nothing to act on here, by what to do about it.
_REFUSED: Final = {
    "--base-id": "there is no hot restart: start a second sidecar on other ports",
    "--use-dynamic-base-id": "there is no hot restart: start a second sidecar on other ports",
    "--restart-epoch": "there is no hot restart: start a second sidecar on other ports",
    "--parent-shutdown-time-s": "there is no hot restart: --drain-time-s is all there is",
    "--allow-unknown-fields": "unknown fields are always errors",
    "--allow-unknown-static-fields": "unknown fields are always errors",
    "--ignore-unknown-dynamic-fields": "unknown fields are always errors",
    "--service-zone": "set node.locality.zone in the bootstrap",
    "--component-log-level": "use POST /logging?NAME=LEVEL on the admin port",
    "--log-path": "the log goes to stderr: redirect it",
    "--cpuset-threads": "processes are not bound to CPUs: use taskset",
}
# What else is told by the environment, and the values that it may have.
_ENVIRONMENT: Final = {
    "MESH_SPAN_ATTRIBUTES": ("opentelemetry", "envoy", "both"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("http/protobuf", "http/json", "grpc"),
}
# Flags that ask for what is so anyway.
_NO_EFFECT: Final = ("--disable-hot-restart", "--reject-unknown-dynamic-fields", "--enable-fine-grain-logging")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says. `log_level` is a level of Python's logging, `log_flush` the seconds that access-log
    lines may wait; `state_dir` '' means: keep nothing."""

    config_path: str = ""
    config_yaml: str = ""
    validate: bool = False
    concurrency: int = 1
    log_level: int = 20
    log_format: str = LOG_FORMAT
    service_node: str = ""
    service_cluster: str = ""
    drain_time: float = float(DRAIN_TIME)
    drain_immediately: bool = False
    termination_drain: float = float(TERMINATION_DRAIN)
    admin_address_path: str = ""
    log_flush: float = 10.0
    log_rotation: Rotation | None = None
    state_dir: str = ""


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Settings of a command line (the process's own when None). Wrong ones end the process with argparse's message."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not chosen.config_path and not chosen.config_yaml:
        parser.error("no configuration: give -c FILE, or --config-yaml TEXT, or both")
    if chosen.concurrency < 1:
        parser.error("--concurrency must be at least 1")
    for variable, known in _ENVIRONMENT.items():
        if os.environ.get(variable, "") not in ("", *known):
            parser.error(f"{variable}={os.environ[variable]}: expected {' or '.join(known)}")
    return Settings(
        config_path=chosen.config_path,
        config_yaml=chosen.config_yaml,
        validate=chosen.mode == "validate",
        concurrency=chosen.concurrency,
        log_level=LOG_LEVELS[chosen.log_level],
        log_format=chosen.log_format,
        service_node=chosen.service_node,
        service_cluster=chosen.service_cluster,
        drain_time=float(chosen.drain_time_s),
        drain_immediately=chosen.drain_strategy == "immediate",
        termination_drain=float(chosen.termination_drain_s),
        admin_address_path=chosen.admin_address_path,
        log_flush=chosen.file_flush_interval_msec / 1000,
        log_rotation=chosen.access_log_rotate,
        state_dir=chosen.state_dir,
    )


def default_state_dir() -> str:
    """Where the last accepted configuration is kept: $XDG_STATE_HOME/mesh, for root /var/lib/mesh."""
    if base := os.environ.get("XDG_STATE_HOME"):
        return str(Path(base) / "mesh")
    if os.geteuid() == 0:
        return "/var/lib/mesh"
    return str(Path.home() / ".local" / "state" / "mesh")


def state_path(state_dir: str, node_id: str) -> Path:
    """The file in which one node's last configuration is kept."""
    name = re.sub(r"[^A-Za-z0-9._~-]", lambda match: f"%{ord(match[0]):02x}", node_id)
    return Path(state_dir) / f"{name}.xds"


def version_line() -> str:
    plane = "compiled (mypyc)" if native.active() else "as Python"
    return f"mesh-sidecar {VERSION}, data plane {plane}, Python {platform.python_version()}"


class _Refused(argparse.Action):
    """A flag that would be ignored."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: str | None = None
    ) -> None:
        parser.error(f"{option} is not implemented: {_REFUSED[option or '']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mesh-sidecar",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--version",
        action="version",
        version=version_line(),
        help="say the version, and whether the data plane is compiled",
    )
    add("-c", "--config-path", metavar="FILE", default="", help="the bootstrap file, YAML or JSON")
    add("--config-yaml", metavar="TEXT", default="", help="YAML merged over the file, or in place of one")
    add(
        "--mode",
        choices=("serve", "validate"),
        default="serve",
        help="validate: check the configuration, say OK (exit 0) or everything that is wrong (exit 1), and end",
    )
    add("--concurrency", type=int, default=1, metavar="N", help="worker processes that serve (default 1)")
    add(
        "-l",
        "--log-level",
        choices=tuple(LOG_LEVELS),
        metavar="LEVEL",
        default="info",
        help=f"how much to log to stderr: {', '.join(LOG_LEVELS)} (default info)",
    )
    add("--log-format", metavar="FORMAT", default=LOG_FORMAT, help="a format of Python's logging")
    add("--service-node", metavar="ID", default="", help="the node's id, in place of the bootstrap's node.id")
    add("--service-cluster", metavar="NAME", default="", help="in place of the bootstrap's node.cluster")
    add(
        "--drain-time-s",
        type=_whole,
        default=DRAIN_TIME,
        metavar="SECONDS",
        help=f"how long a listener that goes away serves its connections on (default {DRAIN_TIME})",
    )
    add(
        "--drain-strategy",
        choices=("gradual", "immediate"),
        default="gradual",
        help="immediate: ask all clients of a draining listener to reconnect at once",
    )
    add(
        "--termination-drain-s",
        type=_whole,
        default=TERMINATION_DRAIN,
        metavar="SECONDS",
        help="how long requests in flight may take after SIGTERM; a second signal ends them at once "
        f"(default {TERMINATION_DRAIN}, as Istio's terminationDrainDuration; 0 is what Envoy does)",
    )
    add("--admin-address-path", metavar="FILE", default="", help="write the admin port's address into this file")
    add(
        "--file-flush-interval-msec",
        type=_whole,
        default=LOG_FLUSH,
        metavar="MS",
        help=f"how long access-log lines may wait to be written together (default {LOG_FLUSH})",
    )
    add(
        "--access-log-rotate",
        type=_rotation,
        default=os.environ.get("MESH_ACCESS_LOG_ROTATE", ""),
        metavar="SIZE[,FILES]",
        help="rename an access log of this size, as in 100M,5, and keep so many older ones "
        f"({KEPT} unless you say; default: $MESH_ACCESS_LOG_ROTATE, or never)",
    )
    add(
        "--state-dir",
        metavar="DIR",
        default=default_state_dir(),
        help="where the last accepted configuration is kept ('' for nowhere; default $XDG_STATE_HOME/mesh, "
        "/var/lib/mesh for root, ~/.local/state/mesh otherwise)",
    )
    for flag in _NO_EFFECT:
        add(flag, action="store_true", help=argparse.SUPPRESS)
    for flag in _REFUSED:
        add(flag, action=_Refused, nargs="?", help=argparse.SUPPRESS)
    return parser


def _rotation(text: str) -> Rotation | None:
    try:
        return Rotation.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _whole(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
