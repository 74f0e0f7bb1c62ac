"""Internal redirects: which the proxy follows, what the next request is, what the log says of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Plan, ReadBody, Send, reply, response_bytes
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, post, request

TYPE = "type.googleapis.com/envoy.extensions.internal_redirect."
HTTP = tuple(
    f"http.listener_0.{name}"
    for name in (
        "downstream_rq_total",
        "downstream_rq_completed",
        "downstream_rq_2xx",
        "downstream_rq_3xx",
        "downstream_rq_active",
        "rq_total",
        "passthrough_internal_redirect_bad_location",
        "passthrough_internal_redirect_no_route",
        "passthrough_internal_redirect_predicate",
        "passthrough_internal_redirect_too_many_redirects",
        "passthrough_internal_redirect_unsafe_scheme",
    )
)
NAMES = (
    "upstream_internal_redirect_succeeded_total",
    "upstream_internal_redirect_failed_total",
    "upstream_rq_total",
    "upstream_rq_302",
    "upstream_rq_completed",
)


def to(location: str, status: int = 302, *headers: tuple[str, str]) -> Plan:
    return reply(status, b"go", [("location", location), *headers])


def redirected(
    name: str,
    script: Sequence[Plan],
    requests: int,
    *,
    policy: Mapping[str, Any] | None = None,
    sent: bytes | Sequence[Action] | None = None,
    routes: Sequence[Mapping[str, Any]] = (),
    action: Mapping[str, Any] | None = None,
    route: Mapping[str, Any] | None = None,
    **more: Any,
) -> Case:
    """`requests` is how many the upstream gets. The case's route is the last one, and has no path of its own."""
    main = {
        "name": "main",
        "match": {"prefix": "/"},
        "route": {"cluster": "%CLUSTER%", "internal_redirect_policy": policy or {}, **(action or {})},
        **(route or {}),
    }
    host = f"{name.replace('_', '-')}.test"
    sent = sent if sent is not None else request("/x?q=1", "a: b")
    sent_by_steps = [Write(sent), Read()] if isinstance(sent, bytes) else list(sent)
    script = [
        [Send(step.data.replace(b"%HOST%", host.encode())) if isinstance(step, Send) else step for step in plan]
        for plan in script
    ]
    stats = [*HTTP, *(f"cluster.%CLUSTER%.{each}" for each in NAMES)]
    return Case(
        name,
        actions=sent_by_steps,
        script=script,
        routes=[*routes, main],
        stats=stats,
        expect={"upstream.count": requests, **more.pop("expect", {})},
        ignore=tuple(f"upstream[{number}].connection" for number in range(4)),
        **more,
    )


def predicate(kind: str, config: str, **fields: Any) -> dict[str, Any]:
    return {"name": kind, "typed_config": {"@type": f"{TYPE}{kind}.v3.{config}", **fields}}


ALLOWED = predicate("allow_listed_routes", "AllowListedRoutesConfig", allowed_route_names=["next"])
PREVIOUS = predicate("previous_routes", "PreviousRoutesConfig")
SAFE = predicate("safe_cross_scheme", "SafeCrossSchemeConfig")
NEXT = "http://%HOST%/y"
OTHER = {"name": "next", "match": {"prefix": "/y"}, "route": {"cluster": "%CLUSTER%"}}
LOOPING = {"name": "next", "match": {"prefix": "/y"}, "route": {"cluster": "%CLUSTER%", "internal_redirect_policy": {}}}
HALF, REST = post("/x", body=b"0123456789")[:-5], b"56789"
EARLY: Plan = [Send(response_bytes(302, b"go", [("location", NEXT)])), ReadBody()]

CASES = (
    redirected("redirect_followed", [to("http://%HOST%/y?z=1"), reply()], 2, expect={"client[0].status": 200}, logs=2),
    redirected("redirect_not_without_a_policy", [to(NEXT)], 1, action={"internal_redirect_policy": None}),
    redirected("redirect_relative", [to("/y"), reply()], 1),
    redirected("redirect_relative_name", [to("y"), reply()], 1),
    redirected("redirect_without_location", [reply(302)], 1),
    redirected("redirect_to_nothing", [to("")], 1),
    redirected("redirect_to_nonsense", [to("nonsense://x")], 1),
    redirected("redirect_to_a_fragment", [to("http://%HOST%/y#here"), reply()], 2, logs=2),
    redirected("redirect_without_a_path", [to("http://%HOST%"), reply()], 2, logs=2),
    redirected("redirect_to_a_port", [to("http://%HOST%:80/y"), reply()], 1),
    redirected("redirect_301", [to(NEXT, 301), reply()], 1),
    redirected(
        "redirect_other_codes",
        [to(NEXT, 307), reply()],
        2,
        policy={"redirect_response_codes": [301, 307, 308]},
        logs=2,
    ),
    redirected("redirect_other_codes_only", [to(NEXT), reply()], 1, policy={"redirect_response_codes": [301]}),
    redirected("redirect_only_once", [to(NEXT), to(NEXT), reply()], 2, logs=2),
    redirected("redirect_thrice", [to(NEXT)], 4, policy={"max_internal_redirects": 3}, logs=4),
    redirected("redirect_never", [to(NEXT)], 1, policy={"max_internal_redirects": 0}),
    redirected("internal_redirect_https", [to("https://%HOST%/y"), reply()], 1),
    redirected(
        "redirect_https_allowed",
        [to("https://%HOST%/y"), reply()],
        2,
        policy={"allow_cross_scheme_redirect": True},
        logs=2,
    ),
    redirected(
        "redirect_https_unsafe",
        [to("https://%HOST%/y"), reply()],
        1,
        policy={"allow_cross_scheme_redirect": True, "predicates": [SAFE]},
    ),
    redirected("redirect_to_no_route", [to("http://nowhere.test/")], 1),
    redirected("redirect_to_an_answer", [to("http://alive.oracle/")], 1, logs=2),
    redirected("redirect_of_a_body", [to(NEXT), reply()], 2, sent=post("/x", body=b"again"), logs=2),
    redirected(
        "redirect_see_other",
        [to(NEXT, 303), reply()],
        2,
        sent=post("/x", body=b"gone"),
        policy={"redirect_response_codes": [303]},
        logs=2,
    ),
    redirected(
        "redirect_of_a_chunked_body",
        [to(NEXT), reply()],
        2,
        sent=request("/x", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n0\r\n\r\n"),
        logs=2,
    ),
    redirected(
        "redirect_of_half_a_body", [EARLY, reply()], 1, sent=[Write(HALF), Read(), Wait(0.1), Write(REST)], end="skip"
    ),
    redirected(
        "redirect_of_too_big_a_body",
        [to(NEXT), reply()],
        1,
        sent=post("/x", body=b"x" * 5000),
        vhost={"per_request_buffer_limit_bytes": 1000},
    ),
    redirected("redirect_allowed", [to(NEXT), reply()], 2, policy={"predicates": [ALLOWED]}, routes=[OTHER], logs=2),
    redirected("redirect_not_allowed", [to("http://%HOST%/w")], 1, policy={"predicates": [ALLOWED]}, routes=[OTHER]),
    redirected("redirect_previous", [to(NEXT), reply()], 2, policy={"predicates": [PREVIOUS]}, routes=[OTHER], logs=2),
    redirected(
        "redirect_previous_again",
        [to("http://%HOST%/w"), to("http://%HOST%/v"), reply()],
        2,
        policy={"predicates": [PREVIOUS], "max_internal_redirects": 5},
        logs=2,
    ),
    redirected(
        "redirect_copies_headers",
        [to(NEXT, 302, ("x-copy", "1"), ("x-copy", "2"), ("x-not", "3")), reply()],
        2,
        sent=request("/x", "x-copy: 0", "x-gone: 1", "x-kept: 2"),
        policy={"response_headers_to_copy": ["X-Copy", "x-gone"]},
        logs=2,
    ),
    redirected(
        "redirect_after_rewrites",
        [to(NEXT), reply()],
        2,
        action={"prefix_rewrite": "/z/", "host_rewrite_literal": "h.test"},
        route={"request_headers_to_add": [{"header": {"key": "added", "value": "v"}}]},
        logs=2,
    ),
    redirected(
        "redirect_and_attempts",
        [reply(503), to(NEXT), reply()],
        3,
        action={"retry_policy": {"retry_on": "5xx"}},
        vhost={"include_request_attempt_count": True, "include_attempt_count_in_response": True},
        logs=2,
    ),
    redirected(
        "redirect_of_head", [to(NEXT), reply()], 2, sent=[Write(request("/x", method="HEAD")), Read("HEAD")], logs=2
    ),
    redirected("redirect_to_another_policy", [to(NEXT), to("http://%HOST%/v"), reply()], 2, routes=[LOOPING], logs=2),
    redirected(
        "redirect_to_a_redirect",
        [to(NEXT)],
        1,
        routes=[{"name": "next", "match": {"prefix": "/y"}, "redirect": {"path_redirect": "/w"}}],
        logs=2,
    ),
    redirected(
        "redirect_to_no_cluster",
        [to(NEXT)],
        1,
        routes=[{"name": "next", "match": {"prefix": "/y"}, "route": {"cluster": "nowhere"}}],
        logs=2,
    ),
    redirected(
        "redirect_to_nobody",
        [to(NEXT)],
        1,
        routes=[{"name": "next", "match": {"prefix": "/y"}, "route": {"cluster": "%CLUSTER%-none"}}],
        clusters={"": Up(), "-none": Up(endpoints=[])},
        logs=2,
    ),
)
