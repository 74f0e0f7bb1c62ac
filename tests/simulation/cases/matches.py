"""VirtualService `match`: who is meant, and who is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.simulation.cases import Case, matching, to

# name: (match, [calls that it takes], [calls that it does not]); a call is "METHOD PATH header=value …"
MATCHES: Final[dict[str, tuple[str, list[str], list[str]]]] = {
    "uri exact": ("{uri: {exact: /a}}", ["GET /a", "GET /a?x=1"], ["GET /a/", "GET /A", "GET /ab"]),
    "uri prefix": ("{uri: {prefix: /a}}", ["GET /a", "GET /ab", "GET /a/b"], ["GET /b", "GET /A"]),
    "uri prefix slash": ("{uri: {prefix: /a/}}", ["GET /a/", "GET /a/b"], ["GET /a", "GET /ab"]),
    "uri regex": ('{uri: {regex: "/v[0-9]+"}}', ["GET /v12", "GET /v1?q"], ["GET /v", "GET /v1/x", "GET /x/v1"]),
    "uri ignores case": ("{uri: {exact: /Ab}, ignoreUriCase: true}", ["GET /aB", "GET /Ab"], ["GET /abc"]),
    "uri prefix ignores case": ("{uri: {prefix: /Ab}, ignoreUriCase: true}", ["GET /aBc"], ["GET /b"]),
    "method exact": ("{method: {exact: POST}}", ["POST /"], ["GET /", "PUT /"]),
    "method prefix": ("{method: {prefix: P}}", ["POST /", "PUT /"], ["GET /"]),
    "method regex": ('{method: {regex: "GET|PUT"}}', ["GET /", "PUT /"], ["POST /"]),
    "scheme exact": ("{scheme: {exact: http}}", ["GET /"], []),
    "scheme other": ("{scheme: {exact: https}}", [], ["GET /"]),
    "authority prefix": ('{authority: {prefix: "$HOST"}}', ["GET /"], []),
    "authority regex": ('{authority: {regex: "x.*"}}', [], ["GET /"]),
    "header exact": ("{headers: {x: {exact: a}}}", ["GET / x=a"], ["GET /", "GET / x=b", "GET / x=A"]),
    "header prefix": ("{headers: {x: {prefix: a}}}", ["GET / x=ab"], ["GET / x=ba", "GET /"]),
    "header regex": ('{headers: {x: {regex: "a|b"}}}', ["GET / x=a", "GET / x=b"], ["GET / x=ab", "GET /"]),
    "header present": ("{headers: {x: {}}}", ["GET / x=a", "GET / x="], ["GET /", "GET / y=a"]),
    "two headers": ("{headers: {x: {exact: a}, y: {exact: b}}}", ["GET / x=a y=b"], ["GET / x=a", "GET / y=b"]),
    "pseudo header": ('{headers: {":method": {exact: PUT}}}', ["PUT /"], ["GET /"]),
    "without header": ("{withoutHeaders: {x: {exact: a}}}", ["GET /", "GET / x=b"], ["GET / x=a"]),
    "without any header": ("{withoutHeaders: {x: {}}}", ["GET /", "GET / y=a"], ["GET / x=a"]),
    "without a regex": ('{withoutHeaders: {x: {regex: "a.*"}}}', ["GET /", "GET / x=b"], ["GET / x=ab"]),
    "without a prefix": ("{withoutHeaders: {x: {prefix: a}}}", ["GET / x=b"], ["GET / x=ab"]),
    "query exact": (
        "{queryParams: {q: {exact: a}}}",
        ["GET /?q=a", "GET /?x&q=a"],
        ["GET /", "GET /?q=b", "GET /?Q=a"],
    ),
    "query prefix": ("{queryParams: {q: {prefix: a}}}", ["GET /?q=ab"], ["GET /?q=ba"]),
    "query regex": ('{queryParams: {q: {regex: "[0-9]+"}}}', ["GET /?q=12"], ["GET /?q=a", "GET /?q=1a"]),
    "query present": ("{queryParams: {q: {}}}", ["GET /?q", "GET /?q=", "GET /?q=a"], ["GET /?p"]),
    "query empty": ('{queryParams: {q: {exact: ""}}}', ["GET /?q=", "GET /?q"], ["GET /?q=a", "GET /"]),
    "all of one": ("{uri: {prefix: /a}, method: {exact: PUT}}", ["PUT /a"], ["GET /a", "PUT /b"]),
    "any of two": ("{uri: {prefix: /a}}, {headers: {x: {exact: b}}}", ["GET /a", "GET / x=b"], ["GET /b"]),
    "port": ("{port: 80, uri: {prefix: /a}}", ["GET /a"], ["GET /b"]),
    "another port": ("{port: 81}", [], ["GET /"]),
    "source labels": ("{sourceLabels: {app: client}}", ["GET /"], []),
    "source labels of others": ("{sourceLabels: {app: other}}", [], ["GET /"]),
    "source namespace": ("{sourceNamespace: default}", ["GET /"], []),
    "source namespace of others": ("{sourceNamespace: other}", [], ["GET /"]),
    "mesh gateway": ("{gateways: [mesh]}", ["GET /"], []),
    "another gateway": ("{gateways: [nowhere]}", [], ["GET /"]),
    "stat prefix": ("{uri: {prefix: /a}, statPrefix: a}", ["GET /a"], ["GET /b"]),
}


def _calls() -> Iterator[Case]:
    for name, (match, hits, misses) in MATCHES.items():
        for version, calls in (("v2", hits), ("v1", misses)):
            for text in calls:
                method, path, *headers = text.split(" ")
                named = dict(header.split("=", 1) for header in headers)
                yield Case(f"{name}: {text}", matching(match), path=path, method=method, headers=named, to=version)


ORDER: Final = f"""
{{match: [{{uri: {{prefix: /a}}}}], {to("v2")}}}
{{match: [{{uri: {{prefix: /a/b}}}}], {to("v3")}}}
{{{to("v1")}}}
{{match: [{{uri: {{exact: /late}}}}], {to("v3")}}}
"""

CASES: Final = (
    *_calls(),
    Case("the first that matches counts", ORDER, path="/a/b", to="v2"),
    Case("nothing after a catch-all", ORDER, path="/late", to="v1"),
    Case("no rule matches", f"{{match: [{{uri: {{exact: /a}}}}], {to('v1')}}}", path="/b", to="", status=404),
    Case("a host with its port", matching("{uri: {prefix: /a}}"), path="/a", authority="$HOST:80", to="v2"),
    Case("no rules at all", to="v1 v2 v3"),
)
