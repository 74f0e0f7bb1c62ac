"""Random VirtualServices, DestinationRules and Gateways that the API takes, as documents."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SERVICES = ("reviews", "ratings", "details", "productpage")
_names = st.sampled_from(["a", "b-c", "x1"])
_text = st.text(
    st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="%\\"), min_size=1, max_size=8
)
_paths = _text.map(lambda text: f"/{text}")
_percent = st.fixed_dictionaries({"value": st.sampled_from([0, 0.0001, 0.29, 33.3, 100])})
_regexes = st.sampled_from(["a.*", "[0-9]+", ".*", "(a|b)?", "x{1,3}"])
_durations = st.sampled_from(["1ms", "0.25s", "10s", "1h"])
_ports = st.fixed_dictionaries({"number": st.sampled_from([80, 9080, 65535])})
_header_names = st.sampled_from(["x-a", "Cookie", "end-user"])


def _string_match(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(lambda text: {"exact": text}, texts),
        st.builds(lambda text: {"prefix": text}, texts),
        st.builds(lambda regex: {"regex": regex}, _regexes),
    )


_matches = st.fixed_dictionaries(
    {},
    optional={
        "name": _names,
        "uri": _string_match(_paths),
        "scheme": _string_match(_text),
        "method": _string_match(_text),
        "authority": _string_match(_text),
        "headers": st.dictionaries(_header_names, st.one_of(_string_match(_text), st.just({})), max_size=2),
        "withoutHeaders": st.dictionaries(_header_names, st.one_of(_string_match(_text), st.just({})), max_size=2),
        "queryParams": st.dictionaries(_names, st.one_of(_string_match(_text), st.just({})), max_size=2),
        "port": st.sampled_from([80, 9080]),
        "sourceLabels": st.fixed_dictionaries({}, optional={"app": st.sampled_from(["productpage", "x"])}),
        "sourceNamespace": st.sampled_from(["default", "other"]),
        "gateways": st.lists(st.sampled_from(["mesh", "edge", "default/edge"]), max_size=2),
        "ignoreUriCase": st.booleans(),
    },
)
_operations = st.fixed_dictionaries(
    {},
    optional={
        "set": st.dictionaries(_header_names, st.one_of(_text, st.just("%REQ(x)% 50%%")), max_size=2),
        "add": st.dictionaries(_header_names, _text, max_size=2),
        "remove": st.lists(_header_names, max_size=2),
    },
)
_headers = st.fixed_dictionaries({}, optional={"request": _operations, "response": _operations})
_destinations = st.fixed_dictionaries(
    {"host": st.sampled_from([*SERVICES, "nobody", "reviews.default.svc.cluster.local", "ext.example.com"])},
    optional={"subset": st.sampled_from(["v1", "v2", "gone"]), "port": _ports},
)
_shares = st.lists(
    st.fixed_dictionaries(
        {"destination": _destinations, "weight": st.integers(1, 2**29)}, optional={"headers": _headers}
    ),
    min_size=1,
    max_size=3,
)
_retries = st.one_of(
    st.just({"attempts": 0}),
    st.fixed_dictionaries(
        {"attempts": st.integers(1, 2**31 - 1)},
        optional={
            "perTryTimeout": _durations,
            "backoff": _durations,
            "retryOn": st.sampled_from(["5xx", "503", "reset,409,connect-failure", "retriable-status-codes,500"]),
            "retryIgnorePreviousHosts": st.booleans(),
        },
    ),
)
_delay = st.fixed_dictionaries({"fixedDelay": _durations}, optional={"percentage": _percent})
_abort = st.one_of(
    st.fixed_dictionaries({"httpStatus": st.integers(200, 599)}, optional={"percentage": _percent}),
    st.fixed_dictionaries({"grpcStatus": st.just("ABORTED")}, optional={"percentage": _percent}),
)
_faults = st.one_of(
    st.fixed_dictionaries({"delay": _delay}, optional={"abort": _abort}), st.fixed_dictionaries({"abort": _abort})
)
_rewrites = st.one_of(
    st.fixed_dictionaries({"uri": _paths}, optional={"authority": _names}),
    st.just({"uriRegexRewrite": {"match": "^/(.*)$", "rewrite": r"/x/\1"}}),
)
_redirects = st.fixed_dictionaries(
    {"uri": _paths},
    optional={
        "authority": _names,
        "scheme": st.sampled_from(["http", "https"]),
        "port": st.sampled_from([80, 443, 8080]),
        "redirectCode": st.sampled_from([301, 302, 303, 307, 308]),
    },
)
_direct = st.fixed_dictionaries(
    {"status": st.integers(200, 599)}, optional={"body": st.builds(lambda text: {"string": text}, _text)}
)
_common = {"name": _names, "match": st.lists(_matches, max_size=3), "headers": _headers}
_rules = st.one_of(
    st.fixed_dictionaries(
        {"route": _shares},
        optional={**_common, "retries": _retries, "timeout": _durations, "fault": _faults, "rewrite": _rewrites},
    ),
    st.fixed_dictionaries({"redirect": _redirects}, optional=_common),
    st.fixed_dictionaries({"directResponse": _direct}, optional=_common),
)
_hosts = st.sampled_from([*SERVICES, "ext.example.com", "*.example.com", "*.svc.cluster.local", "10.0.0.1"])
_gateways = st.sampled_from([[], ["mesh"], ["edge"], ["edge", "mesh"]])


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


@st.composite
def virtual_services(draw: st.DrawFn, rules: int = 4) -> dict[str, Any]:
    spec = {
        "hosts": [draw(_hosts)],
        "gateways": draw(_gateways),
        "http": draw(st.lists(_rules, min_size=1, max_size=rules)),
    }
    return _document("VirtualService", f"vs-{draw(st.integers(0, 10**6))}", spec)


_pools = st.fixed_dictionaries(
    {"http": st.fixed_dictionaries({}, optional={"maxRetries": st.integers(0, 9), "idleTimeout": _durations})},
    optional={"tcp": st.fixed_dictionaries({}, optional={"connectTimeout": _durations})},
)
_ejection = st.fixed_dictionaries(
    {},
    optional={
        "consecutive5xxErrors": st.integers(0, 2**32 - 1),
        "consecutiveGatewayErrors": st.integers(0, 9),
        "interval": _durations,
        "baseEjectionTime": _durations,
        "maxEjectionPercent": st.integers(0, 100),
        "minHealthPercent": st.integers(0, 100),
        "splitExternalLocalOriginErrors": st.booleans(),
    },
)
_hash_keys = st.sampled_from(
    [
        {},
        {"httpHeaderName": "x-user"},
        {"httpQueryParameterName": "q"},
        {"useSourceIp": True},
        {"httpCookie": {"name": "c"}},
        {"httpCookie": {"name": "c", "ttl": "0s", "path": "/", "attributes": [{"name": "SameSite", "value": "Lax"}]}},
    ]
)
_hash_tables = st.sampled_from([{}, {"ringHash": {"minimumRingSize": 7}}, {"maglev": {"tableSize": 101}}])
_settings = {
    "loadBalancer": st.builds(
        lambda word: {"simple": word}, st.sampled_from(["ROUND_ROBIN", "RANDOM", "LEAST_CONN", "LEAST_REQUEST"])
    )
    | st.builds(lambda key, table: {"consistentHash": {**key, **table}}, _hash_keys, _hash_tables),
    "outlierDetection": _ejection,
}
_port_settings = st.fixed_dictionaries({"port": _ports, "connectionPool": _pools}, optional=_settings)
_policies = st.fixed_dictionaries(
    {"connectionPool": _pools},
    optional={**_settings, "portLevelSettings": st.lists(_port_settings, max_size=1)},
)


@st.composite
def destination_rules(draw: st.DrawFn) -> dict[str, Any]:
    subsets = [
        {
            "name": name,
            "labels": {"version": name},
            **draw(st.fixed_dictionaries({}, optional={"trafficPolicy": _policies})),
        }
        for name in ("v1", "v2")
    ]
    spec: dict[str, Any] = {"host": draw(st.sampled_from([*SERVICES, "*.example.com", "*.local"])), "subsets": subsets}
    if draw(st.booleans()):
        spec["trafficPolicy"] = draw(_policies)
    return _document("DestinationRule", f"dr-{draw(st.integers(0, 10**6))}", spec)


GATEWAY = _document(
    "Gateway",
    "edge",
    {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
            {"port": {"number": 8081, "name": "few", "protocol": "HTTP"}, "hosts": ["*.example.com"]},
        ],
    },
)
