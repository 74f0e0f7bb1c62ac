"""What the commands of an access-log format print, per kind of request."""

from __future__ import annotations

from tests.harness.upstream import Hang, ReadBody, raw, reply
from tests.oracle.case import Abort, AwaitUpstream, Case, Up, Write, post, request

# Keys that start with ~ hold times and ports: their shape counts, not their digits.
EVERYTHING = {
    "~start": "%START_TIME%",
    "~start_own": "%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%",
    "~start_seconds": "%START_TIME(%s)%",
    "~duration": "%DURATION%",
    "~service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "~remote": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "remote_host": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "~remote_port": "%DOWNSTREAM_REMOTE_PORT%",
    "direct_remote_host": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "~local": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "local_host": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    "~local_port": "%DOWNSTREAM_LOCAL_PORT%",
    "~upstream_local": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_local_host": "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    "upstream_remote": "%UPSTREAM_REMOTE_ADDRESS%",
    "upstream_remote_host": "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "~upstream_remote_port": "%UPSTREAM_REMOTE_PORT%",
    "cluster_raw": "%UPSTREAM_CLUSTER_RAW%",
    "flags_long": "%RESPONSE_FLAGS_LONG%",
    "server_name": "%REQUESTED_SERVER_NAME%",
    "header": "%REQ(X-IN)%",
    "header_missing": "%REQ(X-NONE)%",
    "header_other": "%REQ(X-NONE?X-IN)%",
    "header_cut": "%REQ(X-IN):3%",
    "agent": "%REQ(USER-AGENT)%",
    "forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "scheme": "%REQ(:SCHEME)%",
    "back": "%RESP(X-OUT)%",
    "back_type": "%RESP(CONTENT-TYPE)%",
    "back_length": "%RESP(CONTENT-LENGTH)%",
    "back_missing": "%RESP(X-NONE)%",
    "text": "a %REQ(:METHOD)% b %RESPONSE_CODE% c %REQ(X-NONE)% 100%%",
    "nested": {"code": "%RESPONSE_CODE%", "deeper": {"method": "%REQ(:METHOD)%"}},
    "plain": "nothing to fill in",
    "type": "%ACCESS_LOG_TYPE%",
}
SENT = ("X-In: some value", 'User-Agent: "quoted" \\ back')
OUT = (("X-Out", "v\tw"), ("Content-Type", "text/html"))

CASES = (
    Case(
        "log_of_success",
        request("/p?q=1", *SENT),
        script=[reply(200, b"ok", OUT)],
        log=EVERYTHING,
        expect={"log[0].header_cut": "som"},
    ),
    Case(
        "log_of_post",
        post("/p", *SENT, body=b"x" * 100),
        script=[reply(201, b"y" * 50, OUT)],
        log=EVERYTHING,
        expect={"log[0].bytes_received": 100},
    ),
    Case(
        "log_of_no_route",
        request("/p", *SENT, host="nobody.test"),
        log=EVERYTHING,
        expect={"log[0].flags_long": "NoRouteFound"},
    ),
    Case(
        "log_of_refused_connection",
        request("/p", *SENT),
        clusters={"": Up(endpoints=["refused"])},
        log=EVERYTHING,
        expect={"log[0].flags_long": "UpstreamConnectionFailure"},
    ),
    Case("log_of_no_endpoint", request("/p", *SENT), clusters={"": Up(endpoints=())}, log=EVERYTHING),
    Case(
        "log_of_time_out",
        request("/p", *SENT),
        action={"timeout": "0.1s"},
        script=[[ReadBody(), Hang()]],
        log=EVERYTHING,
    ),
    Case(
        "log_of_retries_used_up",
        request("/p", *SENT),
        action={"retry_policy": {"retry_on": "5xx", "num_retries": 1}},
        script=[reply(503)],
        log=EVERYTHING,
        ignore=["upstream[1].connection"],
    ),
    Case("log_of_protocol_error", request("/p", *SENT), script=[raw(b"nonsense\r\n\r\n")], log=EVERYTHING),
    Case("log_of_forwarded_client", request("/p", "X-Forwarded-For: 1.2.3.4"), log=EVERYTHING),
    Case("log_of_refused_head", b"garbage\r\n\r\n", log=EVERYTHING),
    Case(
        "log_of_client_gone",
        actions=[Write(request("/p", *SENT)), AwaitUpstream(), Abort()],
        script=[[ReadBody(), Hang()]],
        logs=1,
        log=EVERYTHING,
    ),
    Case(
        "log_of_direct_response",
        request("/p", *SENT),
        routes=[{"name": "direct", "match": {"prefix": "/"}, "direct_response": {"status": 404}}],
        log=EVERYTHING,
    ),
    Case(
        "log_of_rewrite",
        request("/p?q=1", *SENT),
        action={"prefix_rewrite": "/new", "host_rewrite_literal": "new.test"},
        log=EVERYTHING,
    ),
    Case(
        "log_of_alternative_cluster_name",
        request("/p", *SENT),
        clusters={"": Up(fields={"alt_stat_name": "other"})},
        log=EVERYTHING,
    ),
)
