"""Routes that answer themselves, and rewrites of the path and host of those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.oracle.case import Case, post, request


def redirect(name: str, how: Mapping[str, Any], sent: bytes, location: str, status: int = 301, **more: Any) -> Case:
    return Case(
        name,
        sent,
        routes=[{"name": "redirect", "match": {"prefix": "/x"}, "redirect": how}],
        expect={
            "client[0].status": status,
            "client[0].header.location": (location,),
            "log[0].details": "direct_response",
        },
        **more,
    )


def rewrite(name: str, action: Mapping[str, Any], sent: bytes, line: str, **more: Any) -> Case:
    expect = {"upstream[0].line": line, **more.pop("expect", {})}
    return Case(name, sent, action=action, expect=expect, **more)


CASES = (
    redirect("redirect_path", {"path_redirect": "/y"}, request("/x?q=1"), "http://redirect-path.test/y?q=1"),
    redirect(
        "redirect_path_with_own_query",
        {"path_redirect": "/y?z=2"},
        request("/x?q=1"),
        "http://redirect-path-with-own-query.test/y?z=2",
    ),
    redirect(
        "redirect_strip_query",
        {"path_redirect": "/y", "strip_query": True},
        request("/x?q=1"),
        "http://redirect-strip-query.test/y",
    ),
    redirect("redirect_host", {"host_redirect": "h.test"}, request("/x?q=1"), "http://h.test/x?q=1"),
    redirect(
        "redirect_prefix", {"prefix_rewrite": "/new"}, request("/x/y?q=1"), "http://redirect-prefix.test/new/y?q=1"
    ),
    redirect("redirect_https", {"https_redirect": True}, request("/x"), "https://redirect-https.test/x"),
    redirect("redirect_scheme", {"scheme_redirect": "ftp"}, request("/x"), "ftp://redirect-scheme.test/x"),
    redirect(
        "redirect_port",
        {"port_redirect": 8443, "https_redirect": True},
        request("/x"),
        "https://redirect-port.test:8443/x",
    ),
    redirect(
        "redirect_307",
        {"path_redirect": "/y", "response_code": "TEMPORARY_REDIRECT"},
        post("/x"),
        "http://redirect-307.test/y",
        307,
    ),
    redirect(
        "redirect_regex",
        {"regex_rewrite": {"pattern": {"regex": "^/x/(.*)$"}, "substitution": "/z/\\1"}},
        request("/x/a?b"),
        "http://redirect-regex.test/z/a?b",
    ),
    Case(
        "redirect_with_header_operations",
        request("/x"),
        routes=[
            {
                "match": {"prefix": "/"},
                "redirect": {"path_redirect": "/y"},
                "response_headers_to_add": [{"header": {"key": "x-r", "value": "1"}}],
            }
        ],
        expect={"client[0].header.x-r": ("1",)},
    ),
    Case(
        "direct_response_with_body",
        request("/x"),
        routes=[
            {
                "name": "d",
                "match": {"prefix": "/"},
                "direct_response": {"status": 418, "body": {"inline_string": "tea"}},
            }
        ],
        expect={
            "client[0].status": 418,
            "client[0].body": b"tea",
            "log[0].details": "direct_response",
            "log[0].flags": "-",
        },
    ),
    Case(
        "direct_response_without_body",
        request("/x"),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
        expect={"client[0].status": 200, "client[0].body": b""},
    ),
    Case(
        "direct_response_204",
        request("/x"),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 204}}],
        expect={"client[0].status": 204, "client[0].framing": "none"},
    ),
    Case(
        "direct_response_to_head",
        request("/x", method="HEAD"),
        methods=["HEAD"],
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}],
        expect={"client[0].status": 200, "client[0].header.content-length": ("3",)},
    ),
    Case(
        "direct_response_content_type_added",
        request("/x"),
        routes=[
            {
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "{}"}},
                "response_headers_to_add": [
                    {
                        "header": {"key": "content-type", "value": "application/json"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                ],
            }
        ],
        expect={"client[0].header.content-type": ("application/json",)},
    ),
    rewrite(
        "rewrite_prefix",
        {"prefix_rewrite": "/new"},
        request("/old/y?q=1"),
        "GET /new/y?q=1 HTTP/1.1",
        route={"match": {"prefix": "/old"}},
        expect={"upstream[0].header.x-envoy-original-path": ("/old/y?q=1",)},
    ),
    rewrite(
        "rewrite_prefix_slash",
        {"prefix_rewrite": "/"},
        request("/old/y"),
        "GET //y HTTP/1.1",
        route={"match": {"prefix": "/old"}},
    ),
    rewrite(
        "rewrite_prefix_of_exact_path",
        {"prefix_rewrite": "/n"},
        request("/old?q"),
        "GET /n?q HTTP/1.1",
        route={"match": {"path": "/old"}},
    ),
    rewrite(
        "rewrite_prefix_ignoring_case",
        {"prefix_rewrite": "/n"},
        request("/OLD/y"),
        "GET /n/y HTTP/1.1",
        route={"match": {"prefix": "/old", "case_sensitive": False}},
    ),
    rewrite(
        "rewrite_regex",
        {"regex_rewrite": {"pattern": {"regex": "/(\\w+)/(\\w+)"}, "substitution": "/\\2/\\1"}},
        request("/a/b/c/d?x=/e/f"),
        "GET /b/a/d/c?x=/e/f HTTP/1.1",
    ),
    rewrite(
        "rewrite_regex_without_match",
        {"regex_rewrite": {"pattern": {"regex": "/zzz"}, "substitution": "/n"}},
        request("/a"),
        "GET /a HTTP/1.1",
    ),
    rewrite(
        "rewrite_host",
        {"host_rewrite_literal": "other.test"},
        request("/a"),
        "GET /a HTTP/1.1",
        expect={"upstream[0].header.host": ("other.test",)},
    ),
    rewrite(
        "rewrite_host_with_forwarded_host",
        {"host_rewrite_literal": "other.test", "append_x_forwarded_host": True},
        request("/a"),
        "GET /a HTTP/1.1",
        expect={"upstream[0].header.x-forwarded-host": ("rewrite-host-with-forwarded-host.test",)},
    ),
)
