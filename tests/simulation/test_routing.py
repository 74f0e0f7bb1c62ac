"""VirtualServices, seen from the sidecar of the product page."""

import pytest

from control_plane.translate import build
from control_plane.world import World
from mesh.node import Node, ServicePort
from mesh.xds import ROUTE
from tests.simulation.evaluator import Call, Outcome, evaluate
from tests.simulation.worlds import service, sidecar, transparent, world

HEAD = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
"""


def rules(text: str) -> World:
    return world(service("reviews"), service("ratings"), yaml=HEAD + text)


def call(where: World, url: str, method: str = "GET", node: Node | None = None, **headers: str) -> Outcome | None:
    """The outcome in the explicit proxy; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    config = build(where, node or sidecar())[ROUTE]["http_proxy"]
    return evaluate(config, Call(url, method, named))


def subset(outcome: Outcome | None) -> str:
    assert outcome is not None
    return outcome.cluster.split("|")[2]


def test_without_rules_the_whole_service_is_called() -> None:
    outcome = call(world(service("reviews")), "http://reviews:9080/reviews/0")
    assert outcome is not None
    assert outcome.cluster == "outbound|9080||reviews.default.svc.cluster.local"
    assert outcome.route.name == "default"


@pytest.mark.parametrize(
    "name",
    ["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local", "REVIEWS.default"],
)
@pytest.mark.parametrize("port", ["", ":9080"])
def test_every_name_of_a_service_means_it(name: str, port: str) -> None:
    outcome = call(world(service("reviews")), f"http://{name}{port}/")
    assert outcome is not None
    assert outcome.cluster == "outbound|9080||reviews.default.svc.cluster.local"


def test_a_short_name_is_of_ones_own_namespace() -> None:
    where = world(service("reviews", namespace="a"), service("reviews", namespace="b"))
    in_a, in_b = (call(where, "http://reviews:9080/", node=sidecar(namespace=n)) for n in ("a", "b"))
    assert in_a is not None and in_a.cluster.endswith("reviews.a.svc.cluster.local")
    assert in_b is not None and in_b.cluster.endswith("reviews.b.svc.cluster.local")
    outside = call(where, "http://reviews:9080/", node=sidecar(namespace="c"))
    assert outside is not None and outside.host == "allow_any"


def test_the_first_rule_that_matches_wins() -> None:
    where = rules("""
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - match: [{uri: {prefix: /reviews}}, {method: {exact: POST}}]
    route: [{destination: {host: reviews, subset: v3}}]
  - route: [{destination: {host: reviews, subset: v1}}]
""")
    assert subset(call(where, "http://reviews:9080/reviews/0", end_user="jason")) == "v2"
    assert subset(call(where, "http://reviews:9080/reviews/0", end_user="mary")) == "v3"
    assert subset(call(where, "http://reviews:9080/other", method="POST")) == "v3"
    assert subset(call(where, "http://reviews:9080/other")) == "v1"


def test_nothing_after_a_catch_all_is_sent() -> None:
    where = rules("""
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {prefix: /}}, {uri: {prefix: /b}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route: [{destination: {host: reviews, subset: v3}}]
""")
    (host,) = (h for h in build(where, sidecar())[ROUTE]["http_proxy"].virtual_hosts if h.name.startswith("reviews"))
    clusters = [route.route.cluster.split("|")[2] for route in host.routes if route.name != "connect"]
    assert clusters == ["v1", "v2"]


def test_no_rule_that_matches_is_no_route() -> None:
    where = rules("""
  - match: [{uri: {exact: /only}}]
    route: [{destination: {host: reviews}}]
""")
    assert call(where, "http://reviews:9080/only") is not None
    assert call(where, "http://reviews:9080/other") is None


def test_weights_are_shares_and_none_is_no_destination() -> None:
    where = rules("""
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 180}
    - {destination: {host: reviews, subset: v2}, weight: 20}
    - {destination: {host: reviews, subset: v3}, weight: 0}
""")
    outcome = call(where, "http://reviews:9080/")
    assert outcome is not None
    shares = {name.split("|")[2]: share for name, share in outcome.clusters.items()}
    assert shares == {"v1": 0.9, "v2": 0.1}


CONDITIONS = [
    ("uri: {exact: /a}", "/a", {}, True),
    ("uri: {exact: /a}", "/a?b=c", {}, True),
    ("uri: {exact: /a}", "/a/", {}, False),
    ("uri: {prefix: /v2}", "/v2example", {}, True),
    ("uri: {prefix: ''}", "/x", {}, True),
    ("uri: {regex: '/a.c'}", "/abc", {}, True),
    ("uri: {regex: '/a.c'}", "/abcd", {}, False),
    ("{uri: {exact: /A}, ignoreUriCase: true}", "/a", {}, True),
    ("{uri: {prefix: /A}, ignoreUriCase: true}", "/ab", {}, True),
    ("uri: {exact: /A}", "/a", {}, False),
    ("headers: {x: {exact: a}}", "/", {"x": "a"}, True),
    ("headers: {x: {exact: a}}", "/", {"x": "b"}, False),
    ("headers: {x: {prefix: a}}", "/", {"x": "abc"}, True),
    ("headers: {x: {regex: 'a|b'}}", "/", {"x": "b"}, True),
    ("headers: {x: {regex: 'a|b'}}", "/", {"x": "bc"}, False),
    ("headers: {x: {}}", "/", {"x": ""}, True),
    ("headers: {x: {}}", "/", {}, False),
    ("headers: {x: {exact: a}, y: {exact: b}}", "/", {"x": "a"}, False),
    ("headers: {':method': {exact: GET}}", "/", {}, True),
    ("withoutHeaders: {x: {exact: a}}", "/", {"x": "a"}, False),
    ("withoutHeaders: {x: {exact: a}}", "/", {"x": "b"}, True),
    ("withoutHeaders: {x: {exact: a}}", "/", {}, True),
    ("withoutHeaders: {x: {exact: ''}}", "/", {}, False),
    ("withoutHeaders: {x: {}}", "/", {"x": "a"}, False),
    ("withoutHeaders: {x: {}}", "/", {}, True),
    ("withoutHeaders: {x: {regex: '*'}}", "/", {}, True),
    ("withoutHeaders: {x: {regex: '*'}}", "/", {"x": "b"}, False),
    ("queryParams: {q: {exact: a}}", "/?q=a", {}, True),
    ("queryParams: {q: {exact: a}}", "/?q=b&q=a", {}, False),
    ("queryParams: {q: {exact: ''}}", "/?q", {}, True),
    ("queryParams: {q: {prefix: a}}", "/?q=ab", {}, True),
    ("queryParams: {q: {regex: 'a+'}}", "/?q=aaa", {}, True),
    ("queryParams: {q: {}}", "/?q=x", {}, True),
    ("queryParams: {q: {}}", "/?p=x", {}, False),
    ("method: {regex: 'GET|HEAD'}", "/", {}, True),
    ("scheme: {exact: https}", "/", {}, False),
    ("authority: {prefix: reviews}", "/", {}, True),
]


@pytest.mark.parametrize(("condition", "path", "headers", "expected"), CONDITIONS)
def test_conditions(condition: str, path: str, headers: dict[str, str], expected: bool) -> None:
    match = condition if condition.startswith("{") else f"{{{condition}}}"
    where = rules(f"""
  - match: [{match}]
    route: [{{destination: {{host: reviews, subset: v2}}}}]
""")
    assert (call(where, f"http://reviews:9080{path}", **headers) is not None) == expected


def test_who_asks_is_decided_here() -> None:
    where = rules("""
  - match: [{sourceLabels: {app: productpage, version: v2}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - match: [{sourceNamespace: other}]
    route: [{destination: {host: reviews, subset: v3}}]
  - route: [{destination: {host: reviews, subset: v1}}]
""")
    full = "http://reviews.default:9080/"
    assert subset(call(where, full)) == "v1"
    assert subset(call(where, full, node=sidecar(labels={"app": "productpage", "version": "v2", "x": "y"}))) == "v2"
    assert subset(call(where, full, node=sidecar(namespace="other"))) == "v3"


def test_rules_that_are_for_others_leave_the_service_without_rules() -> None:
    where = rules("""
  - match: [{sourceLabels: {app: nobody}}]
    route: [{destination: {host: reviews, subset: v2}}]
""")
    assert subset(call(where, "http://reviews:9080/")) == ""


def test_the_called_port_decides_where_a_destination_says_nothing() -> None:
    yaml = HEAD + "  - match: [{port: 8080}]\n    route: [{destination: {host: many, subset: a}}]\n"
    yaml += "  - match: [{name: x, uri: {prefix: /one}}]\n    route: [{destination: {host: one}}]\n"
    yaml += "  - route: [{destination: {host: many, port: {number: 7}}}]\n"
    where = world(service("reviews", 9080, 8080), service("many", 9080, 8080), service("one", 1234), yaml=yaml)
    results = [call(where, f"http://reviews:{url}") for url in ("8080/", "9080/one", "9080/")]
    hosts = [r.cluster if r else None for r in results]
    assert hosts == [
        "outbound|8080|a|many.default.svc.cluster.local",
        "outbound|1234||one.default.svc.cluster.local",
        "outbound|7||many.default.svc.cluster.local",
    ]


def test_the_port_that_a_bare_name_means() -> None:
    where = world(service("a", 8080, 80), service("b", ServicePort(70, "t", "TCP"), 8081, 8080), service("c", 443))
    found = [call(where, f"http://{name}/") for name in "abc"]
    assert [outcome.cluster.split("|")[1] for outcome in found if outcome] == ["80", "8081", "443"]


def test_unknown_hosts_are_refused_by_the_explicit_proxy() -> None:
    where = world(service("reviews"))
    for method, url in (("GET", "http://example.com/"), ("GET", "http://reviews:1/"), ("CONNECT", "example.com:443")):
        outcome = call(where, url, method)
        assert outcome is not None
        assert (outcome.host, outcome.route.direct_response.status) == ("allow_any", 502)


def test_connect_goes_through_to_the_service() -> None:
    where = world(service("db", ServicePort(5432, "tcp", "TCP")), service("reviews"))
    for name, port in (("db", 5432), ("reviews", 9080)):
        outcome = call(where, f"{name}:{port}", "CONNECT")
        assert outcome is not None
        assert outcome.cluster == f"outbound|{port}||{name}.default.svc.cluster.local"
        assert outcome.route.route.upgrade_configs[0].HasField("connect_config")
    assert call(where, "http://db:5432/") is None


def test_a_host_that_no_service_has_is_asked_for_on_port_80() -> None:
    yaml = HEAD.replace("[reviews]", "[bookinfo.example.com, '*.wild.example.com']")
    where = world(service("reviews"), yaml=yaml + "  - route: [{destination: {host: reviews}}]\n")
    for host in ("bookinfo.example.com", "bookinfo.example.com:80", "x.wild.example.com"):
        outcome = call(where, f"http://{host}/")
        assert outcome is not None and "reviews" in outcome.cluster, host
        config = build(where, transparent())[ROUTE]["80"]
        outcome = evaluate(config, Call(f"http://{host}/"))
        assert outcome is not None and "reviews" in outcome.cluster, host


def test_a_rule_for_the_host_counts_more_than_one_with_a_wildcard() -> None:
    docs = [
        HEAD.replace("name: reviews", f"name: {name}").replace("[reviews]", f"[{host}]")
        + f"  - route: [{{destination: {{host: reviews, subset: {name}}}}}]\n"
        for name, host in (
            ("wide", "'*.svc.cluster.local'"),
            ("narrow", "'*.default.svc.cluster.local'"),
            ("exact", "reviews"),
        )
    ]
    for kept, expected in ((docs, "exact"), (docs[:2], "narrow"), (docs[:1], "wide")):
        where = world(service("reviews"), yaml="---".join(kept))
        assert subset(call(where, "http://reviews:9080/")) == expected


def test_of_two_rules_for_a_host_the_older_counts() -> None:
    docs = [
        HEAD.replace("name: reviews", f"name: {name}")
        + f"  - route: [{{destination: {{host: reviews, subset: {name}}}}}]\n"
        for name in ("older", "newer")
    ]
    assert subset(call(world(service("reviews"), yaml="---".join(docs)), "http://reviews:9080/")) == "older"


def test_rules_for_gateways_are_not_for_sidecars() -> None:
    yaml = HEAD.replace("  http:", "  gateways: [ingress]\n  http:")
    where = world(service("reviews"), yaml=yaml + "  - route: [{destination: {host: reviews, subset: v9}}]\n")
    assert subset(call(where, "http://reviews:9080/")) == ""
    both = yaml.replace("[ingress]", "[ingress, mesh]")
    where = world(service("reviews"), yaml=both + "  - route: [{destination: {host: reviews, subset: v9}}]\n")
    assert subset(call(where, "http://reviews:9080/")) == "v9"


def test_gateways_in_a_match() -> None:
    yaml = HEAD.replace("  http:", "  gateways: [ingress, mesh]\n  http:")
    yaml += "  - match: [{gateways: [ingress]}]\n    route: [{destination: {host: reviews, subset: outside}}]\n"
    yaml += "  - match: [{gateways: [mesh]}]\n    route: [{destination: {host: reviews, subset: inside}}]\n"
    assert subset(call(world(service("reviews"), yaml=yaml), "http://reviews:9080/")) == "inside"


def test_a_short_host_is_completed_in_the_namespace_of_its_rule() -> None:
    yaml = HEAD.replace("{name: reviews}", "{name: reviews, namespace: a}")
    yaml += "  - route: [{destination: {host: reviews, subset: ruled}}]\n"
    where = world(service("reviews", namespace="a"), service("reviews", namespace="b"), yaml=yaml)
    assert subset(call(where, "http://reviews.a:9080/", node=sidecar(namespace="b"))) == "ruled"
    assert subset(call(where, "http://reviews:9080/", node=sidecar(namespace="b"))) == ""


# ── captured connections ──────────────────────────────────────────────────────────────────────────────────────────────


def test_captured_requests_are_told_apart_by_name_only() -> None:
    where = world(service("reviews", 9080), service("ratings", 9080), service("web", 80))
    configs = build(where, transparent())[ROUTE]
    assert list(configs) == ["80", "9080", "http_proxy"]
    for url, cluster in (
        ("http://reviews:9080/", "outbound|9080||reviews.default.svc.cluster.local"),
        ("http://ratings.default/", "outbound|9080||ratings.default.svc.cluster.local"),
        ("http://web:9080/", "PassthroughCluster"),
        ("http://example.com/", "PassthroughCluster"),
    ):
        outcome = evaluate(configs["9080"], Call(url))
        assert outcome is not None and outcome.cluster == cluster, url


def test_unknown_hosts_of_captured_requests_may_be_refused() -> None:
    from control_plane.world import MeshConfig, OutboundPolicy

    where = world(service("reviews"), mesh=MeshConfig(outbound_policy=OutboundPolicy.REGISTRY_ONLY))
    outcome = evaluate(build(where, transparent())[ROUTE]["9080"], Call("http://example.com/"))
    assert outcome is not None and outcome.route.direct_response.status == 502


def test_virtual_addresses_are_names_too() -> None:
    where = world(service("reviews", 9080, addresses=("10.96.0.1", "fd00::1")))
    for authority in ("10.96.0.1:9080", "[fd00::1]:9080"):
        for node, name in ((sidecar(), "http_proxy"), (transparent(), "9080")):
            outcome = evaluate(build(where, node)[ROUTE][name], Call(f"http://{authority}/"))
            assert outcome is not None and "reviews" in outcome.cluster


def test_a_cors_policy_comes_with_its_route_only() -> None:
    where = rules("""
  - match: [{uri: {prefix: /open}}]
    corsPolicy: {allowOrigins: [{exact: "http://web.example"}], allowMethods: [GET]}
    route: [{destination: {host: reviews}}]
  - route: [{destination: {host: reviews}}]
""")
    named = [call(where, f"http://reviews:9080{path}", "OPTIONS") for path in ("/open", "/closed")]
    found = [sorted(outcome.route.typed_per_filter_config) for outcome in named if outcome is not None]
    assert found == [["envoy.filters.http.cors"], []]
