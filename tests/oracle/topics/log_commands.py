"""The commands that tell what was measured, what belongs to TLS and so is not there, gRPC's status, metadata; and what
becomes of values that are not there."""

from __future__ import annotations

from tests.harness.upstream import ReadBody, Send, raw, reply
from tests.oracle.case import Case, HalfClose, Up, post, request
from tests.oracle.topics.tcp import TALK, tcp

MEASURED = {
    "~received": "%REQUEST_DURATION%",
    "~sent": "%REQUEST_TX_DURATION%",
    "~answered": "%RESPONSE_DURATION%",
    "~replied": "%RESPONSE_TX_DURATION%",
    "~common": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%",
    "~upstream_part": "%COMMON_DURATION(US_TX_BEG:US_RX_END:ms)%",
    "request_bytes": "%REQUEST_HEADERS_BYTES%",
    "head:response_bytes": "%RESPONSE_HEADERS_BYTES%",
    "~service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_protocol": "%UPSTREAM_PROTOCOL%",
    "host_name": "%UPSTREAM_HOST_NAME%",
    "host_name_alone": "%UPSTREAM_HOST_NAME_WITHOUT_PORT%",
    "custom_flags": "%CUSTOM_FLAGS%",
    "local_reply": "%LOCAL_REPLY_BODY%",
    "~emitted": "%EMIT_TIME%",
    "~emitted_own": "%EMIT_TIME(%Y-%m-%d)%",
    "~connection": "%CONNECTION_ID%",
    "trailer": "%TRAILER(x-end)%",
    "trailer_cut": "%RESPONSE_TRAILER(X-End):2%",
    "dynamic": "%DYNAMIC_METADATA(a:b)%",
    "chain": "%FILTER_CHAIN_NAME%",
    "grpc": "%GRPC_STATUS%",
    "grpc_snake": "%GRPC_STATUS(SNAKE_STRING)%",
    "grpc_number": "%GRPC_STATUS_NUMBER%",
    "text": "[%GRPC_STATUS(NUMBER)%][%CUSTOM_FLAGS%][%LOCAL_REPLY_BODY%][%UPSTREAM_PROTOCOL%]",
}
OF_TLS = {
    name.lower(): f"%{name}%"
    for name in (
        "DOWNSTREAM_TLS_VERSION",
        "DOWNSTREAM_TLS_CIPHER",
        "DOWNSTREAM_PEER_SUBJECT",
        "DOWNSTREAM_PEER_URI_SAN",
        "DOWNSTREAM_LOCAL_URI_SAN",
        "DOWNSTREAM_PEER_FINGERPRINT_256",
        "DOWNSTREAM_PEER_CERT_V_START",
        "DOWNSTREAM_HANDSHAKE_DURATION",
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "UPSTREAM_TLS_VERSION",
        "UPSTREAM_PEER_SUBJECT",
        "UPSTREAM_PEER_CERT_V_END",
        "UPSTREAM_SERVER_NAME",
        "TLS_JA3_FINGERPRINT",
        "ROUNDTRIP_DURATION",
    )
}
VALUES = {"s": "x", "n": 1, "b": True, "o": {"k": "v"}, "l": [1, "2"]}
METADATA = {
    **{key: f"%METADATA(ROUTE:a:{key})%" for key in VALUES},
    "all": "%METADATA(ROUTE:a)%",
    "none": "%METADATA(ROUTE:a:none)%",
    "cut": "%METADATA(ROUTE:a:s):0%",
    "text": "s=%METADATA(ROUTE:a:s)% n=%METADATA(ROUTE:a:n)% o=%METADATA(ROUTE:a:o)% none=%METADATA(ROUTE:a:z)%",
    "cluster": "%CLUSTER_METADATA(a:o)%",
}
MISSING = {
    "missing": "%REQ(x-none)%",
    "text": "[%REQ(x-none)%|%PROTOCOL%]",
    "nested": {"x": "%REQ(x-none)%", "y": {"z": "%REQ(x-none)%"}},
    "half": {"x": "%REQ(x-none)%", "y": "%PROTOCOL%"},
    "list": ["%REQ(x-none)%", "%PROTOCOL%", None],
    "null": None,
    "yes": True,
    "empty": "%REQ(x-empty)%",
}
OMIT = {"omit_empty_values": True}
ROUTE = {"metadata": {"filter_metadata": {"a": VALUES}}}
GRPC = "Content-Type: application/grpc"
WITHOUT_QUERY = {
    "formatters": [
        {
            "name": "envoy.formatter.req_without_query",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"
            },
        }
    ]
}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
WITH_TRAILERS = {
    HTTP_OPTIONS: {
        "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
    }
}
TRAILING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: bye\r\n\r\n"

CASES = (
    Case(
        "measures_of_success",
        request("/p", "X-In: v"),
        script=[reply(200, b"ok", (("X-Out", "v"),))],
        log=MEASURED,
        faults=(43,),
    ),
    Case(
        "measures_of_post",
        post("/p", body=b"hello"),
        script=[reply(503)],
        action={"retry_policy": {"retry_on": "5xx", "num_retries": 1}},
        log=MEASURED,
        ignore=[
            "upstream[1].connection",
            "upstream[1].header.x-envoy-expected-rq-timeout-ms",
        ],
    ),
    Case("measures_of_no_route", request("/p", host="nobody.test"), log=MEASURED),
    Case("measures_of_refused", request("/p"), clusters={"": Up(endpoints=["refused"])}, log=MEASURED),
    Case("measures_of_bad_head", b"garbage\r\n\r\n", log=MEASURED),
    Case(
        "measures_of_trailers",
        request("/p"),
        script=[[ReadBody(), Send(TRAILING)]],
        hcm={"http_protocol_options": {"enable_trailers": True}},
        log=MEASURED,
        clusters={"": Up(fields={"typed_extension_protocol_options": WITH_TRAILERS})},
        expect={"log[0].trailer": "bye"},
    ),
    Case(
        "measures_of_dropped_trailers",
        request("/p"),
        script=[[ReadBody(), Send(TRAILING)]],
        log=MEASURED,
        expect={"log[0].trailer": None},
    ),
    Case("measures_of_grpc", request("/s/M", GRPC), script=[reply(200, b"", (("grpc-status", "5"),))], log=MEASURED),
    Case(
        "measures_of_odd_grpc", request("/s/M", GRPC), script=[reply(200, b"", (("grpc-status", "99"),))], log=MEASURED
    ),
    Case("measures_of_failed_grpc", request("/s/M", GRPC), script=[raw(b"nonsense\r\n\r\n")], log=MEASURED),
    Case("measures_of_unrouted_grpc", request("/s/M", GRPC, host="nobody.test"), log=MEASURED),
    tcp("measures_of_tcp", *TALK, HalfClose(), log=MEASURED),
    Case("log_of_tls_without_tls", request("/p"), log=OF_TLS),
    Case(
        "log_of_metadata",
        request("/p"),
        route=ROUTE,
        log=METADATA,
        clusters={"": Up(fields={"metadata": {"filter_metadata": {"a": VALUES}}})},
        expect={"log[0].o": {"k": "v"}, "log[0].n": 1},
    ),
    Case("log_of_missing_values", request("/p", "X-Empty: "), log=MISSING),
    Case("log_without_missing_values", request("/p", "X-Empty: "), log=MISSING, log_format=OMIT),
    Case("log_of_metadata_without_missing", request("/p"), log=METADATA, route=ROUTE, log_format=OMIT),
    Case(
        "log_without_query",
        request("/p?q=1"),
        log={"path": "%REQ_WITHOUT_QUERY(:path)%", "cut": "%REQ_WITHOUT_QUERY(x-none?:path):1%"},
        log_format=WITHOUT_QUERY,
        expect={"log[0].path": "/p"},
    ),
)
