"""proxy-config: Envoy's configuration in istioctl's columns, its filters, and what is asked of the proxy itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from mesh.cli import proxy_tables as tables
from mesh.naming import ADMIN_PORT, PROMETHEUS_PORT
from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane

REVIEWS = "outbound|9080|v1|reviews.default.svc.cluster.local"
RULE = {"filter_metadata": {"istio": {"config": "/apis/x/v1/namespaces/default/destination-rule/reviews"}}}
ADDRESS = {"socket_address": {"address": "127.0.1.9", "port_value": 15001}}
HCM = {"name": "hcm", "typed_config": {"rds": {"route_config_name": "9080"}}}
TCP = {"name": "tcp", "typedConfig": {"cluster": "PassthroughCluster"}}
INLINE = {
    "name": "hcm",
    "typed_config": {
        "route_config": {"virtual_hosts": [{"routes": [{"match": {"prefix": "/"}, "route": {"cluster": "in"}}]}]}
    },
}


def rows(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in out.splitlines()]


def given(plane: FakeControlPlane, *items: dict[str, Any]) -> None:
    plane.on("GET /api/v1/proxies/web-1/config", {"items": list(items)})
    plane.on("GET /api/v1/proxies", {"items": []})


def test_clusters(mesh: Mesh, plane: FakeControlPlane) -> None:
    given(
        plane,
        {"name": REVIEWS, "type": "EDS", "metadata": RULE},
        {"name": "inbound|9080||"},
        {"name": "PassthroughCluster", "type": "ORIGINAL_DST"},
    )
    found = rows(mesh("proxy-config", "clusters", "web-1").out)
    assert found == [
        ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
        ["-", "9080", "-", "inbound", "STATIC", "-"],
        ["PassthroughCluster", "-", "-", "-", "ORIGINAL_DST", "-"],
        ["reviews.default.svc.cluster.local", "9080", "v1", "outbound", "EDS", "reviews.default"],
    ]
    assert plane.asked[-1][1] == "/api/v1/proxies/web-1/config?type=clusters"
    whole, part = ("--fqdn", "reviews.default.svc.cluster.local"), ("--fqdn", "reviews")  # as istioctl: a part will do
    for filters in (whole, part, ("--subset", "v1"), ("--subset", "v"), ("--direction", "outbound")):
        (_, row) = rows(mesh("pc", "cluster", "web-1", *filters).out)
        assert row[0] == "reviews.default.svc.cluster.local"
    assert len(rows(mesh("pc", "c", "web-1", "--port", "9080").out)) == 3
    assert [each["name"] for each in json.loads(mesh("pc", "c", "web-1", "--subset", "v1", "-o", "json").out)] == [
        REVIEWS
    ]
    assert mesh("pc", "c", "web-1", "--subset", "v2").err == "web-1 has no such clusters\n"


LISTENER = {
    "name": "virtualOutbound",
    "address": ADDRESS,
    "filter_chains": [
        {"filter_chain_match": {"destination_port": 9080, "application_protocols": ["h2c"]}, "filters": [HCM]},
        {
            "filter_chain_match": {"prefix_ranges": [{"address_prefix": "10.0.0.1", "prefix_len": 32}]},
            "filters": [INLINE],
        },
    ],
    "default_filter_chain": {"filters": [TCP]},
}


def test_listeners(mesh: Mesh, plane: FakeControlPlane) -> None:
    given(plane, LISTENER)
    assert rows(mesh("proxy-config", "listeners", "web-1").out) == [
        ["ADDRESSES", "PORT", "MATCH", "DESTINATION"],
        ["127.0.1.9", "15001", "App: h2c; Addr: *:9080", "Route: 9080"],
        ["127.0.1.9", "15001", "ALL", "PassthroughCluster"],
        ["127.0.1.9", "15001", "Addr: 10.0.0.1/32", "Inline Route: /*"],
    ]
    for there in (("--port", "15001"), ("--address", "127.0.1.9"), ("--type", "TCP"), ("--type", "HTTP")):
        assert len(rows(mesh("pc", "l", "web-1", *there).out)) == 4
    for gone in (("--port", "15006"), ("--address", "127.0.0.1")):
        assert mesh("pc", "l", "web-1", *gone).out == ""


@pytest.mark.parametrize(
    ("match", "described"),
    [
        ({"server_names": ["a.x", "b.x"], "transport_protocol": "tls"}, "SNI: a.x,b.x; Trans: tls"),
        ({"application_protocols": ["http/1.0", "http/1.1", "h2c"]}, "App: HTTP"),
        (
            {"prefix_ranges": [{"address_prefix": "10.0.0.1", "prefix_len": 32}], "destination_port": 80},
            "Addr: 10.0.0.1/32:80",
        ),
    ],
)
def test_matches_of_filter_chains_in_istioctls_words(match: dict[str, Any], described: str) -> None:
    chain = {"filter_chain_match": match, "filters": [TCP]}
    assert [row[2] for row in tables.listeners({"address": ADDRESS, "filter_chains": [chain]})] == [described]


def test_a_route_that_takes_all_is_its_cluster() -> None:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "inbound|9080||"}}]

    def destination(domains: list[str], more: list[dict[str, Any]]) -> str:
        hosts = [{"domains": domains, "routes": [*routes, *more]}]
        chain = {"filters": [{"typed_config": {"route_config": {"virtual_hosts": hosts}}}]}
        ((_, _, _, described),) = tables.listeners({"address": ADDRESS, "filter_chains": [chain]})
        return described

    assert destination(["*"], []) == "Cluster: inbound|9080||"
    assert destination(["a", "b"], []) == "Inline Route: a/b /*"
    assert destination(["*"], [{"match": {"path": "/x"}}]) == "Inline Route: /*, /x"


def test_domains_are_the_shortest_of_each() -> None:
    names = ["web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "web"]
    host = {"domains": [*names, *(f"{name}:80" for name in names)], "routes": [{}]}
    ((_, _, domains, _, _),) = tables.routes({"name": "80", "virtual_hosts": [host]})
    assert domains == "web.shop, web"


def test_the_order_is_istioctls() -> None:
    def port(number: int) -> dict[str, Any]:
        return {
            "address": {"socket_address": {"address": "1.1.1.1", "port_value": number}},
            "filter_chains": [{"filters": [TCP]}],
        }

    assert [row[1] for row in tables.LISTENERS.sorted_rows([port(15006), port(80)])] == ["80", "15006"]
    named = [{"name": name, "virtual_hosts": [{"routes": [{}]}]} for name in ("http_proxy", "9080", "80")]
    assert [row[0] for row in tables.ROUTES.sorted_rows(named)] == ["80", "9080", "http_proxy"]


def test_routes(mesh: Mesh, plane: FakeControlPlane) -> None:
    made = {"filterMetadata": {"istio": {"config": "/apis/x/v1/namespaces/shop/virtual-service/reviews"}}}
    listed = [
        {"match": {"prefix": "/", "headers": [{"name": "end-user"}]}, "route": {"cluster": "a"}, "metadata": made},
        {"match": {"safeRegex": {"regex": "/x.*"}}, "redirect": {"port_redirect": 1}},
        {"match": {"path": "/"}, "directResponse": {"status": 503}},
        {"match": {"connect_matcher": {}}, "route": {"cluster": "c"}},
    ]
    host = {"name": "reviews:9080", "domains": ["reviews", "reviews.shop", "10.0.0.1"], "routes": listed}
    given(plane, {"name": "9080", "virtualHosts": [host]}, {"name": "80", "virtualHosts": []})
    domains = "reviews, reviews.shop + 1 more..."
    assert rows(mesh("proxy-config", "routes", "web-1").out) == [
        ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"],
        ["9080", "reviews:9080", domains, "/* header end-user", "reviews.shop"],
        ["9080", "reviews:9080", domains, "regex /x.*", "-"],
        ["9080", "reviews:9080", domains, "/", "503"],
        ["9080", "reviews:9080", domains, "CONNECT", "-"],
    ]
    assert [each["name"] for each in json.loads(mesh("pc", "r", "web-1", "--name", "80", "-o", "json").out)] == ["80"]


# ── what is asked of the proxy ────────────────────────────────────────────────────────────────────────────────────────

PAGES = {
    "/clusters?format=json": {
        "cluster_statuses": [
            {"name": REVIEWS, "host_statuses": [{"address": ADDRESS, "health_status": {"failed_outlier_check": True}}]}
        ]
    },
    "/config_dump": {
        "configs": [
            {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": {"id": "w"}}}
        ]
    },
}


@pytest.fixture
def asked() -> Iterator[tuple[list[str], int]]:
    """An admin port of a few lines: what it was asked, and its number."""
    found: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200 if self.path in PAGES else 404, json.dumps(PAGES.get(self.path, {})))

        def do_POST(self) -> None:
            known = "nothing:" not in self.path
            self._say(
                200 if known else 400, "active loggers:\n  http: debug\n" if known else "unknown logger name: nothing\n"
            )

        def _say(self, status: int, text: str) -> None:
            found.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found, server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def proxy(port: int) -> dict[str, Any]:
    return {"id": "p", "name": "web-1", "namespace": "default", "address": "127.0.0.1", "metrics_port": port}


ASSIGNMENT = {
    "cluster_name": REVIEWS,
    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": ADDRESS}, "health_status": "UNHEALTHY"}]}],
}


def test_endpoints(mesh: Mesh, plane: FakeControlPlane, asked: tuple[list[str], int]) -> None:
    given(plane, ASSIGNMENT)
    unasked = ["127.0.1.9:15001", "UNHEALTHY", "-", REVIEWS]
    assert rows(mesh("proxy-config", "endpoints", "web-1").out) == [
        ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"],
        unasked,
    ]
    plane.on("GET /api/v1/proxies", {"items": [proxy(asked[1])]})
    (_, row) = rows(mesh("pc", "ep", "web-1", "--status", "unhealthy", "--cluster", REVIEWS).out)
    assert row == ["127.0.1.9:15001", "UNHEALTHY", "FAILED", REVIEWS]
    for gone in (("--address", "127.0.0.1"), ("--port", "1"), ("--cluster", "x"), ("--status", "healthy")):
        assert mesh("pc", "endpoint", "web-1", *gone).out == ""


def test_bootstrap_log_and_secrets(mesh: Mesh, plane: FakeControlPlane, asked: tuple[list[str], int]) -> None:
    # A proxy whose ports are not the usual ones: they all are as far from those.
    plane.on("GET /api/v1/proxies", {"items": [proxy(asked[1] - ADMIN_PORT + PROMETHEUS_PORT)]})
    assert yaml.safe_load(mesh("pc", "bootstrap", "web-1.default").out) == {"node": {"id": "w"}}
    assert json.loads(mesh("pc", "b", "web-1", "-o", "json").out) == {"node": {"id": "w"}}
    assert mesh("pc", "log", "web-1").out == "active loggers:\n  http: debug\n"
    mesh("pc", "log", "web-1", "--level", "debug")
    mesh("pc", "log", "web-1", "--level", "http:debug,upstream:info")
    assert [each for each in asked[0] if "logging" in each] == [
        "POST /logging",
        "POST /logging?level=debug",
        "POST /logging?paths=http:debug,upstream:info",
    ]
    wrong = mesh("pc", "log", "web-1", "--level", "nothing:debug")
    assert (wrong.code, "unknown logger name: nothing" in wrong.err) == (1, True)
    assert "holds no secrets" in mesh("pc", "secret", "web-1").err


def test_a_proxy_that_cannot_be_asked(mesh: Mesh, plane: FakeControlPlane) -> None:
    far = {**proxy(15090), "address": "192.0.2.1", "name": "far-1"}
    plane.on(
        "GET /api/v1/proxies", {"items": [proxy(1 + PROMETHEUS_PORT - ADMIN_PORT), {**proxy(0), "name": "grpc-1"}, far]}
    )
    assert "is open to its own machine only, 192.0.2.1" in mesh("pc", "log", "far-1").err
    assert "does not answer" in mesh("pc", "log", "web-1").err
    assert "has no admin port" in mesh("pc", "log", "grpc-1").err
    unknown = mesh("pc", "log", "nobody")
    assert (unknown.code, "there are: far-1.default, grpc-1.default, web-1.default" in unknown.err) == (2, True)


def test_all_of_it(mesh: Mesh, plane: FakeControlPlane) -> None:
    given(plane)
    result = mesh("pc", "all", "web-1", "-o", "json")
    assert json.loads(result.out) == {"clusters": [], "listeners": [], "routes": [], "endpoints": []}
    assert "web-1 has no listeners" in mesh("pc", "all", "web-1").err


def test_all_of_it_is_filtered_as_its_parts_are(mesh: Mesh, plane: FakeControlPlane) -> None:
    given(plane, {"name": REVIEWS}, {"name": "inbound|9080||"}, LISTENER)
    found = json.loads(mesh("pc", "all", "web-1", "--fqdn", "reviews", "--port", "15006", "-o", "json").out)
    assert found["clusters"] == []
    found = json.loads(mesh("pc", "all", "web-1", "--fqdn", "reviews", "-o", "json").out)
    assert [each["name"] for each in found["clusters"]] == [REVIEWS]


def test_numbers_of_a_struct_are_whole() -> None:
    assert tables.whole({"a": [15021.0, 0.5], "b": {"c": 1.0, "d": "1.0"}}) == {
        "a": [15021, 0.5],
        "b": {"c": 1, "d": "1.0"},
    }
    assert str(tables.whole(15021.0)) == "15021"


def test_a_stranger_is_what_the_control_plane_says(mesh: Mesh, plane: FakeControlPlane) -> None:
    words = "no connected proxy nobody; connected: reviews-v1.default"
    plane.on("GET /api/v1/proxies/nobody/config", {"errors": [{"message": words}]}, 404)
    result = mesh("proxy-config", "routes", "nobody")
    assert (result.code, result.err) == (1, f"error: {words}\n")
