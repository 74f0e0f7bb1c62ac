from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.istio.documents import accepted, refused, route


def match(**fields: Any) -> dict[str, Any]:
    return route(match=[fields])


def test_every_kind_of_match() -> None:
    rule = accepted(
        "VirtualService",
        match(
            uri={"prefix": ""},
            headers={
                "x-a": {"exact": ""},
                "x-b": {"prefix": "b"},
                "x-c": {"regex": "c+"},
                "x-d": {},
                ":method": {"exact": "GET"},
            },
            withoutHeaders={"x-e": {"regex": "*"}},
            queryParams={"q": {}, "r": {"exact": ""}},
            ignoreUriCase=True,
            sourceLabels={"app": "a"},
            gateways=["mesh", "edge/g"],
        ),
    )
    condition = rule.http[0].match[0]
    assert condition.uri.prefix == ""
    assert condition.headers["x-d"].empty
    assert not condition.headers["x-a"].empty
    assert condition.without_headers["x-e"].regex == "*"
    assert condition.query_params["q"].empty
    assert condition.ignore_uri_case is True
    assert condition.source_labels == {"app": "a"}
    assert condition.gateways == ("mesh", "edge/g")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"uri": {}}, "uri: one of exact, prefix and regex must be set"),
        ({"method": {"prefix": ""}}, "method.prefix: must not be empty"),
        ({"uri": {"exact": "a", "regex": "b"}}, "uri.regex: exact and regex exclude each other"),
        ({"uri": {"regex": "("}}, "uri.regex: is not a regular expression that RE2 understands"),
        ({"uri": {"regex": "*"}}, "uri.regex: is not a regular expression"),
        ({"uri": {"regex": ""}}, "uri.regex: must not be an empty regular expression"),
        ({"uri": "/a"}, 'uri: must be a mapping, not "/a"'),
        ({"headers": {"x": "a"}}, 'headers.x: must be a mapping, not "a"'),
        ({"headers": {"x": None}}, "headers.x: must be a mapping, not null"),
        ({"headers": {"x": {"exact": 5}}}, "headers.x.exact: must be a string, not 5; put it in quotes"),
        ({"headers": {"x": {"prefix": ""}}}, "headers.x.prefix: must not be empty"),
        ({"headers": {"x": {"regex": "*"}}}, "headers.x.regex: is not a regular expression"),
        ({"headers": {"a b": {}}}, 'headers["a b"]: "a b" is not a header name'),
        ({"headers": {"": {}}}, "is not a header name"),
        ({"headers": {":nope": {}}}, '":nope" is not a header name'),
        (
            {"headers": {"@request.auth.claims.sub": {"exact": "a"}}},
            'headers["@request.auth.claims.sub"]: JWT claims are known to Istio, not implemented yet',
        ),
        ({"withoutHeaders": {"x": {"regex": "("}}}, "withoutHeaders.x.regex: is not a regular expression"),
        ({"queryParams": {"q": {"prefix": ""}}}, "queryParams.q.prefix: must not be empty"),
        ({"queryParams": {"": {}}}, 'queryParams[""]: a name must have 1 to 1024 bytes'),
        ({"port": 0}, "port: must be a port number"),
        ({"sourceLabels": {"a": "b c"}}, "sourceLabels: "),
        ({"sourceNamespace": "A_B"}, "sourceNamespace: must be a DNS label"),
        ({"gateways": [""]}, "gateways[0]: must be a gateway"),
        ({"gateways": ["/g"]}, "gateways[0]: must be a gateway"),
        ({"statPrefix": 1}, "statPrefix: must be a string"),
        ({"urii": {}}, 'urii: unknown field; did you mean "uri"?'),
        ({"ignoreUriCase": "yes"}, 'ignoreUriCase: must be true or false, not "yes"'),
    ],
)
def test_what_is_refused(fields: dict[str, Any], expected: str) -> None:
    (found,) = refused("VirtualService", match(**fields))
    assert expected in found
    assert found.startswith("http[0].match[0].")
