"""Each `%COMMAND%` as a Python expression over `x` (the exchange) and `n` (now, in loop seconds).

`formatter` puts the expressions into one function. An expression may use the names that `namespace` provides and the
constants of its `Scope`; nothing of a configuration's text becomes source except as `repr()` of a constant.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from json import dumps
from typing import Any

from mesh.clock import Clock
from sidecar.http.exchange import WHY
from sidecar.http.head import HOP_HEADERS
from sidecar.http.headers import Headers
from sidecar.http.response_flags import flags_text
from sidecar.telemetry import measures
from sidecar.telemetry.expression import (
    BYTES,
    NUMBER,
    PLAIN,
    REQUEST,
    RESPONSE,
    TEXT,
    VALUE,
    Expression,
    Scope,
    refuse,
)
from sidecar.telemetry.start_time import StartTime

_FLAG_NAMES = {
    "UH": "NoHealthyUpstream", "UF": "UpstreamConnectionFailure", "UO": "UpstreamOverflow", "NR": "NoRouteFound",
    "URX": "UpstreamRetryLimitExceeded", "NC": "NoClusterFound", "DT": "DurationTimeout",
    "DC": "DownstreamConnectionTermination", "LH": "FailedLocalHealthCheck", "UT": "UpstreamRequestTimeout",
    "LR": "LocalReset", "UR": "UpstreamRemoteReset", "UC": "UpstreamConnectionTermination", "DI": "DelayInjected",
    "FI": "FaultInjected", "RL": "RateLimited", "UAEX": "UnauthorizedExternalService",
    "RLSE": "RateLimitServiceError", "IH": "InvalidEnvoyRequestHeaders", "SI": "StreamIdleTimeout",
    "DPE": "DownstreamProtocolError", "UPE": "UpstreamProtocolError", "UMSDR": "UpstreamMaxStreamDurationReached",
    "OM": "OverloadManagerTerminated", "DF": "DnsResolutionFailed", "DO": "DropOverload",
    "DR": "DownstreamRemoteReset", "RFCF": "ResponseFromCacheFilter", "NFCF": "NoFilterConfigFound",
}  # fmt: skip

# Headers whose repetitions Envoy joins as it reads them; of any other header it logs the first.
JOINED = frozenset(
    (b"accept", b"content-type", b"forwarded", b"origin", b"referer", b"user-agent", b"via", b"x-forwarded-for")
)
_HEADER_NAME = re.compile(r":?[!#$&'*+.^_`|~0-9A-Za-z-]+")


def by_name(headers: Headers) -> Mapping[bytes, bytes]:
    """Headers for several look-ups."""
    found = dict(headers)
    if len(found) != len(headers):
        found = {}
        for name, value in headers:
            if name not in found:
                found[name] = value
            elif name in JOINED:
                found[name] += b"," + value
    return found


def _address(source: str) -> str:
    """model.Address.__str__, in place: a line has three of them."""
    return f"((i + ':' if ':' not in (i := (a := {source}).host) else '[' + i + ']:') + str(a.port))"


def long_flags_text(flags: int) -> str:
    if not flags:
        return "-"
    return ",".join(_FLAG_NAMES[name] for name in flags_text(flags).split(","))


class FormattedTime:
    """`%START_TIME(FORMAT)%`: strftime's letters, `%s` Unix seconds, `%f` and `%1f` … `%9f` digits of the second."""

    _FRACTION = re.compile(r"%([1-9]?)f|%s")

    def __init__(self, clock: Clock, pattern: str, local: bool) -> None:
        self._clock = clock
        self._local = local
        if not local:
            pattern = pattern.replace("%Z", "UTC")  # time.strftime would say GMT
        self._parts: list[tuple[str, str]] = []  # (strftime text, what follows it: "s", digits or "")
        position = 0
        for match in self._FRACTION.finditer(pattern):
            follows = "s" if match[0] == "%s" else match[1] or "9"
            self._parts.append((pattern[position : match.start()], follows))
            position = match.end()
        self._parts.append((pattern[position:], ""))

    def __call__(self, moment: float) -> str:
        nanoseconds = int((moment + self._clock.wall() - self._clock.monotonic()) * 1_000_000) * 1_000
        second, fraction = divmod(nanoseconds, 1_000_000_000)
        broken_down = time.localtime(second) if self._local else time.gmtime(second)
        text = ""
        for plain, follows in self._parts:
            text += time.strftime(plain, broken_down) if "%" in plain else plain
            if follows == "s":
                text += str(second)
            elif follows:
                text += f"{fraction:09d}"[: int(follows)]
        return text


# ── commands without parameters ───────────────────────────────────────────────────────────────────────────────────────

_DOWNSTREAM = {
    "DOWNSTREAM_REMOTE": "x.client",
    "DOWNSTREAM_LOCAL": "x.downstream.local",
    "DOWNSTREAM_DIRECT_REMOTE": "x.downstream.remote",
    "DOWNSTREAM_DIRECT_LOCAL": "x.downstream.local",
}

_PLAIN_COMMANDS: dict[str, Expression] = {
    "PROTOCOL": Expression("x.protocol", PLAIN, True, True),
    "RESPONSE_CODE": Expression("x.status", NUMBER),
    "RESPONSE_FLAGS": Expression("flags_text(x.flags) if x.flags else '-'", PLAIN),
    "RESPONSE_FLAGS_LONG": Expression("long_flags_text(x.flags)", PLAIN),
    "CONNECTION_TERMINATION_DETAILS": Expression("x.termination", TEXT, True, True),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": Expression("x.upstream_failure", TEXT, True, True),
    "BYTES_RECEIVED": Expression("x.bytes_received", NUMBER),
    "BYTES_SENT": Expression("x.bytes_sent", NUMBER),
    "DURATION": Expression("int((n - x.started) * 1000)", NUMBER),
    "UPSTREAM_HOST": Expression("e.name if (e := x.endpoint) else None", PLAIN, True),
    # UPSTREAM_HOST is who was picked, UPSTREAM_REMOTE_ADDRESS who was connected to.
    "UPSTREAM_REMOTE_ADDRESS": Expression("e.name if (e := x.endpoint) and x.upstream_local else None", PLAIN, True),
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": Expression(
        "e.address.host if (e := x.endpoint) and x.upstream_local else None", TEXT, True
    ),
    "UPSTREAM_REMOTE_PORT": Expression(
        "e.address.port if (e := x.endpoint) and x.upstream_local else None", NUMBER, True
    ),
    "UPSTREAM_CLUSTER": Expression("(c.config.alt_stat_name or c.name) if (c := x.cluster) else None", TEXT, True),
    "UPSTREAM_CLUSTER_RAW": Expression("c.name if (c := x.cluster) else None", TEXT, True),
    "UPSTREAM_LOCAL_ADDRESS": Expression("x.upstream_local", PLAIN, True, True),
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": Expression("host_of(x.upstream_local)", PLAIN, True),
    "UPSTREAM_LOCAL_PORT": Expression("port_of(x.upstream_local)", NUMBER, True),
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": Expression("x.attempts", NUMBER),
    "REQUESTED_SERVER_NAME": Expression("getattr(x.downstream, 'server_name', '')", TEXT, True, True),
    "ROUTE_NAME": Expression("t.name if (t := x.route) else None", TEXT, True, True),
    "VIRTUAL_CLUSTER_NAME": Expression("None", TEXT, True),
    "STREAM_ID": Expression("x.request_id", BYTES, True, True),
    "TRACE_ID": Expression("t.trace_id if (t := x.trace) else None", BYTES, True),
    "UPSTREAM_HOST_NAME": Expression("(e.endpoint.hostname or e.name) if (e := x.endpoint) else None", TEXT, True),
    "UPSTREAM_HOST_NAME_WITHOUT_PORT": Expression(
        "(e.endpoint.hostname or e.address.host) if (e := x.endpoint) else None", TEXT, True
    ),
    "UPSTREAM_PROTOCOL": Expression("'HTTP/1.1' if x.upstream_local and x.protocol else None", PLAIN, True),
    "SPAN_ID": Expression("t.span_id if (t := x.trace) else None", BYTES, True),
    "CUSTOM_FLAGS": Expression("''", PLAIN),
    **measures.PLAIN_COMMANDS,
}  # fmt: skip
for _name, _source in _DOWNSTREAM.items():
    _PLAIN_COMMANDS[f"{_name}_ADDRESS"] = Expression(_address(_source), PLAIN)
    _PLAIN_COMMANDS[f"{_name}_ADDRESS_WITHOUT_PORT"] = Expression(f"{_source}.host", TEXT)
    _PLAIN_COMMANDS[f"{_name}_PORT"] = Expression(f"{_source}.port", NUMBER)

_REQUEST_PSEUDO = {
    ":method": "x.method or None",
    ":path": "x.path or None",
    ":authority": 'x.authority if x.authority or b"host" in x.hop_headers else None',
    "host": 'x.authority if x.authority or b"host" in x.hop_headers else None',
    ":scheme": "x.scheme if x.method else None",
    # Both live in the exchange: the headers that go upstream hold them only from the rewrite on.
    "x-envoy-original-path": "x.original_path or {lookup}",
    "x-request-id": "x.request_id or {lookup}",
}
_ADDRESS = re.compile(r"(.*):(\d+)")


def _host_of(address: str) -> str | None:
    match = _ADDRESS.fullmatch(address)
    return match[1].strip("[]") if match else None


def _port_of(address: str) -> int | None:
    match = _ADDRESS.fullmatch(address)
    return int(match[2]) if match else None


def namespace(scope: Scope) -> dict[str, Any]:
    """What generated functions see."""
    return {
        **measures.NAMES,
        "as_text": as_text,
        "by_name": by_name,
        "flags_text": flags_text,
        "host_of": _host_of,
        "long_flags_text": long_flags_text,
        "lookup_metadata": lookup_metadata,
        "port_of": _port_of,
        "query_parameter": query_parameter,
        **scope.names,
    }


# ── commands with parameters ──────────────────────────────────────────────────────────────────────────────────────────


def query_parameter(path: bytes, name: bytes) -> bytes | None:
    """The first value of a query parameter, as it stands in the path."""
    _, found, query = path.partition(b"?")
    if found:
        for pair in query.split(b"&"):
            key, _, value = pair.partition(b"=")
            if key == name:
                return value
    return None


def lookup_metadata(metadata: Any, keys: tuple[str, ...]) -> Any:
    """A value deep in filter metadata."""
    for key in keys:
        if not isinstance(metadata, Mapping) or key not in metadata:
            return None
        metadata = metadata[key]
    return metadata


def _header(scope: Scope, argument: str, length: int | None, which: str) -> Expression:
    names = argument.split("?")
    if len(names) > 2:
        raise refuse(f"more than one alternative header in {argument!r}")
    for name in names:
        if not _HEADER_NAME.fullmatch(name):
            raise refuse(f"{name!r} is not a header name")
    sources = [_one_header(scope, name.lower(), which) for name in names]
    if len(sources) == 1:
        source = sources[0]
    else:
        source = f"v if (v := {sources[0]}) is not None else {sources[1]}"
    if length is not None:
        source = f"v[:{length}] if (v := ({source})) is not None else None"
    return Expression(source, BYTES, True)


def _one_header(scope: Scope, name: str, which: str) -> str:
    if which == RESPONSE and name == ":status":
        return "(b'%d' % x.status if x.status else None)"
    pseudo = _REQUEST_PSEUDO.get(name) if which == REQUEST else None
    if pseudo and "{lookup}" not in pseudo:
        return f"({pseudo})"
    lookup = scope.header(which, name.encode())
    if which == REQUEST and name.encode() in HOP_HEADERS:
        lookup = f"{lookup} or x.hop_headers.get({scope.constant(name.encode())})"
    return f"({pseudo.format(lookup=lookup)})" if pseudo else lookup


def _request_header(scope: Scope, argument: str, length: int | None) -> Expression:
    return _header(scope, argument, length, REQUEST)


def _response_header(scope: Scope, argument: str, length: int | None) -> Expression:
    return _header(scope, argument, length, RESPONSE)


def _request_header_without_query(scope: Scope, argument: str, length: int | None) -> Expression:
    whole = _header(scope, argument, None, REQUEST)
    return Expression(
        _cut(f"(w.partition(b'?')[0] if (w := {whole.source}) is not None else None)", length), BYTES, True
    )


def _environment(scope: Scope, argument: str, length: int | None) -> Expression:
    value = os.environ.get(argument)
    return Expression(scope.constant(value[:length] if value is not None else "-"), TEXT)


def _query_param(scope: Scope, argument: str, length: int | None) -> Expression:
    source = f"query_parameter(x.original_path or x.path, {scope.constant(argument.encode())})"
    return Expression(_cut(source, length), BYTES, True)


_METADATA_OWNERS = {
    "ROUTE": "(x.route.config.metadata if x.route else None)",
    "CLUSTER": "(x.cluster.config.metadata if x.cluster else None)",
    "UPSTREAM_HOST": "(x.endpoint.endpoint.metadata if x.endpoint else None)",
}


def _metadata(scope: Scope, argument: str, length: int | None) -> Expression:
    owner, *keys = argument.split(":")
    if owner not in _METADATA_OWNERS or not keys:
        raise refuse(f"METADATA({argument}): only {', '.join(_METADATA_OWNERS)} with a namespace are known")
    source = f"lookup_metadata({_METADATA_OWNERS[owner]}, {tuple(keys)!r})"
    if length is None:
        return Expression(source, VALUE, True)
    return Expression(f"as_text(v)[:{length}] if (v := {source}) is not None else None", TEXT, True)


def _owned_metadata(owner: str) -> Callable[[Scope, str, int | None], Expression]:
    return lambda scope, argument, length: _metadata(scope, f"{owner}:{argument}", length)


def as_text(value: Any) -> str:
    """A value of metadata in a line of text."""
    return value if isinstance(value, str) else dumps(value, separators=(",", ":"), sort_keys=True)


def _cut(source: str, length: int | None) -> str:
    return source if length is None else f"v[:{length}] if (v := {source}) is not None else None"


def _dynamic_metadata(argument: str, length: int | None) -> Expression:
    """`mesh:why` is the reason of a local reply; filters here leave nothing else."""
    return Expression(_cut(f"x.kept({WHY!r})", length) if argument == "mesh:why" else "None", TEXT, True)


_PARAMETER_COMMANDS: dict[str, Callable[[Scope, str, int | None], Expression]] = {
    "REQ": _request_header,
    "REQUEST_HEADER": _request_header,
    "RESP": _response_header,
    "RESPONSE_HEADER": _response_header,
    "ENVIRONMENT": _environment,
    "QUERY_PARAM": _query_param,
    "METADATA": _metadata,
    "CLUSTER_METADATA": _owned_metadata("CLUSTER"),
    "UPSTREAM_METADATA": _owned_metadata("UPSTREAM_HOST"),
    "DYNAMIC_METADATA": lambda _scope, argument, length: _dynamic_metadata(argument, length),
    "REQ_WITHOUT_QUERY": _request_header_without_query,
    "COMMON_DURATION": measures.common_duration,
    "TRAILER": measures.trailer,
    "RESPONSE_TRAILER": measures.trailer,
}


def _time(scope: Scope, argument: str | None, local: bool, moment: str) -> Expression:
    call: Callable[[float], str]
    if argument is None and not local:
        call = StartTime(scope.clock).text
    else:
        call = FormattedTime(scope.clock, argument or "%Y-%m-%dT%H:%M:%S.%3f%z", local)
    return Expression(f"{scope.constant(call)}({moment})", TEXT if argument else PLAIN)


def _path(argument: str | None, length: int | None) -> Expression:
    """`PATH(WQ|NQ[:ORIG|PATH|ORIG_OR_PATH])`."""
    query, _, which = (argument or "WQ").partition(":")
    sources = {"PATH": "x.path", "ORIG": "(x.original_path or None)", "ORIG_OR_PATH": "(x.original_path or x.path)"}
    if query not in ("WQ", "NQ") or (which or "ORIG_OR_PATH") not in sources:
        raise refuse(f"PATH({argument}): expected WQ or NQ, and PATH, ORIG or ORIG_OR_PATH")
    source = sources[which or "ORIG_OR_PATH"]
    if query == "NQ":
        source = f"(v.partition(b'?')[0] if (v := {source}) is not None else None)"
    return Expression(_cut(source, length), BYTES, True)


def _details(argument: str | None) -> Expression:
    """Spaces become underscores, so that the words of a line can be counted, unless the log asks for them."""
    if argument is None:
        return Expression("d if ' ' not in (d := x.details) else d.replace(' ', '_')", TEXT, True, True)
    if argument != "ALLOW_WHITESPACES":
        raise refuse(f"RESPONSE_CODE_DETAILS({argument}): expected ALLOW_WHITESPACES")
    return Expression("x.details", TEXT, True, True)


_TIMES = {"START_TIME": "x.started", "START_TIME_LOCAL": "x.started", "EMIT_TIME": "n", "EMIT_TIME_LOCAL": "n"}
# What is known when the format is compiled.
_CONSTANTS: dict[str, Callable[[Scope], str]] = {
    "HOSTNAME": lambda _scope: socket.gethostname(),
    "ACCESS_LOG_TYPE": lambda scope: scope.occasion.log_type,
    "FILTER_CHAIN_NAME": lambda scope: scope.occasion.filter_chain,
}


def compile_command(scope: Scope, name: str, argument: str | None, length: int | None) -> Expression:
    """The expression of one command; ConfigError names what is unknown or wrong."""
    if name in _TIMES and length is None:
        return _time(scope, argument, name.endswith("LOCAL"), _TIMES[name])
    if name == "PATH":
        return _path(argument, length)
    if name == "RESPONSE_CODE_DETAILS" and length is None:
        return _details(argument)
    if name in ("GRPC_STATUS", "GRPC_STATUS_NUMBER") and length is None:
        return measures.grpc_status_command(name, argument)
    if name in _PARAMETER_COMMANDS:
        if not argument:
            raise refuse(f"{name} requires parameters")
        return _PARAMETER_COMMANDS[name](scope, argument, length)
    if name in measures.NOT_IMPLEMENTED:
        raise refuse(f"%{name}% is not implemented: {measures.NOT_IMPLEMENTED[name]}")
    if (
        name not in _PLAIN_COMMANDS
        and name not in _CONSTANTS
        and name not in _TIMES
        and name != "RESPONSE_CODE_DETAILS"
    ):
        raise refuse(f"unknown command %{name}%")
    if argument is not None or length is not None:
        raise refuse(f"{name} does not take any parameters or length")
    if name in _CONSTANTS:
        value = _CONSTANTS[name](scope)
        return Expression(scope.constant(value), TEXT, True, True)
    return _PLAIN_COMMANDS[name]
