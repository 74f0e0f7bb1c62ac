"""What our own replies say besides their status: attempts, where a redirect leads, and gRPC's form of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.harness.upstream import Hang, Plan, ReadBody, Reset, Send
from tests.oracle.case import Case, Up, post, request
from tests.oracle.topics import internal

TOLD = {"include_request_attempt_count": True, "include_attempt_count_in_response": True}
RETRIES = {
    "retry_policy": {
        "retry_on": "5xx,reset,connect-failure",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.001s"},
    }
}
HANGS: Plan = [ReadBody(), Hang()]
GRPC = request("/x", "Content-Type: application/grpc", method="POST")
SILENT = {"": Up(("refused",))}
NOBODY = {"": Up(())}
FULL = {"": Up(fields={"circuit_breakers": {"thresholds": [{"max_requests": 0}]}})}
CROWDED = {"": Up(fields={"circuit_breakers": {"thresholds": [{"max_pending_requests": 0}]}})}


def told(name: str, sent: bytes = request("/x"), **fields: Any) -> Case:
    return Case(f"attempts_{name}", sent, vhost={**TOLD, **fields.pop("vhost", {})}, faults=(33,), **fields)


def quiet(name: str, sent: bytes = request("/x"), **fields: Any) -> Case:
    """Behind a router that adds none of Envoy's headers."""
    typed = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        "suppress_envoy_headers": True,
    }
    hcm = {"http_filters": [{"name": "envoy.filters.http.router", "typed_config": typed}]}
    return Case(f"quiet_{name}", sent, hcm=hcm, **fields)


def quiet_cases() -> Iterator[Case]:
    yield quiet("plain", expect={"upstream[0].header.x-envoy-expected-rq-timeout-ms": None})
    yield quiet("timeout", action={"timeout": "5s"})
    yield quiet("path", action={"prefix_rewrite": "/y"})
    yield quiet("path_of_the_client", request("/x", "x-envoy-original-path: /theirs"))
    yield quiet("host", action={"host_rewrite_literal": "other.test"})
    yield quiet("host_of_the_upstream", action={"auto_host_rewrite": True})
    yield quiet("attempts", vhost=TOLD, action=RETRIES, clusters=SILENT)
    yield quiet("overflow", clusters=FULL)
    yield quiet("timed_out", action={"timeout": "0.1s"}, script=[HANGS])


HOSTS = ("%HOST%", "%HOST%:80", "%HOST%:443", "%HOST%:8080")
REDIRECTS: Sequence[Mapping[str, Any]] = (
    {"https_redirect": True, "port_redirect": 443},
    {"https_redirect": True, "port_redirect": 80},
    {"https_redirect": True, "port_redirect": 8443},
    {"https_redirect": True},
    {"https_redirect": True, "host_redirect": "h"},
    {"https_redirect": True, "host_redirect": "h", "port_redirect": 443},
    {"https_redirect": True, "host_redirect": "h:80"},
    {"scheme_redirect": "https", "port_redirect": 443},
    {"scheme_redirect": "http", "port_redirect": 80},
    {"scheme_redirect": "https"},
    {"port_redirect": 80},
    {"port_redirect": 443},
    {"host_redirect": "h:443", "scheme_redirect": "https"},
)
CODES = ("MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT")
DIRECT: Sequence[Mapping[str, Any]] = (
    {"status": 200},
    {"status": 204},
    {"status": 400},
    {"status": 404, "body": {"inline_string": "not found"}},
    {"status": 503, "body": {"inline_string": "ill"}},
)


def redirects() -> Iterator[Case]:
    for at, host in enumerate(HOSTS):
        for number, redirect in enumerate(REDIRECTS):
            name = f"redirect_port_{at}_{number}"
            domain = f"{name.replace('_', '-')}.test"
            yield Case(
                name,
                request("/x?q", host=host),
                routes=[{"match": {"prefix": "/"}, "redirect": redirect}],
                vhost={"domains": [domain + port for port in ("", ":80", ":443", ":8080")]},
                faults=(33,),
            )


def of_grpc() -> Iterator[Case]:
    redirect = {"path_redirect": "/y"}
    for number, code in enumerate(CODES):
        routes = [{"match": {"prefix": "/"}, "redirect": {**redirect, "response_code": code}}]
        yield Case(f"grpc_redirect_{number}", GRPC, routes=routes, faults=(33,))
    for number, answer in enumerate(DIRECT):
        routes = [{"match": {"prefix": "/"}, "direct_response": answer}]
        yield Case(f"grpc_direct_{number}", GRPC, routes=routes, faults=(33,))
    for name, content_type in (("web", "application/grpc-web"), ("proto", "application/grpc+proto")):
        sent = request("/x", f"Content-Type: {content_type}")
        routes = [{"match": {"prefix": "/"}, "redirect": redirect}]
        yield Case(f"grpc_redirect_{name}", sent, routes=routes, faults=(33,))
    yield Case("grpc_sent_to_https", GRPC, vhost={"require_tls": "ALL"}, faults=(33,))


CASES = (
    *quiet_cases(),
    told("refused", clusters=SILENT),
    told("refused_three_times", clusters=SILENT, action=RETRIES),
    told("nobody_there", clusters=NOBODY),
    told("too_many", clusters=FULL),
    told("too_many_waiting", clusters=CROWDED),
    told("timed_out", action={"timeout": "0.1s"}, script=[HANGS]),
    told("reset", script=[[ReadBody(), Reset()]]),
    told("reset_three_times", script=[[ReadBody(), Reset()]], action=RETRIES),
    told("no_http", script=[[ReadBody(), Send(b"xx\r\n\r\n")]]),
    told(
        "timed_out_twice",
        action={"timeout": "1s", "retry_policy": {"retry_on": "5xx", "per_try_timeout": "0.1s", "num_retries": 1}},
        script=[HANGS],
    ),
    told("none", action={"cluster": "nowhere"}),
    told("none_without_a_route", request("/x", host="nobody.test")),
    told("none_of_a_direct_response", routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]),
    told("none_of_a_redirect", routes=[{"match": {"prefix": "/"}, "redirect": {"path_redirect": "/y"}}]),
    told("of_grpc_refused", GRPC, clusters=SILENT),
    told("of_grpc_nobody_there", GRPC, clusters=NOBODY),
    told("of_grpc_too_many", GRPC, clusters=FULL),
    told("of_grpc_timed_out", GRPC, action={"timeout": "0.1s"}, script=[HANGS]),
    told("idle", action={"idle_timeout": "0.1s"}, script=[HANGS]),
    told("idle_connection_manager", hcm={"stream_idle_timeout": "0.1s"}, script=[HANGS]),
    told("slow_request", post("/x")[:-1], hcm={"request_timeout": "0.1s"}, script=[HANGS]),
    told("too_long", action={"max_stream_duration": {"max_stream_duration": "0.1s"}}, script=[HANGS]),
    told("bad_body", request("/x", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", script=[HANGS]),
    told(
        "instead_of_an_added_one",
        clusters=SILENT,
        vhost={"response_headers_to_add": [{"header": {"key": "x-envoy-attempt-count", "value": "z"}}]},
    ),
    told(
        "timed_out_with_204",
        request("/x", "X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1"),
        hcm=internal.HCM,
        action={"timeout": "0.1s"},
        script=[HANGS],
    ),
    *redirects(),
    *of_grpc(),
)
