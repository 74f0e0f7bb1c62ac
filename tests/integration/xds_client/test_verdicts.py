"""The same configuration, judged by a real Envoy (`--mode validate`) and by us: whoever accepts, both do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.config.table import documents
from tests.harness.envoy import envoy_binary
from tests.unit.sidecar.config.build import (
    FAULT,
    FILE_LOG,
    HCM,
    HTTP_OPTIONS,
    LB,
    OTEL,
    ROUTER,
    Data,
    Parts,
    T,
    address,
    copied,
    parts,
    problems,
)

Edit = Callable[[Parts], object]
SOURCE = {"ads": {}, "resource_api_version": "V3"}


def fault(**fields: object) -> Data:
    return {"name": "fault", "typed_config": {"@type": FAULT, **fields}}


def log(**fields: object) -> list[Data]:
    return [{"name": "log", "typed_config": {"@type": FILE_LOG, "path": "/dev/null", **fields}}]


def header(key: str, value: str, **fields: object) -> list[Data]:
    return [{"header": {"key": key, "value": value}, **fields}]


def policy(kind: str, **fields: object) -> Data:
    return {"typed_extension_config": {"name": "lb", "typed_config": {"@type": LB + kind, **fields}}}


def http_options(**fields: object) -> Data:
    return {HTTP_OPTIONS: {"@type": T + HTTP_OPTIONS, **fields}}


def match_chains(*matches: Data) -> Edit:
    def edit(p: Parts) -> None:
        p.listener["filter_chains"] = [copied(p.chain, filter_chain_match=match) for match in matches]

    return edit


def instead(key: str, of: str, value: object, where: str) -> Edit:
    def edit(p: Parts) -> None:
        part = getattr(p, where)
        del part[of]
        part[key] = value

    return edit


def both(*edits: Edit) -> Edit:
    def edit(p: Parts) -> None:
        for each in edits:
            each(p)

    return edit


def with_ads(p: Parts) -> None:
    p.bootstrap["node"] = {"id": "a", "cluster": "b"}
    p.static["clusters"].append(
        copied(
            p.cluster,
            name="xds",
            typed_extension_protocol_options=http_options(explicit_http_config={"http2_protocol_options": {}}),
        )
    )
    p.bootstrap["dynamic_resources"] = {
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
        }
    }


def ads(**fields: object) -> Edit:
    return both(with_ads, lambda p: p.bootstrap["dynamic_resources"]["ads_config"].update(fields))


def eds(**fields: object) -> Edit:
    cluster = {"name": "eds", "type": "EDS", "eds_cluster_config": {"eds_config": SOURCE}, **fields}
    return both(with_ads, lambda p: p.static["clusters"].append(cluster))


ROUTES: Mapping[str, Edit] = {
    "as it is": lambda p: None,
    "domains with wildcards": lambda p: p.host.update(domains=["a*b", "x.*", "*.y", "*"]),
    "domains that differ in case": lambda p: p.host.update(domains=["a", "A"]),
    "two virtual hosts of one name": lambda p: p.routes["virtual_hosts"].append(copied(p.host, domains=["z"])),
    "two virtual hosts of one domain": lambda p: p.routes["virtual_hosts"].append(copied(p.host, name="q")),
    "no domain": lambda p: p.host.pop("domains"),
    "unknown cluster": lambda p: p.action.update(cluster="nope"),
    "unknown cluster, unchecked": both(
        lambda p: p.action.update(cluster="nope"), lambda p: p.routes.update(validate_clusters=False)
    ),
    "add host": lambda p: p.route.update(request_headers_to_add=header("Host", "x")),
    "add :path": lambda p: p.route.update(request_headers_to_add=header(":path", "x")),
    "remove host": lambda p: p.route.update(request_headers_to_remove=["host"]),
    "remove :path": lambda p: p.host.update(response_headers_to_remove=[":path"]),
    "unknown command": lambda p: p.route.update(request_headers_to_add=header("a", "%NOPE%")),
    "lone percent": lambda p: p.routes.update(response_headers_to_add=header("a", "100%")),
    "commands": lambda p: p.route.update(request_headers_to_add=header("a", "%REQ(x)% %%", append=True)),
    "empty value": lambda p: p.route.update(request_headers_to_add=header("a", "", keep_empty_value=True)),
    "bad regex": instead("safe_regex", "prefix", {"regex": "("}, "match"),
    "regex that RE2 has not": instead("safe_regex", "prefix", {"regex": "(?=a)"}, "match"),
    "empty regex": instead("safe_regex", "prefix", {"regex": ""}, "match"),
    "regex": instead("safe_regex", "prefix", {"regex": "/a.*"}, "match"),
    "separated prefix": instead("path_separated_prefix", "prefix", "/a", "match"),
    "separated prefix with a slash": instead("path_separated_prefix", "prefix", "/a/", "match"),
    "empty path": instead("path", "prefix", "", "match"),
    "connect": instead("connect_matcher", "prefix", {}, "match"),
    "no path": lambda p: p.match.clear(),
    "no match": lambda p: p.route.pop("match"),
    "no action": lambda p: p.route.pop("route"),
    "header, old spelling": lambda p: p.match.update(headers=[{"name": "a", "exact_match": "b"}]),
    "header, empty old spelling": lambda p: p.match.update(headers=[{"name": "a", "exact_match": ""}]),
    "header, empty range": lambda p: p.match.update(headers=[{"name": "a", "range_match": {"start": 5, "end": 5}}]),
    "header, nothing to match": lambda p: p.match.update(headers=[{"name": "a", "string_match": {}}]),
    "header, empty prefix": lambda p: p.match.update(headers=[{"name": "a", "string_match": {"prefix": ""}}]),
    "header, regex without case": lambda p: p.match.update(
        headers=[{"name": "a", "string_match": {"safe_regex": {"regex": "a"}, "ignore_case": True}}]
    ),
    "header, present": lambda p: p.match.update(headers=[{"name": "A"}]),
    "header, absent": lambda p: p.match.update(headers=[{"name": "a", "present_match": False}]),
    "query parameter": lambda p: p.match.update(query_parameters=[{"name": "a", "string_match": {"exact": ""}}]),
    "query parameter without a name": lambda p: p.match.update(query_parameters=[{"present_match": True}]),
    "fraction above one": lambda p: p.match.update(runtime_fraction={"default_value": {"numerator": 200}}),
    "two rewrites": lambda p: p.action.update(
        prefix_rewrite="/x", regex_rewrite={"pattern": {"regex": "a"}, "substitution": "b"}
    ),
    "rewrite with a bad escape": lambda p: p.action.update(
        regex_rewrite={"pattern": {"regex": "(a)"}, "substitution": "\\q"}
    ),
    "rewrite that ends in a backslash": lambda p: p.action.update(
        regex_rewrite={"pattern": {"regex": "(a)"}, "substitution": "a\\"}
    ),
    "negative time-out": lambda p: p.action.update(timeout="-1s"),
    "no time-outs": lambda p: p.action.update(timeout="0s", idle_timeout="0s"),
    "back-off upside down": lambda p: p.action.update(
        retry_policy={"retry_on": "5xx", "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.01s"}}
    ),
    "tiny back-off": lambda p: p.action.update(
        retry_policy={"retry_on": "5xx", "retry_back_off": {"base_interval": "0.0001s"}}
    ),
    "host predicate without a type": lambda p: p.action.update(
        retry_policy={"retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts"}]}
    ),
    "host selection": lambda p: p.action.update(retry_policy={"host_selection_retry_max_attempts": -1}),
    "any status code": lambda p: p.action.update(retry_policy={"retriable_status_codes": [999]}),
    "weights of nothing": instead(
        "weighted_clusters", "cluster", {"clusters": [{"name": "up", "weight": 0}]}, "action"
    ),
    "no weights": instead("weighted_clusters", "cluster", {"clusters": [{"name": "up"}]}, "action"),
    "weights too large": instead(
        "weighted_clusters", "cluster", {"clusters": [{"name": "up", "weight": 2**32 - 1}] * 2}, "action"
    ),
    "weight of nobody": instead("weighted_clusters", "cluster", {"clusters": [{"weight": 1}]}, "action"),
    "total weight": instead(
        "weighted_clusters", "cluster", {"clusters": [{"name": "up", "weight": 1}], "total_weight": 100}, "action"
    ),
    "one upgrade twice": lambda p: p.action.update(
        upgrade_configs=[{"upgrade_type": "websocket"}, {"upgrade_type": "WebSocket"}]
    ),
    "connect_config for another upgrade": lambda p: p.action.update(
        upgrade_configs=[{"upgrade_type": "websocket", "connect_config": {}}]
    ),
    "status of a direct response": instead("direct_response", "route", {"status": 100}, "route"),
    "long direct response": instead(
        "direct_response", "route", {"status": 200, "body": {"inline_string": "x" * 5000}}, "route"
    ),
    "longer direct responses": both(
        instead("direct_response", "route", {"status": 200, "body": {"inline_string": "x" * 5000}}, "route"),
        lambda p: p.routes.update(max_direct_response_body_size_bytes=5000),
    ),
    "direct response from no file": instead(
        "direct_response", "route", {"status": 200, "body": {"filename": "/nope"}}, "route"
    ),
    "direct response from no variable": instead(
        "direct_response", "route", {"status": 200, "body": {"environment_variable": "MESH_NOPE"}}, "route"
    ),
    "redirect": instead("redirect", "route", {"scheme_redirect": "HTTPS", "path_redirect": "/x?y"}, "route"),
    "redirect with a bad regex": instead(
        "redirect", "route", {"regex_rewrite": {"pattern": {"regex": "("}, "substitution": ""}}, "route"
    ),
}

MANAGERS: Mapping[str, Edit] = {
    "HTTP/1 only": lambda p: p.hcm.update(codec_type="HTTP1"),
    "no stat prefix": lambda p: p.hcm.pop("stat_prefix"),
    "no routes": lambda p: p.hcm.pop("route_config"),
    "router twice": lambda p: p.hcm["http_filters"].append(p.hcm["http_filters"][0]),
    "router not last": lambda p: p.hcm["http_filters"].append(fault()),
    "router disabled": lambda p: p.hcm["http_filters"][0].update(disabled=True),
    "router without a type": lambda p: p.hcm.update(http_filters=[{"name": "envoy.filters.http.router"}]),
    "one filter twice": lambda p: p.hcm.update(http_filters=[fault(), fault(), *p.hcm["http_filters"]]),
    "fault without an abort": lambda p: p.hcm["http_filters"].insert(0, fault(abort={"percentage": {"numerator": 5}})),
    "fault without a delay": lambda p: p.hcm["http_filters"].insert(0, fault(delay={"fixed_delay": "0s"})),
    "per route": both(
        lambda p: p.hcm["http_filters"].insert(0, fault()),
        lambda p: p.route.update(typed_per_filter_config={"fault": {"@type": FAULT, "abort": {"http_status": 500}}}),
    ),
    "per route, wrapped": lambda p: p.route.update(
        typed_per_filter_config={
            "fault": {"@type": T + "envoy.config.route.v3.FilterConfig", "config": {"@type": FAULT}}
        }
    ),
    "per route, disabled": lambda p: p.route.update(
        typed_per_filter_config={"fault": {"@type": T + "envoy.config.route.v3.FilterConfig", "disabled": True}}
    ),
    "per route, of a filter that has none": lambda p: p.route.update(typed_per_filter_config={"x": {"@type": ROUTER}}),
    "two ways to strip ports": lambda p: p.hcm.update(strip_any_host_port=True, strip_matching_host_port=True),
    "too large headers": lambda p: p.hcm.update(max_request_headers_kb=9000),
    "no headers": lambda p: p.hcm.update(common_http_protocol_options={"max_headers_count": 0}),
    "time-outs": lambda p: p.hcm.update(
        stream_idle_timeout="0s",
        request_timeout="5s",
        drain_timeout="1s",
        common_http_protocol_options={"idle_timeout": "0s"},
    ),
    "negative time-out": lambda p: p.hcm.update(request_headers_timeout="-1s"),
    "options": lambda p: p.hcm.update(
        http_protocol_options={"allow_absolute_url": True, "accept_http_10": True, "default_host_for_http_10": "x"}
    ),
    "internal addresses": lambda p: p.hcm.update(
        internal_address_config={"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}
    ),
    "internal nonsense": lambda p: p.hcm.update(
        internal_address_config={"cidr_ranges": [{"address_prefix": "x", "prefix_len": 8}]}
    ),
    "request id": lambda p: p.hcm.update(
        request_id_extension={
            "typed_config": {
                "@type": T + "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "use_request_id_for_trace_sampling": True,
            }
        }
    ),
    "sampling above 100": lambda p: p.hcm.update(tracing={"random_sampling": {"value": 120}}),
    "tracing into the void": lambda p: p.hcm.update(
        tracing={"provider": {"name": "otel", "typed_config": {"@type": OTEL, "service_name": "s"}}}
    ),
    "log": lambda p: p.hcm.update(access_log=log()),
    "log without a path": lambda p: p.hcm.update(access_log=log(path="")),
    "log without a type": lambda p: p.hcm.update(access_log=[{"name": "log"}]),
    "log as text": lambda p: p.hcm.update(access_log=log(log_format={"text_format": "%PROTOCOL%\n"})),
    "log with an unknown command": lambda p: p.hcm.update(access_log=log(log_format={"text_format": "%NOPE%\n"})),
    "log as JSON": lambda p: p.hcm.update(
        access_log=log(log_format={"json_format": {"a": "%REQ(:METHOD)%", "b": {"c": ["%PROTOCOL%", 5, True, None]}}})
    ),
    "log as JSON with an unknown command": lambda p: p.hcm.update(
        access_log=log(log_format={"json_format": {"a": "%NOPE%"}})
    ),
    "log, old spelling": lambda p: p.hcm.update(access_log=log(format="%PROTOCOL%\n")),
    "RDS": both(with_ads, instead("rds", "route_config", {"route_config_name": "x", "config_source": SOURCE}, "hcm")),
}

LISTENERS: Mapping[str, Edit] = {
    "no name": lambda p: p.listener.pop("name"),
    "no address": lambda p: p.listener.pop("address"),
    "no chains": lambda p: p.listener.pop("filter_chains"),
    "host name": lambda p: p.listener.update(address=address(host="localhost")),
    "port too large": lambda p: p.listener.update(address=address(70000)),
    "IPv6": lambda p: p.listener.update(address=address(host="::1")),
    "two network filters": lambda p: p.chain["filters"].append(p.chain["filters"][0]),
    "two chains for everything": match_chains({}, {}),
    "by port and name": match_chains({"destination_port": 80, "server_names": ["*.a.com", "b.com"]}, {}),
    "half a wildcard": match_chains({"server_names": ["*w.a.com"]}),
    "wildcard at the end": match_chains({"server_names": ["w.*"]}),
    "only a wildcard": match_chains({"server_names": ["*"]}),
    "chains that overlap by name": match_chains({"server_names": ["a"]}, {"server_names": ["b", "a"]}),
    "chains that overlap by range": match_chains(
        {"prefix_ranges": [{"address_prefix": "10.1.2.3", "prefix_len": 8}]},
        {"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
    ),
    "range of everything": match_chains({"prefix_ranges": [{"address_prefix": "10.1.2.3"}]}),
    "by protocol": match_chains({"source_type": "ANY", "application_protocols": ["http/1.1", "h2c"]}),
    "default chain": lambda p: p.listener.update(default_filter_chain=copied(p.chain)),
    "default chain with a match": lambda p: p.listener.update(
        default_filter_chain=copied(p.chain, filter_chain_match={"destination_port": 80})
    ),
    "only a default chain": lambda p: p.listener.update(default_filter_chain=p.listener.pop("filter_chains")[0]),
    "listener filter without a type": lambda p: p.listener.update(
        listener_filters=[{"name": "envoy.filters.listener.tls_inspector"}]
    ),
    "two on a free port": lambda p: p.static["listeners"].append(copied(p.listener, name="z")),
    "two on one port": lambda p: p.static.update(
        listeners=[copied(p.listener, name=name, address=address(19_997)) for name in "xy"]
    ),
}

CLUSTERS: Mapping[str, Edit] = {
    "no name": lambda p: p.cluster.update(name=""),
    "no type": lambda p: p.cluster.pop("type"),
    "one name twice": lambda p: p.static["clusters"].append(copied(p.cluster)),
    "no connect time-out": lambda p: p.cluster.update(connect_timeout="0s"),
    "DNS": lambda p: p.cluster.update(type="STRICT_DNS"),
    "logical DNS": lambda p: p.cluster.update(type="LOGICAL_DNS"),
    "logical DNS of two": lambda p: p.cluster.update(
        type="LOGICAL_DNS",
        load_assignment={"cluster_name": "up", "endpoints": [{"lb_endpoints": [p.endpoint, p.endpoint]}]},
    ),
    "name in a static cluster": lambda p: p.endpoint["endpoint"].update(address=address(9, "localhost")),
    "name in a DNS cluster": both(
        lambda p: p.cluster.update(type="STRICT_DNS"),
        lambda p: p.endpoint["endpoint"].update(address=address(9, "localhost")),
    ),
    "no endpoints": lambda p: p.cluster.pop("load_assignment"),
    "endpoints of nobody": lambda p: p.cluster["load_assignment"].pop("cluster_name"),
    "original destination": lambda p: p.static["clusters"].append({"name": "o", "type": "ORIGINAL_DST"}),
    "original destination, provided": lambda p: p.static["clusters"].append(
        {"name": "o", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
    ),
    "provided by nobody": lambda p: p.cluster.update(lb_policy="CLUSTER_PROVIDED"),
    "choice of one": lambda p: p.cluster.update(lb_policy="LEAST_REQUEST", least_request_lb_config={"choice_count": 1}),
    "policies": lambda p: p.cluster.update(
        load_balancing_policy={
            "policies": [policy("least_request.v3.LeastRequest", choice_count=3), policy("round_robin.v3.RoundRobin")]
        }
    ),
    "no policies": lambda p: p.cluster.update(load_balancing_policy={"policies": []}),
    "policies and subsets": lambda p: p.cluster.update(
        load_balancing_policy={"policies": [policy("random.v3.Random")]}, lb_subset_config={}
    ),
    "policies and zones": lambda p: p.cluster.update(
        load_balancing_policy={"policies": [policy("random.v3.Random")]}, common_lb_config={"zone_aware_lb_config": {}}
    ),
    "policies and weighted localities": lambda p: p.cluster.update(
        load_balancing_policy={"policies": [policy("random.v3.Random")]},
        common_lb_config={"locality_weighted_lb_config": {}},
    ),
    "policies and old hashing": lambda p: p.cluster.update(
        load_balancing_policy={"policies": [policy("random.v3.Random")]},
        common_lb_config={"consistent_hashing_lb_config": {}},
    ),
    "policies and an old policy's config": lambda p: p.cluster.update(
        load_balancing_policy={"policies": [policy("random.v3.Random")]}, least_request_lb_config={"choice_count": 3}
    ),
    "subsets": lambda p: p.cluster.update(lb_subset_config={"subset_selectors": [{"keys": ["a"]}]}),
    "subsets without keys": lambda p: p.cluster.update(lb_subset_config={"subset_selectors": [{}]}),
    "subsets with fewer keys of no use": lambda p: p.cluster.update(
        lb_subset_config={"subset_selectors": [{"keys": ["a"], "fallback_keys_subset": ["a"]}]}
    ),
    "subsets with no fewer keys": lambda p: p.cluster.update(
        lb_subset_config={"subset_selectors": [{"keys": ["a"], "fallback_policy": "KEYS_SUBSET"}]}
    ),
    "subsets with as many keys": lambda p: p.cluster.update(
        lb_subset_config={
            "subset_selectors": [{"keys": ["a"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["a"]}]
        }
    ),
    "subsets of provided hosts": lambda p: p.static["clusters"].append(
        {
            "name": "o",
            "type": "ORIGINAL_DST",
            "lb_policy": "CLUSTER_PROVIDED",
            "lb_subset_config": {"subset_selectors": [{"keys": ["a"]}]},
        }
    ),
    "slow start": lambda p: p.cluster.update(round_robin_lb_config={"slow_start_config": {"slow_start_window": "1s"}}),
    "slow start without a window": lambda p: p.cluster.update(round_robin_lb_config={"slow_start_config": {}}),
    "slow start above 100 %": lambda p: p.cluster.update(
        round_robin_lb_config={"slow_start_config": {"min_weight_percent": {"value": 101}}}
    ),
    "balance factor below 100": lambda p: p.cluster.update(
        lb_policy="MAGLEV", common_lb_config={"consistent_hashing_lb_config": {"hash_balance_factor": 99}}
    ),
    "local cluster": lambda p: p.bootstrap.update(cluster_manager={"local_cluster_name": "up"}),
    "unknown local cluster": lambda p: p.bootstrap.update(cluster_manager={"local_cluster_name": "nowhere"}),
    "panic above 100": lambda p: p.cluster.update(common_lb_config={"healthy_panic_threshold": {"value": 101}}),
    "thresholds": lambda p: p.cluster.update(
        circuit_breakers={"thresholds": [{"max_connections": 1}, {"max_connections": 2}, {"priority": "HIGH"}]}
    ),
    "thresholds per host": lambda p: p.cluster.update(
        circuit_breakers={"per_host_thresholds": [{"max_connections": 1}, {"priority": "HIGH", "max_connections": 2}]}
    ),
    "requests per host": lambda p: p.cluster.update(
        circuit_breakers={"per_host_thresholds": [{"max_connections": 1, "max_requests": 1}]}
    ),
    "original destination by a header": lambda p: p.static["clusters"].append(
        {
            "name": "o",
            "type": "ORIGINAL_DST",
            "lb_policy": "CLUSTER_PROVIDED",
            "original_dst_lb_config": {"use_http_header": True, "http_header_name": "x-to"},
        }
    ),
    "original destination by a header that is not used": lambda p: p.static["clusters"].append(
        {
            "name": "o",
            "type": "ORIGINAL_DST",
            "lb_policy": "CLUSTER_PROVIDED",
            "original_dst_lb_config": {"http_header_name": "x-to"},
        }
    ),
    "original destination's config elsewhere": lambda p: p.cluster.update(
        original_dst_lb_config={"use_http_header": True}
    ),
    "budget above 100": lambda p: p.cluster.update(
        circuit_breakers={"thresholds": [{"retry_budget": {"budget_percent": {"value": 130}}}]}
    ),
    "outlier detection": lambda p: p.cluster.update(outlier_detection={}),
    "ejections above 100": lambda p: p.cluster.update(outlier_detection={"max_ejection_percent": 101}),
    "ejections upside down": lambda p: p.cluster.update(
        outlier_detection={"base_ejection_time": "10s", "max_ejection_time": "5s"}
    ),
    "long ejections": lambda p: p.cluster.update(outlier_detection={"base_ejection_time": "400s"}),
    "HTTP options of nothing": lambda p: p.cluster.update(typed_extension_protocol_options=http_options()),
    "HTTP options of no protocol": lambda p: p.cluster.update(
        typed_extension_protocol_options=http_options(explicit_http_config={})
    ),
    "HTTP options": lambda p: p.cluster.update(
        typed_extension_protocol_options=http_options(
            explicit_http_config={"http_protocol_options": {"enable_trailers": True}},
            common_http_protocol_options={"idle_timeout": "5s", "max_requests_per_connection": 3},
        )
    ),
    "HTTP as the client": lambda p: p.cluster.update(
        typed_extension_protocol_options=http_options(
            use_downstream_protocol_config={"http2_protocol_options": {"max_concurrent_streams": 5}}
        )
    ),
    "back-off of DNS upside down": lambda p: p.cluster.update(
        type="STRICT_DNS", dns_failure_refresh_rate={"base_interval": "2s", "max_interval": "1s"}
    ),
    "back-off of DNS": lambda p: p.cluster.update(
        type="STRICT_DNS", dns_failure_refresh_rate={"base_interval": "2s", "max_interval": "2s"}
    ),
    "quick DNS": lambda p: p.cluster.update(dns_refresh_rate="0.0001s"),
    "bind": lambda p: p.cluster.update(
        upstream_bind_config={"source_address": {"address": "127.0.0.6", "port_value": 0}}
    ),
    "bind to a name": lambda p: p.cluster.update(
        upstream_bind_config={"source_address": {"address": "nope", "port_value": 0}}
    ),
    "endpoint of no weight": lambda p: p.endpoint.update(load_balancing_weight=0),
    "endpoint of nothing": lambda p: p.endpoint.clear(),
    "endpoint without an address": lambda p: p.endpoint.update(endpoint={}),
    "priority": lambda p: p.cluster["load_assignment"]["endpoints"][0].update(priority=1),
    "priority too large": lambda p: p.cluster["load_assignment"]["endpoints"][0].update(priority=129),
    "overprovisioning of nothing": lambda p: p.cluster["load_assignment"].update(policy={"overprovisioning_factor": 0}),
    "EDS": eds(),
    "EDS, its own name": eds(eds_cluster_config={"eds_config": SOURCE, "service_name": "q"}),
    "EDS without a source": eds(eds_cluster_config=None),
    "EDS source of a static cluster": eds(type="STATIC"),
    "EDS from itself": eds(eds_cluster_config={"eds_config": {"self": {}, "resource_api_version": "V3"}}),
}

BOOTSTRAPS: Mapping[str, Edit] = {
    "unknown field": lambda p: p.bootstrap.update(nope=1),
    "no admin": lambda p: p.bootstrap.pop("admin"),
    "admin without an address": lambda p: p.bootstrap.update(admin={}),
    "camel case": lambda p: p.bootstrap.update(staticResources=p.bootstrap.pop("static_resources")),
    "runtime without values": lambda p: p.bootstrap.update(
        layered_runtime={"layers": [{"name": "a", "static_layer": {}}, {"name": "b", "admin_layer": {}}]}
    ),
    "layer without a name": lambda p: p.bootstrap.update(layered_runtime={"layers": [{"static_layer": {}}]}),
    "ADS": with_ads,
    "ADS, state of the world": ads(api_type="GRPC"),
    "ADS, no version": ads(transport_api_version="AUTO"),
    "ADS from nowhere": ads(grpc_services=[]),
    "ADS from two": ads(grpc_services=[{"envoy_grpc": {"cluster_name": "xds"}}] * 2),
    "ADS from an unknown cluster": ads(grpc_services=[{"envoy_grpc": {"cluster_name": "nope"}}]),
    "ADS back-off upside down": ads(
        grpc_services=[
            {
                "envoy_grpc": {
                    "cluster_name": "xds",
                    "retry_policy": {"retry_back_off": {"base_interval": "1s", "max_interval": "0.5s"}},
                }
            }
        ]
    ),
    "everything over ADS": both(
        with_ads, lambda p: p.bootstrap["dynamic_resources"].update(cds_config=SOURCE, lds_config=SOURCE)
    ),
}

CASES: Mapping[str, Edit] = {
    f"{group}: {name}": edit
    for group, cases in (
        ("route", ROUTES),
        ("manager", MANAGERS),
        ("listener", LISTENERS),
        ("cluster", CLUSTERS),
        ("bootstrap", BOOTSTRAPS),
    )
    for name, edit in cases.items()
}


def edited(name: str) -> Parts:
    given = parts()
    CASES[name](given)
    return given


def judged_by_envoy(binary: Path, name: str) -> str:
    """'' when a real Envoy takes the configuration, else what it says."""
    command = [str(binary), "--mode", "validate", "-l", "critical", "--disable-hot-restart", "--config-yaml"]
    done = subprocess.run([*command, json.dumps(edited(name).bootstrap)], capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stderr.strip() or "refused"


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    """Envoy's verdict on every case: one process each, two at a time."""
    binary = envoy_binary()
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CASES, pool.map(lambda name: judged_by_envoy(binary, name), CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_same_verdict(name: str, verdicts: dict[str, str]) -> None:
    ours = problems(edited(name))
    assert bool(ours) == bool(verdicts[name]), f"Envoy: {verdicts[name] or 'OK'}\nours: {ours or 'OK'}"


@pytest.mark.parametrize("text", documents(), ids=["all", "alternatives"])
def test_envoy_takes_everything_that_we_support(text: str) -> None:
    command = [str(envoy_binary()), "--mode", "validate", "-l", "critical", "--disable-hot-restart", "--config-yaml"]
    done = subprocess.run([*command, text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_cases_are_about_what_they_say() -> None:
    """Every edit changes something: a typo in a key must not make a case pass for the wrong reason."""
    plain = json.dumps(parts().bootstrap)
    assert [name for name in CASES if json.dumps(edited(name).bootstrap) == plain] == ["route: as it is"]
    assert parts().hcm["@type"] == HCM
