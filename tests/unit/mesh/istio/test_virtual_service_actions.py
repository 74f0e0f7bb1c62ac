from __future__ import annotations

from typing import Any

import pytest

from mesh.istio.virtual_service_actions import MAX_BODY
from tests.unit.mesh.istio.documents import accepted, action, refused, route


def test_values() -> None:
    rule = accepted(
        "VirtualService",
        route(
            timeout="1.5s",
            retries={"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,503,cancelled", "backoff": "25ms"},
            fault={
                "delay": {"fixedDelay": "5s", "percentage": {"value": 0.1}},
                "abort": {"httpStatus": 400, "percentage": {"value": 100}},
            },
            rewrite={"uri": "/b", "authority": "b"},
            headers={"request": {"set": {"a": "b"}, "add": {"c": "%REQ(x)%"}, "remove": ["d"]}},
        ),
    ).http[0]
    assert rule.timeout == 1.5
    assert (rule.retries.attempts, rule.retries.per_try_timeout, rule.retries.backoff) == (3, 2.0, 0.025)
    assert rule.retries.retry_on == "5xx,503,cancelled"
    assert rule.fault.delay.fixed_delay == 5.0
    assert rule.fault.delay.percentage.value == 0.1
    assert rule.fault.abort.http_status == 400
    assert rule.rewrite.uri == "/b"
    assert rule.headers.request.set == {"a": "b"}
    assert rule.headers.request.remove == ("d",)


def test_redirects_and_direct_responses() -> None:
    redirect = accepted("VirtualService", action(redirect={"derivePort": "FROM_REQUEST_PORT"})).http[0].redirect
    assert redirect.derive_port == "FROM_REQUEST_PORT"
    assert redirect.redirect_code == 301
    for body, content in (({"string": "é"}, "é".encode()), ({"bytes": "AAE="}, b"\x00\x01"), ({}, b"")):
        answer = (
            accepted("VirtualService", action(directResponse={"status": 503, "body": body})).http[0].direct_response
        )
        assert answer.body.content == content


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timeout": "0s"}, "timeout: must be at least 1ms"),
        ({"retries": {"perTryTimeout": "1s"}}, "retries: attempts is 0"),
        ({"retries": {"attempts": 0, "retryOn": "5xx"}}, "retries: attempts is 0"),
        ({"retries": {"attempts": -1}}, "retries.attempts: must be at least 0"),
        ({"retries": {"attempts": 1, "retryOn": "5xx, reset"}}, "retries.retryOn: leave out the spaces"),
        (
            {"retries": {"attempts": 1, "retryOn": "conect-failure"}},
            'retries.retryOn: "conect-failure" is not a retry condition; did you mean "connect-failure"?',
        ),
        ({"retries": {"attempts": 1, "retryOn": "999"}}, 'retries.retryOn: "999" is not a retry condition'),
        ({"retries": {"attempts": 1, "retryOn": "5xx,"}}, 'retries.retryOn: "" is not a retry condition; they are'),
        (
            {"retries": {"attempts": 1, "retryRemoteLocalities": 1}},
            "retries.retryRemoteLocalities: must be true or false",
        ),
        ({"fault": {}}, "fault: one of delay, abort, throttle and reset must be set"),
        ({"fault": {"delay": {}}}, "fault.delay.fixedDelay: is required"),
        ({"fault": {"delay": {"fixedDelay": "1s", "percent": 101}}}, "fault.delay.percent: must be at most 100"),
        ({"fault": {"abort": {}}}, "fault.abort: one of httpStatus and grpcStatus must be set"),
        ({"fault": {"abort": {"httpStatus": 500, "grpcStatus": "OK"}}}, "httpStatus and grpcStatus exclude each other"),
        ({"fault": {"abort": {"httpStatus": 600}}}, "fault.abort.httpStatus: must be an HTTP status"),
        (
            {"fault": {"abort": {"grpcStatus": "unavailable"}}},
            'fault.abort.grpcStatus: must be the name of a gRPC status, not "unavailable"; did you mean "UNAVAILABLE"?',
        ),
        ({"fault": {"abort": {"http2Error": "x"}}}, "fault.abort.http2Error: known to Istio, not implemented yet"),
        (
            {"fault": {"abort": {"httpStatus": 500, "percentage": {"value": 101}}}},
            "percentage.value: must be 0, or from",
        ),
        ({"rewrite": {}}, "rewrite: must change something"),
        ({"rewrite": {"uri": ""}}, "rewrite: must change something"),
        ({"rewrite": {"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}}, "exclude each other"),
        ({"rewrite": {"uriRegexRewrite": {"match": "(", "rewrite": "b"}}}, "rewrite.uriRegexRewrite.match: is not"),
        ({"rewrite": {"uriRegexRewrite": {"match": "a", "rewrite": r"\1"}}}, "there is no group \\1"),
        ({"headers": {"request": {"set": {":path": "/"}}}}, 'headers.request.set[":path"]: ":path" cannot be changed'),
        ({"headers": {"request": {"remove": ["host"]}}}, 'headers.request.remove[0]: "host" cannot be changed here'),
        ({"headers": {"response": {"set": {"Host": "x"}}}}, '"Host" cannot be changed here'),
        ({"headers": {"response": {"add": {"a b": "x"}}}}, '"a b" is not a header name'),
        ({"rewrite": {"uri": "/a\nb"}}, "rewrite.uri: must not contain line breaks"),
        ({"headers": {"response": {"add": {"a": "x" * 16385}}}}, "must be at most 16384 bytes"),
        ({"headers": {"response": {"add": {"a": "x\n"}}}}, "must not contain control characters"),
        ({"headers": {"request": {"set": {"a": "50%"}}}}, "headers.request.set.a: a % must be written %%"),
        ({"headers": {"request": {"set": {"a": "%START_TIME%%"}}}}, "a % must be written %%"),
        (
            {"headers": {"request": {"set": {"a": 5}}}},
            "headers.request.set.a: must be a string, not 5; put it in quotes",
        ),
        ({"headers": {"requst": {}}}, 'headers.requst: unknown field; did you mean "request"?'),
    ],
)
def test_what_is_refused(fields: dict[str, Any], expected: str) -> None:
    (found,) = refused("VirtualService", route(**fields))
    assert expected in found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"redirect": {}}, "redirect: must change something"),
        (
            {"redirect": {"uri": "/", "redirectCode": 304}},
            "redirectCode: must be one of 301, 302, 303, 307, 308, not 304",
        ),
        ({"redirect": {"uri": "/", "prefixRewrite": "/"}}, "uri and prefixRewrite exclude each other"),
        ({"redirect": {"port": 80, "derivePort": "FROM_REQUEST_PORT"}}, "port and derivePort exclude each other"),
        ({"redirect": {"scheme": "ftp"}}, 'redirect.scheme: must be http or https, not "ftp"'),
        ({"redirect": {"derivePort": "FROM"}}, "must be one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT"),
        ({"directResponse": {}}, "directResponse.status: is required"),
        ({"directResponse": {"status": 99}}, "directResponse.status: must be an HTTP status"),
        ({"directResponse": {"status": 200, "body": {"bytes": "?"}}}, "body.bytes: must be base64"),
        ({"directResponse": {"status": 200, "body": {"bytes": "é"}}}, "body.bytes: must be base64"),
        (
            {"directResponse": {"status": 200, "body": {"string": "x" * (MAX_BODY + 1)}}},
            "body: must be at most 1048576",
        ),
        ({"directResponse": {"status": 200, "body": {"string": "", "bytes": ""}}}, "exclude each other"),
    ],
)
def test_what_is_refused_without_a_route(fields: dict[str, Any], expected: str) -> None:
    (found,) = refused("VirtualService", action(**fields))
    assert expected in found


@pytest.mark.parametrize(
    "value",
    [
        "",
        "plain",
        "%HOSTNAME%",
        "100%%",
        "a %REQ(X?Y):10% b",
        "%START_TIME(%Y/%m/%d)%",
        "tab\t",
    ],
)
def test_header_values_with_formats(value: str) -> None:
    assert refused("VirtualService", route(headers={"request": {"set": {"a": value}}})) == []


def test_the_authority_can_be_set_in_requests() -> None:
    assert refused("VirtualService", route(headers={"request": {"set": {":authority": "x"}}})) == []
    destination = {"destination": {"host": "a"}, "headers": {"request": {"set": {"host": "x"}}}}
    assert refused("VirtualService", action(route=[destination])) == []
