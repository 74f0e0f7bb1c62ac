"""Clusters, hosts and paths that a request's own headers decide, and virtual hosts that want TLS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Plan, reply
from tests.oracle.case import Case, Up, request

TWO = {"": Up(), "-other": Up(endpoints=["second"])}
MADE: Plan = reply()


def by_header(name: str, *lines: str, **expect: Any) -> Case:
    """The header says to which cluster."""
    return Case(
        name,
        request("/x", *(line.replace("%CLUSTER%", name) for line in lines)),
        action={"cluster": None, "cluster_header": "To"},
        clusters=TWO,
        script=[MADE],
        expect=expect,
    )


def weighted(
    name: str,
    *lines: str,
    clusters: list[Mapping[str, Any]],
    cluster: str | None = "%CLUSTER%",
    hash_policy: Sequence[Mapping[str, Any]] = (),
    **fields: Any,
) -> Case:
    """`cluster` is what the log says; None: any."""
    expect = {} if cluster is None else {"log[0].cluster": cluster.replace("%CLUSTER%", name)}
    return Case(
        name,
        request("/x", *(line.replace("%CLUSTER%", name) for line in lines)),
        action={"cluster": None, "weighted_clusters": {"clusters": clusters, **fields}, "hash_policy": hash_policy},
        clusters=TWO,
        script=[MADE],
        expect=expect,
    )


def rewritten(name: str, action: Mapping[str, Any], *lines: str, target: str = "/a/b?c=d", **more: Any) -> Case:
    return Case(name, request(target, *lines), action=action, script=[MADE], **more)


def tls(name: str, requires: str, *lines: str, **more: Any) -> Case:
    return Case(name, request("/x?y", *lines), vhost={"require_tls": requires}, script=[MADE], **more)


def levels(name: str, *, specific_last: bool) -> Case:
    """The same headers set at each level: which one stays?"""

    def fields(value: str) -> dict[str, Any]:
        add = [
            {"header": {"key": "h", "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
            {"header": {"key": "list", "value": value}},
        ]
        return {"request_headers_to_add": add, "response_headers_to_add": add}

    clusters = {"clusters": [{"name": name, "weight": 1, **fields("cluster")}]}
    route = {"name": "route", "match": {"prefix": "/"}, "route": {"weighted_clusters": clusters}, **fields("route")}
    direct = {"match": {"path": "/direct"}, "direct_response": {"status": 200}, **fields("direct")}
    alive = {
        "name": "alive",
        "domains": ["alive.oracle"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
    }
    host = {"name": "host", "domains": ["*"], "routes": [direct, route], **fields("host")}
    routes = {
        "name": "routes",
        "most_specific_header_mutations_wins": specific_last,
        "virtual_hosts": [alive, host],
        **fields("routes"),
    }
    sent = request("/x") + request("/direct")
    return Case(name, sent, methods=("GET", "GET"), hcm={"route_config": routes}, script=[MADE])


HALVES = [{"name": "%CLUSTER%", "weight": 30}, {"name": "%CLUSTER%-other", "weight": 70}]
REGEX = {"pattern": {"regex": "^/(.+)/(.+)$"}, "substitution": "\\2.\\1.test"}
CASES = (
    by_header("cluster_of_a_header", "to: %CLUSTER%-other", **{"client[0].status": 200}),
    by_header("cluster_of_the_first_header", "to: %CLUSTER%", "to: %CLUSTER%-other"),
    by_header("cluster_of_no_header", **{"client[0].status": 503}),
    by_header("cluster_of_an_empty_header", "to:", **{"client[0].status": 503}),
    by_header("cluster_of_an_unknown_name", "to: nowhere", **{"log[0].flags": "NC"}),
    weighted(
        "weighted_cluster_of_a_header",
        "to: %CLUSTER%-other",
        clusters=[{"cluster_header": "to", "weight": 1}],
        cluster="%CLUSTER%-other",
    ),
    weighted("weighted_cluster_of_no_header", clusters=[{"cluster_header": "to", "weight": 1}], cluster=None),
    weighted("weight_by_a_header", "at: 29", clusters=HALVES, header_name="at"),
    weighted("weight_by_a_header_beyond", "at: 30", clusters=HALVES, header_name="at", cluster="%CLUSTER%-other"),
    weighted("weight_by_a_header_again", "at: 129", clusters=HALVES, header_name="at"),
    weighted(
        "weight_by_a_hash",
        "key: value",
        clusters=[{"name": "%CLUSTER%", "weight": 50}, {"name": "%CLUSTER%-other", "weight": 50}],
        use_hash_policy=True,
        hash_policy=[{"header": {"header_name": "key"}}],
        cluster=None,
    ),
    rewritten("host_of_a_header", {"host_rewrite_header": "X-Host"}, "X-Host: other.test"),
    rewritten("host_of_no_header", {"host_rewrite_header": "X-Host"}),
    rewritten("host_of_an_empty_header", {"host_rewrite_header": "X-Host"}, "X-Host:"),
    rewritten("host_of_two_headers", {"host_rewrite_header": "X-Host"}, "X-Host: a", "X-Host: b"),
    rewritten(
        "host_of_a_header_forwarded",
        {"host_rewrite_header": "X-Host", "append_x_forwarded_host": True},
        "X-Host: other.test",
        "X-Forwarded-Host: before",
    ),
    rewritten("host_of_the_path", {"host_rewrite_path_regex": REGEX}),
    rewritten("host_of_the_path_not_matching", {"host_rewrite_path_regex": REGEX}, target="/a"),
    rewritten("host_of_the_rewritten_path", {"host_rewrite_path_regex": REGEX, "prefix_rewrite": "/z/"}),
    rewritten("host_by_format", {"host_rewrite": "%REQ(a)%.test"}, "a: b"),
    rewritten("host_by_format_of_nothing", {"host_rewrite": "%REQ(a)%"}),
    rewritten("path_by_format", {"path_rewrite": "/%REQ(a)%/x"}, "a: b"),
    rewritten("path_by_format_with_query", {"path_rewrite": "/x%REQ(:path)%"}),
    rewritten("path_by_format_of_nothing", {"path_rewrite": "%REQ(a)%"}),
    rewritten(
        "host_of_an_added_header",
        {"host_rewrite_header": "X-Host"},
        route={"request_headers_to_add": [{"header": {"key": "x-host", "value": "added.test"}}]},
    ),
    tls("tls_not_required", "NONE", expect={"client[0].status": 200}),
    tls("tls_required", "ALL", expect={"client[0].status": 301}),
    tls("tls_required_and_there", "ALL", "X-Forwarded-Proto: https", expect={"client[0].status": 200}),
    tls("tls_required_of_strangers", "EXTERNAL_ONLY", expect={"client[0].status": 301}),
    Case(
        "tls_required_of_insiders",
        request("/x"),
        vhost={"require_tls": "EXTERNAL_ONLY"},
        script=[MADE],
        hcm={
            "use_remote_address": True,
            "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]},
        },
        expect={"client[0].status": 200},
    ),
    Case(
        "tls_required_with_a_port",
        request("/x", host="tls-port.test:80"),
        vhost={"require_tls": "ALL", "domains": ["tls-port.test:80"]},
        script=[MADE],
        expect={"client[0].status": 301},
    ),
    Case(
        "tls_required_where_there_is_no_route",
        request("/elsewhere"),
        routes=[{"match": {"prefix": "/x"}, "route": {"cluster": "%CLUSTER%"}}],
        vhost={"require_tls": "ALL"},
        script=[MADE],
    ),
    levels("levels_general_last", specific_last=False),
    levels("levels_specific_last", specific_last=True),
    Case(
        "match_grpc",
        request("/x", "Content-Type: application/grpc+proto"),
        routes=[
            {"name": "grpc", "match": {"prefix": "/", "grpc": {}}, "route": {"cluster": "%CLUSTER%"}},
            {"name": "rest", "match": {"prefix": "/"}, "direct_response": {"status": 404}},
        ],
        script=[MADE],
        expect={"log[0].route": "grpc"},
    ),
    Case(
        "match_grpc_not",
        request("/x", "Content-Type: application/grpc-web"),
        routes=[
            {"name": "grpc", "match": {"prefix": "/", "grpc": {}}, "route": {"cluster": "%CLUSTER%"}},
            {"name": "rest", "match": {"prefix": "/"}, "direct_response": {"status": 404}},
        ],
        script=[MADE],
        expect={"log[0].route": "rest"},
    ),
)
