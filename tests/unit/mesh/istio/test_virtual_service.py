from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.istio.documents import accepted, action, refused, route

TO = [{"destination": {"host": "reviews"}}]
L4 = [{"destination": {"host": "b"}}]


def test_defaults() -> None:
    rule = accepted("VirtualService", route())
    assert rule.gateways == ()
    (only,) = rule.http
    assert (only.match, only.timeout, only.retries, only.fault, only.redirect) == ((), None, None, None, None)
    assert only.route[0].weight == 0
    assert only.route[0].destination.subset == ""
    assert only.route[0].destination.port is None
    assert only.headers.request.set == {}
    assert only.route[0].headers.response.remove == ()


def test_models_are_frozen() -> None:
    rule = accepted("VirtualService", route())
    with pytest.raises(ValueError, match="frozen"):
        rule.hosts = ("other",)


def test_null_is_an_absent_field() -> None:
    rule = accepted("VirtualService", {**route(timeout=None, match=None), "gateways": None, "tcp": None})
    assert rule.http[0].timeout is None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, "spec: is required"),
        ([], "spec: must be a mapping, not a list"),
        ({}, "http: must have at least one route"),
        ({"gateways": ["g"], "http": [{"route": TO}]}, "gateways: a VirtualService without hosts is delegated to"),
        ({"http": [{"delegate": {"name": "x"}}]}, "http[0].delegate: a delegate cannot delegate further"),
        ({"hosts": ["a"]}, "http: must have at least one route"),
        ({"hosts": ["a_b"], "http": [{"route": TO}]}, 'hosts[0]: is not a DNS name: "a_b"'),
        ({"hosts": ["*"], "http": [{"route": TO}]}, 'hosts[0]: must not be "*" for sidecars'),
        (
            {"hosts": ["*"], "gateways": ["mesh", "g"], "http": [{"route": TO}]},
            'hosts[0]: must not be "*" for sidecars',
        ),
        ({"hosts": ["a", "a"], "http": [{"route": TO}]}, 'hosts[1]: "a" is there already'),
        ({"hosts": ["a.x.com", "*.x.com"], "http": [{"route": TO}]}, 'hosts[0]: "a.x.com" is part of "*.x.com"'),
        ({"hosts": ["*.com", "*.x.com"], "http": [{"route": TO}]}, 'hosts[1]: "*.x.com" is part of "*.com"'),
        ({"hosts": ["a"], "gateways": ["a/b/c"], "http": [{"route": TO}]}, "gateways[0]: must be a gateway"),
        (
            {"hosts": ["a"], "gateways": ["g.edge.svc.cluster.local"], "http": [{"route": TO}]},
            'not "g.edge.svc.cluster.local"; write "edge/g"',
        ),
        ({**route(), "exportTo": ["a", "a"]}, "exportTo: names a namespace twice: a, a"),
        ({**route(), "exportTo": ["A B"]}, 'exportTo: must be ".", "*", "~" or a namespace, not "A B"'),
        ({**route(), "tcp": [{"route": []}]}, "tcp[0].route: must have at least one destination"),
        (
            {**route(), "tcp": [{"match": [{"sourceSubnet": "10.0.0.0/8"}], "route": L4}]},
            "match[0].sourceSubnet: known to",
        ),
        (
            {**route(), "tls": [{"match": [{"sniHosts": ["b.c"]}], "route": L4}]},
            'sniHosts[0]: "b.c" is none of the hosts',
        ),
        ({**route(), "tls": [{"match": [], "route": L4}]}, "tls[0].match: must have at least one match"),
        (route(mirrors=[], mirror={"host": "b"}), "http[0].mirrors: mirror and mirrors exclude each other"),
        (action(delegate={"name": "x"}, redirect={"uri": "/"}), "http[0].delegate: redirect and delegate exclude"),
        (action(), "http[0]: one of route, redirect, directResponse and delegate must be set"),
        (action(route=[]), "http[0].route: must have at least one destination"),
        (route(redirect={"uri": "/"}), "http[0].redirect: route and redirect exclude each other"),
        (route(directResponse={"status": 200}), "http[0].directResponse: route and directResponse exclude each other"),
        (
            action(redirect={"uri": "/"}, fault={"abort": {"httpStatus": 500}}),
            "http[0].fault: redirect and fault exclude each other",
        ),
        (
            action(directResponse={"status": 200}, rewrite={"uri": "/"}),
            "http[0].rewrite: directResponse and rewrite exclude each other",
        ),
        (
            action(route=[{**TO[0], "weight": 0}, {**TO[0]}]),
            "http[0].route: the weights of several destinations must not all be 0",
        ),
        (
            action(route=[{**TO[0], "weight": 2**31 - 1}] * 3),
            "http[0].route: the weights add up to 6442450941; 4294967295 is the limit",
        ),
        (action(route=[{**TO[0], "weight": -1}]), "http[0].route[0].weight: must be at least 0, not -1"),
        (
            action(route=[{"destination": {"host": "*"}}]),
            'http[0].route[0].destination.host: must name a service, not "*"',
        ),
        (action(route=[{}]), "http[0].route[0].destination: is required"),
        (
            action(redirect={"prefixRewrite": "/b"}, match=[{"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a"}}]),
            "http[0].match[1].uri: must be a prefix, because the redirect has a prefixRewrite",
        ),
        (
            route(rewrite={"authority": "a"}, headers={"request": {"set": {"Host": "b"}}}),
            "http[0].headers.request.set: the authority is set by rewrite.authority already",
        ),
        (
            route(headers={"request": {"set": {"Host": "b"}, "add": {":authority": "c"}}}),
            "http[0].headers.request.add: the authority is set by headers.request.set already",
        ),
    ],
)
def test_what_is_refused(spec: Any, expected: str) -> None:
    found = refused("VirtualService", spec)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    "spec",
    [
        {"hosts": ["*"], "gateways": ["g"], "http": [{"route": TO}]},
        {"hosts": ["10.1.2.3", "2001:db8::1"], "http": [{"route": TO}]},
        {"hosts": ["x.com", "*.x.com"], "http": [{"route": TO}]},
        action(route=[{**TO[0], "weight": 1}, {**TO[0], "weight": 2}]),
        action(route=[{**TO[0], "weight": 0}]),
        {**route(), "exportTo": []},
    ],
)
def test_what_is_accepted(spec: Any) -> None:
    assert refused("VirtualService", spec) == []


def test_problems_of_several_levels_come_together() -> None:
    spec = {
        "hosts": ["a_b"],
        "http": [
            {"redirect": {"uri": "/a"}, "route": [{"destination": {"host": "x", "port": {"number": 0}}}], "timeout": 1},
            {"match": [{"uri": {"exact": "a", "prefix": "b"}}]},
        ],
    }
    assert sorted(line.split(":")[0] for line in refused("VirtualService", spec)) == [
        "hosts[0]",
        "http[0].redirect",
        "http[0].route[0].destination.port.number",
        "http[0].timeout",
        "http[1]",
        "http[1].match[0].uri.prefix",
    ]
