"""Request mirroring: what the mirror receives, and that the client notices none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Plan, reply
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, post, request
from tests.oracle.topics.head_rules import preserve, spelled, upstream_spelled

MIRROR = "%CLUSTER%-mirror"
STATS = tuple(
    f"cluster.{cluster}.{name}"
    for cluster in ("%CLUSTER%", MIRROR)
    for name in (
        "upstream_rq_total",
        "upstream_rq_completed",
        "upstream_rq_2xx",
        "upstream_rq_5xx",
        "upstream_rq_timeout",
        "upstream_rq_active",
        "upstream_rq_pending_active",
        "upstream_cx_none_healthy",
        "upstream_cx_connect_fail",
        "retry_or_shadow_abandoned",
    )
)
TWO = {"": Up(), "-mirror": Up(endpoints=["second"])}
PRESERVED = upstream_spelled(**preserve())[""]
# Both upstreams' requests, the first one's first, and what comes after the client has its answer.
LATE = 0.3


def mirrored(
    name: str,
    sent: bytes | Sequence[Action],
    policies: Sequence[Mapping[str, Any]] = ({"cluster": MIRROR},),
    *,
    action: Mapping[str, Any] | None = None,
    clusters: Mapping[str, Up] = TWO,
    script: Sequence[Plan] = (reply(),),
    requests: int = 2,
    **more: Any,
) -> Case:
    actions = [Write(sent), Read(), Wait(LATE)] if isinstance(sent, bytes) else [*sent, Wait(LATE)]
    expect = {"upstream.count": requests, **more.pop("expect", {})}
    fields = {"request_mirror_policies": list(policies), **(action or {})}
    return Case(
        name, actions=actions, action=fields, clusters=clusters, script=script, stats=STATS, expect=expect, **more
    )


CHUNKED = request(
    "/x", "Transfer-Encoding: chunked", "Trailer: T", method="POST", body=b"5\r\nhello\r\n0\r\nT: 1\r\n\r\n"
)
HALF, REST = post("/x", body=b"0123456789")[:-5], b"56789"
CASES = (
    mirrored(
        "mirror_of_a_traced_request",
        request("/x", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        [{"cluster": MIRROR, "trace_sampled": False}],
        hcm={"tracing": {}},
        ignore=["upstream[0].header.traceparent", "upstream[1].header.traceparent"],
    ),
    mirrored("mirror_get", request("/x?q=1", "A: b"), expect={"upstream[1].header.host": ("mirror-get.test-shadow",)}),
    mirrored(
        "mirror_with_preserved_case",
        request("/x", "X-FoO-bar: 1"),
        clusters={**upstream_spelled(**preserve()), "-mirror": Up(endpoints=["second"], fields=PRESERVED.fields)},
        hcm=spelled(**preserve()),
        expect={"client[0].status": 200},
        faults=(32,),
    ),
    mirrored("mirror_with_forwarded", request("/x", "X-Forwarded-For: 1.2.3.4", "X-Envoy-Internal: true")),
    mirrored(
        "mirror_port",
        request("/x", host="mirror-port.test:8080"),
        vhost={"domains": ["mirror-port.test:8080"]},
        expect={"upstream[1].header.host": ("mirror-port.test-shadow:8080",)},
    ),
    mirrored("mirror_head", [Write(request("/x", method="HEAD")), Read("HEAD")]),
    mirrored("mirror_body", post("/x", body=b"both get it"), expect={"upstream[1].body": b"both get it"}),
    mirrored("mirror_empty_body", post("/x", body=b"")),
    mirrored("mirror_chunked", CHUNKED, expect={"upstream[1].body": b"hello"}),
    mirrored("mirror_streamed", [Write(HALF), Wait(0.1), Write(REST), Read()]),
    mirrored(
        "mirror_same_name",
        request("/x"),
        [{"cluster": MIRROR, "disable_shadow_host_suffix_append": True}],
    ),
    mirrored("mirror_host_rewrite", request("/x"), [{"cluster": MIRROR, "host_rewrite_literal": "other.test:1"}]),
    mirrored(
        "mirror_headers",
        request("/x", "a: 1", "b: 2"),
        [
            {
                "cluster": MIRROR,
                "request_headers_mutations": [
                    {"remove": "a"},
                    {"append": {"header": {"key": "b", "value": "%REQ(b)%-3"}}},
                    {"append": {"header": {"key": "c", "value": "%REQ(:path)%"}, "append_action": "ADD_IF_ABSENT"}},
                ],
            }
        ],
    ),
    mirrored("mirror_of_a_header", request("/x", "to: mirror_of_a_header-mirror"), [{"cluster_header": "to"}]),
    mirrored("mirror_of_no_header", request("/x"), [{"cluster_header": "to"}], requests=1),
    mirrored("mirror_of_an_unknown_cluster", request("/x", "to: nowhere"), [{"cluster_header": "to"}], requests=1),
    mirrored(
        "mirror_never",
        request("/x"),
        [{"cluster": MIRROR, "runtime_fraction": {"default_value": {"numerator": 0}}}],
        requests=1,
    ),
    mirrored(
        "mirror_always",
        request("/x"),
        [{"cluster": MIRROR, "runtime_fraction": {"default_value": {"numerator": 100}}}],
    ),
    mirrored("mirror_twice", request("/x"), [{"cluster": MIRROR}, {"cluster": MIRROR}], requests=3),
    mirrored("mirror_of_the_virtual_host", request("/x"), (), vhost={"request_mirror_policies": [{"cluster": MIRROR}]}),
    mirrored(
        "mirror_of_the_route_wins",
        request("/x"),
        vhost={"request_mirror_policies": [{"cluster": MIRROR}, {"cluster": MIRROR}]},
    ),
    mirrored(
        "mirror_with_rewrites",
        request("/x/y"),
        action={"prefix_rewrite": "/z", "host_rewrite_literal": "h.test"},
        route={
            "match": {"prefix": "/x"},
            "request_headers_to_add": [{"header": {"key": "added", "value": "v"}}],
        },
    ),
    mirrored("mirror_with_attempt_count", request("/x"), vhost={"include_request_attempt_count": True}),
    mirrored("mirror_refused", request("/x"), clusters={"": Up(), "-mirror": Up(endpoints=["refused"])}, requests=1),
    mirrored("mirror_without_hosts", request("/x"), clusters={"": Up(), "-mirror": Up(endpoints=[])}, requests=1),
    mirrored(
        "mirror_retried",
        request("/x"),
        action={"retry_policy": {"retry_on": "5xx"}},
        script=[reply(503), reply()],
        requests=3,
        ignore=["upstream[1].connection"],
    ),
    mirrored(
        "mirror_client_gone",
        [Write(HALF), Wait(0.1)],
        logs=1,
    ),
)
