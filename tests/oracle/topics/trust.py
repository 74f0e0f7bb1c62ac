"""Every header that Envoy adds, removes, trusts or reads for itself, from strangers and from peers, under each setting of
a connection manager that has a say in it. What comes back from the upstream under the same names is looked at as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.harness.upstream import Plan, ReadBody, Send
from tests.oracle.bootstrap import TYPE
from tests.oracle.case import Case, Up, request

# One header of each name that Envoy knows (its `headers.h`, its documentation's "HTTP header manipulation").
KNOWN = (
    "User-Agent: curl",
    "Via: 1.1 elsewhere",
    "Forwarded: for=1.2.3.4",
    "X-Real-Ip: 1.2.3.4",
    "X-Client-Trace-Id: client",
    "X-Forwarded-Client-Cert: By=spiffe://x/ns/a/sa/b;Hash=0;URI=spiffe://x/ns/a/sa/admin",
    "X-Forwarded-Host: h",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Scheme: https",
    "X-Original-Host: h",
    "X-Request-Id: 11111111-1111-4111-8111-111111111111",
    "X-Envoy-Attempt-Count: 5",
    "X-Envoy-Decorator-Operation: operation",
    "X-Envoy-Degraded: 1",
    "X-Envoy-Downstream-Service-Cluster: c",
    "X-Envoy-Downstream-Service-Node: n",
    "X-Envoy-Expected-Rq-Timeout-Ms: 7",
    "X-Envoy-External-Address: 9.9.9.9",
    "X-Envoy-Force-Trace: 1",
    "X-Envoy-Hedge-On-Per-Try-Timeout: true",
    "X-Envoy-Immediate-Health-Check-Fail: 1",
    "X-Envoy-Internal: true",
    "X-Envoy-Ip-Tags: a",
    "X-Envoy-Is-Timeout-Retry: true",
    "X-Envoy-Livestream: 1",
    "X-Envoy-Local-Overloaded: true",
    "X-Envoy-Max-Retries: 1",
    "X-Envoy-Original-Dst-Host: 127.0.0.1:1",
    "X-Envoy-Original-Host: o",
    "X-Envoy-Original-Method: PUT",
    "X-Envoy-Original-Path: /o",
    "X-Envoy-Original-Url: http://o/",
    "X-Envoy-Overloaded: true",
    "X-Envoy-Peer-Metadata-Unknown: m",
    "X-Envoy-Ratelimited: true",
    "X-Envoy-Retriable-Header-Names: x",
    "X-Envoy-Retriable-Status-Codes: 500",
    "X-Envoy-Retry-Grpc-On: cancelled",
    "X-Envoy-Retry-On: 5xx",
    "X-Envoy-Upstream-Alt-Stat-Name: alt",
    "X-Envoy-Upstream-Canary: true",
    "X-Envoy-Upstream-Healthchecked-Cluster: c",
    "X-Envoy-Upstream-Host-Address: 1.2.3.4",
    "X-Envoy-Upstream-Hostname: h",
    "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 4000",
    "X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1",
    "X-Envoy-Upstream-Rq-Timeout-Ms: 5000",
    "X-Envoy-Upstream-Service-Time: 3",
    "X-Envoy-Upstream-Stream-Duration-Ms: 6000",
    "Proxy-Status: x",
    "Proxy-Authorization: x",
    "Proxy-Authenticate: x",
    "Trailer: x",
)
# Those that Envoy uses itself in a response: what it does with them depends on other settings than these.
RESPONSE: Plan = [
    ReadBody(),
    Send("\r\n".join(("HTTP/1.1 200 OK", *KNOWN, "Server: app", "Content-Length: 0", "", "")).encode()),
]

STRANGER = "X-Forwarded-For: 1.2.3.4"
EDGE = {"use_remote_address": True}
LOOPBACK = {"internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}
TEN = {"internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}}
TRACED = {
    "tracing": {
        "random_sampling": {"value": 0},
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": TYPE + "envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "x",
                "http_service": {
                    "http_uri": {"uri": "http://127.0.0.1:1/", "cluster": "trust_edge_spans", "timeout": "1s"}
                },
            },
        },
    }
}
ANY_ID = {
    "typed_config": {
        "@type": TYPE + "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        "use_request_id_for_trace_sampling": False,
    }
}
# Setting → the connection manager's fields, and what the client sends as X-Forwarded-For.
SETTINGS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "unset": ({}, STRANGER),
    "unset_alone": ({}, ""),
    "not_the_edge": ({"use_remote_address": False}, STRANGER),
    "edge": (EDGE, STRANGER),
    "edge_alone": (EDGE, ""),
    "edge_one_hop": ({**EDGE, "xff_num_trusted_hops": 1}, STRANGER),
    "edge_two_hops": ({**EDGE, "xff_num_trusted_hops": 2}, STRANGER + ", 10.0.0.1"),
    "edge_more_hops_than_there_are": ({**EDGE, "xff_num_trusted_hops": 3}, STRANGER),
    "edge_skip_append": ({**EDGE, "skip_xff_append": True}, STRANGER),
    "edge_skip_append_alone": ({**EDGE, "skip_xff_append": True}, ""),
    "one_hop": ({"xff_num_trusted_hops": 1}, STRANGER + ", 10.0.0.1"),
    "one_hop_internal": ({"xff_num_trusted_hops": 1, **TEN}, "X-Forwarded-For: 10.0.0.7, 10.0.0.1"),
    "edge_one_hop_internal": ({**EDGE, "xff_num_trusted_hops": 1, **TEN}, "X-Forwarded-For: 10.0.0.7"),
    "edge_from_inside": ({**EDGE, **LOOPBACK}, ""),
    "edge_from_inside_named": ({**EDGE, **LOOPBACK}, STRANGER),
    "edge_not_from_inside": ({**EDGE, **TEN}, ""),
    "internal": (TEN, "X-Forwarded-For: 10.0.0.7"),
    "internal_by_two": (TEN, "X-Forwarded-For: 10.0.0.7, 10.0.0.8"),
    "not_internal": (TEN, STRANGER),
    "internal_unnamed": (LOOPBACK, ""),
    "internal_garbage": (TEN, "X-Forwarded-For: 10.0.0.7 x"),
    "empty_internal_config": ({"internal_address_config": {}}, "X-Forwarded-For: 10.0.0.7"),
    "via": ({"via": "mesh"}, STRANGER),
    "edge_via": ({**EDGE, "via": "mesh"}, STRANGER),
    "server_name": ({"server_name": "mesh"}, STRANGER),
    "server_passes": ({"server_header_transformation": "PASS_THROUGH"}, STRANGER),
    "server_if_absent": ({"server_header_transformation": "APPEND_IF_ABSENT"}, STRANGER),
    "preserve_request_id": ({**EDGE, "preserve_external_request_id": True}, STRANGER),
    "no_request_id": ({"generate_request_id": False}, STRANGER),
    "edge_no_request_id": ({**EDGE, "generate_request_id": False}, STRANGER),
    "request_id_in_response": ({"always_set_request_id_in_response": True}, STRANGER),
    "user_agent": ({"add_user_agent": True}, STRANGER),
    "edge_user_agent": ({**EDGE, "add_user_agent": True}, STRANGER),
    "forwarded_port": ({"append_x_forwarded_port": True}, STRANGER),
    "edge_forwarded_port": ({**EDGE, "append_x_forwarded_port": True}, STRANGER),
    "scheme": ({"scheme_header_transformation": {"scheme_to_overwrite": "https"}}, STRANGER),
    "edge_scheme": ({**EDGE, "scheme_header_transformation": {"scheme_to_overwrite": "https"}}, STRANGER),
    "client_cert_sanitized": ({"forward_client_cert_details": "SANITIZE"}, STRANGER),
    "client_cert_forwarded": ({"forward_client_cert_details": "FORWARD_ONLY"}, STRANGER),
    "client_cert_appended": ({"forward_client_cert_details": "APPEND_FORWARD"}, STRANGER),
    "client_cert_set": ({"forward_client_cert_details": "SANITIZE_SET"}, STRANGER),
    "client_cert_always_forwarded": ({"forward_client_cert_details": "ALWAYS_FORWARD_ONLY"}, STRANGER),
    "traced": (TRACED, STRANGER),
    "traced_whatever_the_id": ({**TRACED, "request_id_extension": ANY_ID}, STRANGER),
    "edge_traced": ({**EDGE, **TRACED}, STRANGER),
    "edge_traced_from_inside": ({**EDGE, **LOOPBACK, **TRACED}, ""),
    "no_absolute_timeouts": ({"stream_idle_timeout": "0s"}, STRANGER),
}

# Ids that each makes up, an empty tracestate that Envoy adds to them, and the listener's own port.
_OWN = ("upstream[0].header.traceparent", "upstream[0].header.tracestate", "upstream[0].header.x-forwarded-port")
# What an `internal_address_config` without ranges takes for internal, and what it does not.
PRIVATE = ("10.0.0.7", "172.16.0.1", "172.31.255.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::1")
PUBLIC = ("172.15.0.1", "172.32.0.1", "192.169.1.1", "127.0.0.2", "100.64.0.1", "169.254.1.1", "fc00::1", "fe80::1")


def sent(forwarded_for: str) -> bytes:
    return request("/x", *KNOWN, *((forwarded_for,) if forwarded_for else ()))


CASES = (
    *(
        Case(
            f"trust_{name}",
            sent(forwarded_for),
            script=[RESPONSE],
            hcm=hcm,
            clusters={"": Up(), "_spans": Up(("refused",))},
            ignore=_OWN,
            faults=(1,),
        )
        for name, (hcm, forwarded_for) in SETTINGS.items()
    ),
    *(
        Case(f"trust_{name}_local_reply", sent(forwarded_for), hcm=hcm, action={"cluster": "nowhere"}, faults=(1,))
        for name, (hcm, forwarded_for) in SETTINGS.items()
        if name in ("unset", "edge", "edge_from_inside", "traced", "via", "server_passes", "request_id_in_response")
    ),
    *(
        Case(
            f"trust_private_{number}",
            request("/x", f"X-Forwarded-For: {address}", "X-Envoy-Ip-Tags: t"),
            hcm={"internal_address_config": {}},
            expect={"upstream[0].header.x-envoy-internal": ("true",) if address in PRIVATE else None},
            faults=(1,),
        )
        for number, address in enumerate(PRIVATE + PUBLIC)
    ),
)
