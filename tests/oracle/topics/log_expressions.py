"""Access logs whose filter is a CEL expression: of two requests on one connection the second is to be in it, or both."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import reply
from tests.oracle.case import Case, Up, request
from tests.oracle.topics.log_filters import told

TYPE = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
FIRST, LAST = request("/first"), request("/last?q=1", "Connection: close", "X-Kind: big", "User-Agent: test/1")
ANSWERS = (reply(200), reply(404, headers=(("x-from", "app"),)))


def filter_of(expression: str) -> dict[str, Any]:
    typed = {"@type": TYPE, "expression": expression}
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": typed}}


# The second request only.
LAST_ONLY = {
    "code": "response.code >= 400",
    "code_between": "response.code >= 400 && response.code < 500 || response.code == 302",
    "not": "!(response.code == 200)",
    "path": "request.path == '/last?q=1'",
    "url_path": "request.url_path.startsWith('/last')",
    "query": "request.query == 'q=1'",
    "header": "request.headers['x-kind'] == 'big'",
    "header_in_other_case": "request.headers['X-Kind'] == 'big'",
    "header_as_field": "has(request.useragent) && request.useragent.endsWith('/1')",
    "header_there": "'x-kind' in request.headers",
    "absent_or": "request.headers['x-kind'] == 'big' || false",
    "absent_and": "request.headers['x-kind'] != 'small' && true",
    "response_header": "response.headers['x-from'].contains('pp')",
    "matches": "request.path.matches('^/l[a-z]+[?]')",
    "matches_anywhere": "request.path.matches('q=[0-9]')",
    "in_list": "response.code in [403, 404]",
    "text_in_list": "request.url_path in ['/last', '/other']",
    "condition": "response.code == 404 ? request.method == 'GET' : false",
    "size": "size(request.path) > 6",
    "size_as_method": "request.path.size() > 6",
    "precedence": "false && true || response.code == 404",
    "int": "int(request.query.size()) == 3 && true",
    "escapes": r"'\x6c'.size() == 1 && request.path.contains('last')".replace(r"\x6c", r"\n"),
}  # fmt: skip
# Both of them.
BOTH = {
    "true": "true",
    "method": "request.method == 'GET' && request.scheme == 'http'",
    "protocol": "request.protocol == 'HTTP/1.1'",
    "mtls": "connection.mtls == false",
    "not_mtls": "!connection.mtls",
    "sizes": "request.size == 0 && response.size >= 0",
    "duration": "request.duration < duration('10s')",
    "duration_in_parts": "request.duration < duration('1m30s')",
    "addresses": "source.address.startsWith('127.0.0.1:') && destination.port > 0",
    "upstream": "upstream.port > 0 && upstream.address.contains(':') && upstream.request_attempt_count == 1",
    "no_failure": "upstream.transport_failure_reason == ''",
    "details": "response.code_details == 'via_upstream'",
    "cluster": "xds.cluster_name != ''",
    "no_flags": "response.flags == 0",
    "server_name": "connection.requested_server_name == ''",
    "id": "has(request.id) && request.id.size() == 36",
    "has_not": "!has(request.referer)",
    "has_headers": "!has(request.headers.nosuch)",
    "grpc_status": "response.grpc_status >= 0",
    "absent_and_false": "!(request.headers['nosuch'] == 'x' && false)",
    "absent_or_true": "request.headers['nosuch'] == 'x' || true",
    "trailers": "!('x' in response.trailers)",
    "host": "request.host.size() > 0",
    "negative": "response.code > -1",
}
# Of expressions without a value nothing is logged: an access log that asks this beside what names the last.
NOWHERE = {
    "absent": "request.headers['nosuch'] == 'x'",
    "absent_not": "!(request.headers['nosuch'] == 'x')",
    "absent_unequal": "request.headers['nosuch'] != 'x'",
    "termination": "connection.termination_details == ''",
    "condition": "request.headers['nosuch'] == 'x' ? true : true",
}


def beside(expression: str) -> dict[str, Any]:
    """What the expression says, or that it is the last."""
    return {"or_filter": {"filters": [filter_of(expression), filter_of("request.url_path == '/last'")]}}


CASES: tuple[Case, ...] = (
    *(
        told(
            f"log_cel_{name}", filter_of(text), FIRST, LAST, script=ANSWERS, expect={"log.count": 1, "log[0].code": 404}
        )
        for name, text in LAST_ONLY.items()
    ),
    *(
        told(f"log_cel_both_{name}", filter_of(text), FIRST, LAST, script=ANSWERS, logs=2, expect={"log.count": 2})
        for name, text in BOTH.items()
    ),
    *(
        told(
            f"log_cel_nowhere_{name}",
            beside(text),
            FIRST,
            LAST,
            script=ANSWERS,
            expect={"log.count": 1, "log[0].code": 404},
        )
        for name, text in NOWHERE.items()
    ),
    told(
        "log_cel_flags",
        filter_of("response.flags > 0 && response.code == 503"),
        request("/first", host="nobody.test"),
        request("/last", "Connection: close"),
        clusters={"": Up(("refused",))},
        expect={"log.count": 1, "log[0].code": 503},
    ),
    told(
        "log_cel_local_reply",
        filter_of("response.code_details == 'route_not_found' && !has(upstream.address)"),
        FIRST,
        request("/last", "Connection: close", host="nobody.test"),
        expect={"log.count": 1, "log[0].code": 404},
    ),
)
