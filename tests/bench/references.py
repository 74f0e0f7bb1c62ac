"""The other proxies, configured to do the work of a case as far as they can: nginx, HAProxy, aiohttp, mitmproxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench import tools
from tests.bench.bootstraps import VIRTUAL_HOSTS, Ports

FOLDER = Path(__file__).parent


def nginx(case: str, ports: Ports, folder: Path) -> list[str] | None:
    binary = tools.find("nginx")
    if binary is None:
        return None
    path = folder / "nginx.conf"
    path.write_text(_NGINX.format(folder=folder, upstream=ports.upstream, servers=_nginx_servers(case, ports)))
    return [binary, "-c", str(path), "-e", str(folder / "nginx.err")]


def haproxy(case: str, ports: Ports, folder: Path) -> list[str] | None:
    binary = tools.find("haproxy")
    if binary is None:
        return None
    front = ""
    if case == "mesh":
        hosts = folder / "hosts.map"
        hosts.write_text("".join(f"{name}{path} back\n" for name in _hosts() for path in _paths()))
        front = _HAPROXY_MESH.format(hosts=hosts)
    path = folder / "haproxy.conf"
    path.write_text(_HAPROXY.format(listener=ports.listener, upstream=ports.upstream, front=front))
    return [binary, "-db", "-f", str(path)]


def aiohttp(case: str, ports: Ports, folder: Path) -> list[str] | None:
    python = tools.python("aiohttp", "uvloop")
    log = ports.log if case == "mesh" else ""
    return python and [python, str(FOLDER / "aiohttp_proxy.py"), str(ports.listener), str(ports.upstream), log]


def mitmproxy(case: str, ports: Ports, folder: Path) -> list[str] | None:
    python = tools.python("mitmproxy")
    if python is None:
        return None
    command = [
        str(Path(python).with_name("mitmdump")),
        "--quiet",
        "--mode",
        f"reverse:http://127.0.0.1:{ports.upstream}",
    ]
    command += ["--listen-host", "127.0.0.1", "--listen-port", str(ports.listener), "--set", f"confdir={folder}"]
    command += ["--set", "keep_host_header=true", "--set", "connection_strategy=lazy"]
    if case == "mesh":
        command += ["--scripts", str(FOLDER / "mitmproxy_mesh.py"), "--set", f"mesh_log={ports.log}"]
    return command


REFERENCES: dict[str, Callable[[str, Ports, Path], list[str] | None]] = {
    "nginx": nginx,
    "haproxy": haproxy,
    "aiohttp": aiohttp,
    "mitmproxy": mitmproxy,
}


def _hosts() -> list[str]:
    return [f"svc-{number}.default.svc.cluster.local" for number in range(VIRTUAL_HOSTS)]


def _paths() -> list[str]:
    return [*(f"/api/v{version}/" for version in range(1, 9)), "/"]


def _nginx_servers(case: str, ports: Ports) -> str:
    if case != "mesh":
        return f"server {{ listen 127.0.0.1:{ports.listener} backlog=4096; location / {{ {_NGINX_PASS} }} }}"
    operations = f"""
      proxy_set_header X-Request-Id $request_id; proxy_set_header X-Mesh-Route $server_name;
      proxy_set_header X-Internal ""; add_header X-Served-By mesh; add_header X-Request-Id $request_id; {_NGINX_PASS}"""
    locations = " ".join(f"location {path} {{ {operations} }}" for path in _paths())
    listen = f"listen 127.0.0.1:{ports.listener}"
    servers = "\n".join(
        f"server {{ {listen}{' backlog=4096' if not number else ''}; server_name {name}; {locations} }}"
        for number, name in enumerate(_hosts())
    )
    return f"""
      log_format mesh escape=json '{_NGINX_LOG}'; access_log {ports.log} mesh buffer=64k flush=1s;
      server_names_hash_bucket_size 128; server_names_hash_max_size 4096;
      {servers}"""


_NGINX_LOG = (
    '{"start_time":"$time_iso8601","method":"$request_method","path":"$request_uri","protocol":"$server_protocol",'
    '"response_code":"$status","bytes_received":"$request_length","bytes_sent":"$body_bytes_sent",'
    '"duration":"$request_time","upstream_service_time":"$upstream_response_time","x_forwarded_for":"$http_x_forwarded_for",'
    '"user_agent":"$http_user_agent","request_id":"$request_id","authority":"$http_host","upstream_host":"$upstream_addr",'
    '"downstream_local_address":"$server_addr:$server_port","downstream_remote_address":"$remote_addr:$remote_port"}'
)
_NGINX_PASS = """
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_request_buffering off; proxy_buffering off;"""
_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0; client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  {servers}
}}
"""
_HAPROXY = """
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
  {front}
  default_backend back
backend back
  http-reuse always
  server up 127.0.0.1:{upstream}
"""
_HAPROXY_MESH = """
  log stdout format raw local0
  log-format '{{"start_time":"%T","method":"%HM","path":"%HU","protocol":"%HV","response_code":"%ST","bytes_received":"%U",\
"bytes_sent":"%B","duration":"%Ta","upstream_service_time":"%Tr","request_id":"%ID","authority":"%[capture.req.hdr(0)]",\
"user_agent":"%[capture.req.hdr(1)]","upstream_host":"%si:%sp","downstream_local_address":"%fi:%fp",\
"downstream_remote_address":"%ci:%cp"}}'
  unique-id-format %[uuid()]
  unique-id-header x-request-id
  declare capture request len 100
  declare capture request len 100
  http-request capture req.hdr(host) id 0
  http-request capture req.hdr(user-agent) id 1
  http-request set-header x-mesh-route %[req.hdr(host),field(1,:)]
  http-request del-header x-internal
  http-response set-header x-served-by mesh
  http-response set-header x-request-id %[unique-id]
  use_backend %[base,map_beg({hosts},back)]
"""
