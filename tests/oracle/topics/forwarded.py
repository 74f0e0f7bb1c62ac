"""x-forwarded-*, x-request-id and x-envoy-*: what is trusted, added and removed."""

from __future__ import annotations

from tests.oracle.case import Case, request

SENT = (
    "X-Forwarded-For: 1.2.3.4, 10.0.0.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: h",
    "X-Request-Id: 11111111-1111-4111-8111-111111111111",
    "X-Envoy-Internal: true",
    "X-Envoy-Foo: 1",
    "X-Envoy-Max-Retries: 1",
    "X-Envoy-Retry-On: 5xx",
    "X-Envoy-Upstream-Rq-Timeout-Ms: 5000",
    "X-Envoy-Expected-Rq-Timeout-Ms: 7",
    "X-Envoy-External-Address: 9.9.9.9",
    "X-Envoy-Downstream-Service-Cluster: c",
    "X-Envoy-Downstream-Service-Node: n",
    "X-Envoy-Attempt-Count: 5",
    "X-Envoy-Original-Path: /o",
    "X-Envoy-Decorator-Operation: op",
)
EDGE = {"use_remote_address": True}

CASES = (
    Case(
        "plain_request",
        request("/x"),
        expect={
            "upstream[0].header.x-forwarded-proto": ("http",),
            "upstream[0].header.x-request-id": ("<uuid version 4>",),
            "upstream[0].header.x-envoy-expected-rq-timeout-ms": ("<15000 ms>",),
        },
    ),
    Case("sent_by_a_peer", request("/x", *SENT), expect={"upstream[0].header.x-forwarded-proto": ("https",)}),
    Case(
        "edge_none_sent",
        request("/x"),
        hcm=EDGE,
        expect={"upstream[0].header.x-envoy-external-address": ("127.0.0.1",)},
    ),
    Case(
        "edge_sent_by_a_client",
        request("/x", *SENT),
        hcm=EDGE,
        expect={"upstream[0].header.x-forwarded-proto": ("http",)},
    ),
    Case("edge_one_trusted_hop", request("/x", *SENT), hcm={**EDGE, "xff_num_trusted_hops": 1}),
    Case("edge_two_trusted_hops", request("/x", *SENT), hcm={**EDGE, "xff_num_trusted_hops": 2}),
    Case("one_trusted_hop", request("/x", *SENT), hcm={"xff_num_trusted_hops": 1}),
    Case("edge_skip_append", request("/x", *SENT), hcm={**EDGE, "skip_xff_append": True}),
    Case("internal_peer", request("/x", "X-Forwarded-For: 10.0.0.7", "X-Envoy-Max-Retries: 1")),
    Case("forwarded_for_garbage", request("/x", "X-Forwarded-For: nonsense")),
    Case("forwarded_proto_garbage", request("/x", "X-Forwarded-Proto: nonsense")),
    Case(
        "request_id_kept_as_it_is",
        request("/x", "X-Request-Id: not-a-uuid"),
        expect={"upstream[0].header.x-request-id": ("not-a-uuid",)},
    ),
    Case("request_id_empty", request("/x", "X-Request-Id:")),
    Case("request_id_edge_preserved", request("/x", *SENT), hcm={**EDGE, "preserve_external_request_id": True}),
    Case(
        "request_id_in_response",
        request("/x", "X-Request-Id: abc"),
        hcm={"always_set_request_id_in_response": True},
        expect={"client[0].header.x-request-id": ("abc",)},
    ),
    Case(
        "request_id_in_local_reply",
        request("/x", "X-Request-Id: abc", host="nobody.test"),
        hcm={"always_set_request_id_in_response": True},
    ),
    Case("request_id_not_generated", request("/x"), hcm={"generate_request_id": False}),
    Case(
        "attempt_count_both_ways",
        request("/x"),
        vhost={"include_request_attempt_count": True, "include_attempt_count_in_response": True},
        expect={"upstream[0].header.x-envoy-attempt-count": ("1",), "client[0].header.x-envoy-attempt-count": ("1",)},
    ),
    Case("upstream_sends_envoy_headers", request("/x"), script=[]),
    Case(
        "timeout_header_of_a_route_timeout",
        request("/x"),
        action={"timeout": "7s"},
        expect={"upstream[0].header.x-envoy-expected-rq-timeout-ms": ("<7000 ms>",)},
    ),
    Case("timeout_header_without_timeout", request("/x"), action={"timeout": "0s"}),
    Case(
        "timeout_header_of_a_per_try_timeout",
        request("/x"),
        action={"timeout": "7s", "retry_policy": {"retry_on": "5xx", "per_try_timeout": "2s"}},
        expect={"upstream[0].header.x-envoy-expected-rq-timeout-ms": ("<2000 ms>",)},
    ),
    Case("timeout_by_header", request("/x", "X-Envoy-Upstream-Rq-Timeout-Ms: 3000")),
    Case("timeout_by_header_garbage", request("/x", "X-Envoy-Upstream-Rq-Timeout-Ms: abc")),
    Case("via", request("/x"), hcm={"via": "mesh"}, expect={"upstream[0].header.via": ("mesh",)}),
    Case("host_port_stripped_when_any", request("/x", host="%HOST%:8123"), hcm={"strip_any_host_port": True}),
    Case(
        "host_port_kept",
        request("/x", host="host-port-kept.test:8123"),
        vhost={"domains": ["host-port-kept.test:8123"]},
    ),
    Case("host_port_does_not_match_bare_domain", request("/x", host="%HOST%:8123"), expect={"log[0].flags": "NR"}),
    Case(
        "host_is_case_insensitive",
        request("/x", host="HOST-IS-case-insensitive.TEST"),
        expect={"client[0].status": 200},
    ),
)
