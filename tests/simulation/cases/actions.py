"""What a rule does with a request."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import Case, document, to

V1 = to("v1")


def one(text: str, **expected: object) -> Case:
    """A case of one rule, `name: rule`."""
    name, _, rule = text.partition("| ")
    return Case(name.strip(), f"{{{rule}}}", **expected)  # type: ignore[arg-type]


def weighted(*weights: int) -> str:
    shares = ", ".join(
        f"{{destination: {{host: $HOST, subset: v{n + 1}}}, weight: {weight}}}" for n, weight in enumerate(weights)
    )
    return f"route: [{shares}]"


REWRITES: Final = (
    one(f"rewrite a prefix| match: [{{uri: {{prefix: /old}}}}], rewrite: {{uri: /new}}, {V1}", path="/old/x?q=1",
        sees={"path": "/new/x?q=1", "x-envoy-original-path": "/old/x?q=1"}),
    one(f"rewrite a prefix with a slash| match: [{{uri: {{prefix: /old/}}}}], rewrite: {{uri: /}}, {V1}", path="/old/x",
        sees={"path": "/x"}),
    one(f"rewrite an exact path| match: [{{uri: {{exact: /old}}}}], rewrite: {{uri: /new}}, {V1}", path="/old?q",
        sees={"path": "/new?q"}),
    one(f"rewrite everything| rewrite: {{uri: /new}}, {V1}", path="/", sees={"path": "/new"}),
    one(f"rewrite by a regex| rewrite: {{uriRegexRewrite: {{match: '^/a/(.*)$', rewrite: '/b/\\1/c'}}}}, {V1}",
        path="/a/x", sees={"path": "/b/x/c"}),
    one(f"a regex that finds nothing| rewrite: {{uriRegexRewrite: {{match: '^/z', rewrite: '/b'}}}}, {V1}",
        path="/a/x", sees={"path": "/a/x"}),
    one(f"rewrite the authority| rewrite: {{authority: other.example}}, {V1}", sees={"host": "other.example"}),
    one(f"rewrite both| match: [{{uri: {{prefix: /a}}}}], rewrite: {{uri: /b, authority: o.example}}, {V1}", path="/ac",
        sees={"path": "/bc", "host": "o.example"}),
)  # fmt: skip
REDIRECTS: Final = (
    one("redirect a path| redirect: {uri: /new}", path="/old?q=1", to="", status=301,
        gets={"location": "http://$HOST/new?q=1"}),
    one("redirect to a host| redirect: {authority: o.example}", path="/a?q=1", to="", status=301,
        gets={"location": "http://o.example/a?q=1"}),
    one("redirect a prefix| match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /b}", path="/a/x", to="", status=301,
        gets={"location": "http://$HOST/b/x"}),
    one("redirect to a scheme| redirect: {scheme: https}", to="", status=301, gets={"location": "https://$HOST/"}),
    one("redirect to a port| redirect: {port: 8443}", to="", status=301, gets={"location": "http://$HOST:8443/"}),
    one("redirect to a scheme's own port| redirect: {scheme: https, port: 443}", to="", status=301,
        gets={"location": "https://$HOST/"}),
    one("redirect to the port of the request| redirect: {uri: /n, derivePort: FROM_REQUEST_PORT}", to="", status=301,
        gets={"location": "http://$HOST/n"}),
    one("redirect to the protocol's port| redirect: {uri: /n, derivePort: FROM_PROTOCOL_DEFAULT}", to="", status=301,
        gets={"location": "http://$HOST/n"}),
    *(one(f"redirect with {code}| redirect: {{uri: /n, redirectCode: {code}}}", to="", status=code)
      for code in (302, 303, 307, 308)),
)  # fmt: skip
ANSWERS: Final = (
    one("answer directly| directResponse: {status: 418, body: {string: tea}}", to="", status=418,
        gets={"content-length": "3"}),
    one("answer with bytes| directResponse: {status: 200, body: {bytes: aGk=}}", to="", gets={"content-length": "2"}),
    one("answer with nothing| directResponse: {status: 204}", to="", status=204),
    one("headers of an answer| directResponse: {status: 200}, headers: {response: {set: {x-a: b}}}", to="",
        gets={"x-a": "b"}),
)  # fmt: skip
HEADERS: Final = (
    one(f"set a request header| headers: {{request: {{set: {{x: new}}}}}}, {V1}", headers={"x": "old"}, sees={"x": "new"}),
    one(f"add a request header| headers: {{request: {{add: {{x: new}}}}}}, {V1}", headers={"x": "old"},
        sees={"x": "old,new"}),
    one(f"remove a request header| headers: {{request: {{remove: [x]}}}}, {V1}", headers={"x": "old"}, sees={"x": None}),
    one(f"set the host| headers: {{request: {{set: {{Host: h.example}}}}}}, {V1}", sees={"host": "h.example"}),
    one(f"set the authority| headers: {{request: {{set: {{':authority': h.example}}}}}}, {V1}", sees={"host": "h.example"}),
    one(f"a header from another| headers: {{request: {{set: {{y: '%REQ(x)%!'}}}}}}, {V1}", headers={"x": "a"},
        sees={"y": "a!"}),
    one(f"a percent sign| headers: {{request: {{set: {{y: '100%%'}}}}}}, {V1}", sees={"y": "100%"}),
    one(f"set a response header| headers: {{response: {{set: {{x-version: mine}}}}}}, {V1}", gets={"x-version": "mine"}),
    one(f"add a response header| headers: {{response: {{add: {{x-more: a}}}}}}, {V1}", gets={"x-more": "a"}),
    one(f"remove a response header| headers: {{response: {{remove: [x-version]}}}}, {V1}", gets={"x-version": None}),
    one("headers of a destination| route: [{destination: {host: $HOST, subset: v1}, headers: {request: {set: {x: d}}, "
        "response: {set: {x-a: b}}}}]", sees={"x": "d"}, gets={"x-a": "b"}),
    one("headers of the rule and of its destination| headers: {request: {set: {x: r}}}, route: [{destination: {host: $HOST, "
        "subset: v1}, headers: {request: {set: {x: d}}}}]", sees={"x": "d"}),
)  # fmt: skip
SPLITS: Final = (
    one(f"a weight of 0| {weighted(0, 1)}", to="v2", times=5),
    one(f"all of several weights| {weighted(0, 100, 0)}", to="v2", times=5),
    one(f"half and half| {weighted(50, 50)}", to="v1 v2", times=16),
    one(f"three shares| {weighted(1, 1, 1)}", to="v1 v2 v3", times=24),
    one("one destination of weight 0| route: [{destination: {host: $HOST, subset: v3}, weight: 0}]", to="v3"),
    one("an unknown subset| route: [{destination: {host: $HOST, subset: v9}}]", to="", status=503),
    one("an unknown host| route: [{destination: {host: nobody.example.org}}]", to="", status=503),
    one("another port of a host| route: [{destination: {host: $HOST, port: {number: 81}}}]", to="", status=503),
    one(f"a rule with a name| name: first, match: [{{name: all, uri: {{prefix: /}}}}], {to('v2')}", to="v2"),
    one("the port of the host| route: [{destination: {host: $HOST, subset: v2, port: {number: 80}}}]", to="v2"),
)
FAULTS: Final = (
    one(f"abort| fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}, {V1}", to="", status=418),
    one(f"abort nobody| fault: {{abort: {{httpStatus: 418, percentage: {{value: 0}}}}}}, {V1}"),
    one(f"abort without percentage| fault: {{abort: {{httpStatus: 418}}}}, {V1}"),
    one(f"abort as gRPC does| fault: {{abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 100}}}}}}, {V1}", to="",
        headers={"content-type": "application/grpc"}, gets={"grpc-status": "14"}),
    one(f"delay| fault: {{delay: {{fixedDelay: 20ms, percentage: {{value: 100}}}}}}, {V1}"),
    one(f"delay in whole percent| fault: {{delay: {{fixedDelay: 20ms, percent: 100}}}}, {V1}"),
    one(f"abort with another gRPC status| fault: {{abort: {{grpcStatus: NOT_FOUND, percentage: {{value: 100}}}}}}, {V1}",
        to="", headers={"content-type": "application/grpc"}, gets={"grpc-status": "5"}),
    one(f"throttle| fault: {{throttle: {{limitKbps: 100, percentage: {{value: 100}}}}}}, {V1}"),
    one(f"throttle nobody| fault: {{throttle: {{limitKbps: 1, percentage: {{value: 0}}}}}}, {V1}"),
    one(f"delay at the client| fault: {{at: client, delay: {{fixedDelay: 5ms, percentage: {{value: 100}}}}}}, {V1}"),
    one(f"reset nobody| fault: {{reset: {{percentage: {{value: 0}}}}}}, {V1}"),
    one(f"delay and abort| fault: {{delay: {{fixedDelay: 10ms, percentage: {{value: 100}}}}, "
        f"abort: {{httpStatus: 503, percentage: {{value: 100}}}}}}, {V1}", to="", status=503),
)  # fmt: skip
TRIES: Final = (
    one(f"a time-out| timeout: 100ms, {V1}", path="/slow", to="", status=504),
    one(f"no time-out| timeout: 30s, {V1}", path="/"),
    one(f"a time-out of each try| retries: {{attempts: 1, perTryTimeout: 50ms, retryOn: 5xx}}, {V1}", path="/slow", to="",
        status=504),
    one(f"retries that are used up| retries: {{attempts: 2, retryOn: 5xx, backoff: 1ms}}, {V1}",
        headers={"x-answer": "503"}, status=503, sees={"x-envoy-attempt-count": "3"}),
    one(f"no retries| retries: {{attempts: 0}}, {V1}", headers={"x-answer": "503"}, status=503,
        sees={"x-envoy-attempt-count": "1"}),
    one(f"a status that is retried| retries: {{attempts: 1, retryOn: '409', backoff: 1ms}}, {V1}",
        headers={"x-answer": "409"}, status=409, sees={"x-envoy-attempt-count": "2"}),
    one(f"a status that is not| retries: {{attempts: 1, retryOn: '409'}}, {V1}", headers={"x-answer": "410"}, status=410,
        sees={"x-envoy-attempt-count": "1"}),
    one(f"by default a 503 is not retried| {V1}", headers={"x-answer": "503"}, status=503,
        sees={"x-envoy-attempt-count": "1"}),
    one(f"retries at the same host| retries: {{attempts: 1, retryOn: 5xx, backoff: 1ms, retryIgnorePreviousHosts: false}}, "
        f"{V1}", headers={"x-answer": "500"}, status=500, sees={"x-envoy-attempt-count": "2"}),
    one(f"retries elsewhere| retries: {{attempts: 1, retryOn: 5xx, backoff: 1ms, retryRemoteLocalities: true, "
        f"retryIgnorePreviousHosts: true}}, {V1}", headers={"x-answer": "500"}, status=500,
        sees={"x-envoy-attempt-count": "2"}),
)  # fmt: skip
CORS: Final = (
    one(f"a preflight| corsPolicy: {{allowOrigins: [{{exact: 'http://a'}}], allowMethods: [GET, PUT], maxAge: 24h}}, {V1}",
        method="OPTIONS", headers={"origin": "http://a", "access-control-request-method": "PUT"}, to="",
        gets={"access-control-allow-origin": "http://a", "access-control-allow-methods": "GET,PUT",
              "access-control-max-age": "86400"}),
    one(f"an origin that is not allowed| corsPolicy: {{allowOrigins: [{{exact: 'http://a'}}]}}, {V1}",
        headers={"origin": "http://b"}, gets={"access-control-allow-origin": None}),
    one(f"an origin by regex| corsPolicy: {{allowOrigins: [{{regex: 'http://.*'}}], allowCredentials: true, "
        f"exposeHeaders: [x-a]}}, {V1}", headers={"origin": "http://b"},
        gets={"access-control-allow-origin": "http://b", "access-control-allow-credentials": "true",
              "access-control-expose-headers": "x-a"}),
    one(f"origins, the old way| corsPolicy: {{allowOrigin: ['http://a'], allowHeaders: [x-b, x-c]}}, {V1}", method="OPTIONS",
        headers={"origin": "http://a", "access-control-request-method": "GET"}, to="",
        gets={"access-control-allow-origin": "http://a", "access-control-allow-headers": "x-b,x-c"}),
    *(one(f"a preflight of others, {policy}| corsPolicy: {{allowOrigins: [{{exact: 'http://a'}}], "
          f"unmatchedPreflights: {policy}}}, {V1}", method="OPTIONS",
          headers={"origin": "http://b", "access-control-request-method": "GET"}, **expected)
      for policy, expected in (("FORWARD", {}), ("UNSPECIFIED", {}), ("IGNORE", {"to": ""}))),
)  # fmt: skip
MIRRORS: Final = (
    one(f"a mirror| mirror: {{host: $HOST, subset: v2}}, {V1}", sees={"mirrored": "v2"}),
    one(f"two mirrors| mirrors: [{{destination: {{host: $HOST, subset: v2}}}}, "
        f"{{destination: {{host: $HOST, subset: v3}}}}], {V1}", sees={"mirrored": "v2 v3"}),
    one(f"a mirror of nothing| mirror: {{host: $HOST, subset: v2}}, mirrorPercentage: {{value: 0}}, {V1}",
        sees={"mirrored": ""}),
    one(f"a mirror of everything| mirror: {{host: $HOST, subset: v2}}, mirrorPercent: 100, {V1}", sees={"mirrored": "v2"}),
    one(f"a mirror of nothing, the old way| mirror: {{host: $HOST, subset: v2}}, mirrorPercent: 0, {V1}",
        sees={"mirrored": ""}),
    one(f"a mirror of nothing, the oldest way| mirror: {{host: $HOST, subset: v2}}, mirror_percent: 0, {V1}",
        sees={"mirrored": ""}),
    one("a mirror of nothing among several| mirrors: [{destination: {host: $HOST, subset: v2}, percentage: {value: 0}}, "
        f"{{destination: {{host: $HOST, subset: v3}}, percentage: {{value: 100}}}}], {V1}", sees={"mirrored": "v3"}),
)  # fmt: skip

_PART = (
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: %s}\nspec:\n"
    "  http:\n  - {match: [{uri: {prefix: /a/b}}], route: [{destination: {host: $HOST, subset: v2}}]}\n"
    "  - {match: [{uri: {prefix: /z}}], route: [{destination: {host: $HOST, subset: v3}}]}\n"
    "  - {headers: {request: {set: {x: part}}}, route: [{destination: {host: $HOST, subset: v3}}]}\n"
)


def delegated(
    name: str, path: str, root: str = "match: [{uri: {prefix: /a}}]", part: str = "", **expected: object
) -> Case:
    part = part or name.replace(" ", "-")
    rules = f"{{{root}, delegate: {{name: {part}}}}}\n{{{V1}}}"
    return Case(name, rules, more=_PART % name.replace(" ", "-"), path=path, **expected)  # type: ignore[arg-type]


DELEGATES: Final = (
    delegated("delegate within", "/a/b/c", to="v2"),
    delegated("delegate catch all", "/a/x", to="v3", sees={"x": "part"}),
    delegated("delegate outside", "/z", to="v1"),
    delegated("delegate beside", "/other", to="v1"),
    delegated("delegate inherits", "/a/x", "match: [{uri: {prefix: /a}}], rewrite: {uri: /n}", to="v3",
              sees={"path": "/n/x", "x": "part"}),
    Case("delegate in another namespace", f"{{delegate: {{name: $NAME-part, namespace: other}}}}\n{{{V1}}}", to="v2",
         more=document("VirtualService", f"http: [{{{to('v2')}}}]", "$NAME-part, namespace: other")),
    delegated("delegate that is not there", "/a/x", part="nobody", to="v1"),
)  # fmt: skip

CASES: Final = (
    *REWRITES,
    *REDIRECTS,
    *ANSWERS,
    *HEADERS,
    *SPLITS,
    *FAULTS,
    *TRIES,
    *CORS,
    *MIRRORS,
    *DELEGATES,
)
