"""RouteConfiguration → RouteConfig."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sidecar.config.common import data_source, header_ops, substitution
from sidecar.config.filters import per_route_filters
from sidecar.config.forward import forward
from sidecar.config.match import route_match
from sidecar.config.mirrors import mirrors
from sidecar.config.model import (
    DirectResponse,
    Forward,
    Redirect,
    RequireTls,
    Route,
    RouteConfig,
    VirtualHost,
)
from sidecar.config.reader import Reader
from sidecar.config.retry import hedges, retry_policy
from sidecar.config.route_model import MAX_DIRECT_RESPONSE
from sidecar.config.source import ads_source

_REDIRECT_CODES = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
_ACTIONS = ("route", "redirect", "direct_response")


def compile_route_config(message: Any) -> RouteConfig:
    """An envoy.config.route.v3.RouteConfiguration; ConfigError with everything that is wrong in it."""
    reader = Reader(message)
    config = route_config(reader)
    reader.finish()
    return config


def compile_virtual_host(message: Any) -> VirtualHost:
    """An envoy.config.route.v3.VirtualHost that is a resource itself. How long its direct responses may be, the route
    configuration says that it belongs to (`longest_body`)."""
    reader = Reader(message)
    host = replace(_virtual_host(reader, sys.maxsize), source=message.SerializeToString(deterministic=True))
    reader.finish()
    return host


def longest_body(host: VirtualHost) -> int:
    """In bytes, of a virtual host's direct responses."""
    actions = (route.action for route in host.routes)
    return max((len(action.body) for action in actions if isinstance(action, DirectResponse)), default=0)


def route_config(reader: Reader) -> RouteConfig:
    """The same within another resource: an HTTP connection manager's inline `route_config`."""
    body_limit = reader.number("max_direct_response_body_size_bytes", MAX_DIRECT_RESPONSE)
    hosts = reader.children("virtual_hosts")
    config = RouteConfig(
        name=reader.text("name"),
        virtual_hosts=tuple(_virtual_host(each, body_limit) for each in hosts),
        request_ops=header_ops(reader, "request"),
        response_ops=header_ops(reader, "response"),
        filters=_filters(reader),
        ignore_port_in_host=reader.flag("ignore_port_in_host_matching"),
        specific_last=reader.flag("most_specific_header_mutations_wins"),
        mirrors=mirrors(reader),
        validate_clusters=reader.flag("validate_clusters", True) if reader.has("validate_clusters") else None,
        vhds=_vhds(reader.child("vhds")),
        body_limit=body_limit,
        source=reader.message.SerializeToString(deterministic=True),
    )
    _check_domains(config, hosts)
    return config


def _vhds(reader: Reader | None) -> bool:
    """Whether virtual hosts come one by one. How long they are waited for, the listener says that waits for its routes."""
    if reader is not None:
        ads_source(reader, "config_source")
    return reader is not None


def _check_domains(config: RouteConfig, readers: list[Reader]) -> None:
    """One virtual host a domain."""
    domains: dict[str, str] = {}
    for host, reader in zip(config.virtual_hosts, readers, strict=True):
        for index, domain in enumerate(host.domains):
            other = domains.get(domain.lower())
            if other is not None:
                reader.problem(f"{domain!r} is a domain of virtual host {other!r} already", f"domains[{index}]")
            domains[domain.lower()] = host.name


def _virtual_host(reader: Reader, body_limit: int) -> VirtualHost:
    return VirtualHost(
        name=reader.text("name"),
        domains=reader.values("domains"),
        routes=reader.all_interned("routes", _route, body_limit),
        request_ops=header_ops(reader, "request"),
        response_ops=header_ops(reader, "response"),
        retry=reader.interned("retry_policy", retry_policy),
        include_attempt_count=reader.flag("include_request_attempt_count"),
        include_attempt_count_in_response=reader.flag("include_attempt_count_in_response"),
        hedges=bool(hedges(reader)),
        require_tls=RequireTls(reader.enum("require_tls")),
        include_is_timeout_retry=reader.flag("include_is_timeout_retry_header"),
        filters=_filters(reader),
        retry_buffer=_retry_buffer(reader),
        mirrors=mirrors(reader),
    )


def _retry_buffer(reader: Reader) -> int | None:
    """The two spellings of the limit; the newer one wins."""
    old = reader.optional_number("per_request_buffer_limit_bytes")
    new = reader.optional_number("request_body_buffer_limit")
    return old if new is None else new


def _filters(reader: Reader) -> Mapping[str, Any]:
    return per_route_filters(reader) if reader.has("typed_per_filter_config") else {}


def _route(reader: Reader, body_limit: int) -> Route:
    kind = reader.one_of(*_ACTIONS)
    action = reader.child(kind) if kind else None
    compiled: Forward | Redirect | DirectResponse
    if action is None:
        if not reader.has("filter_action") and not reader.has("non_forwarding_action"):
            reader.problem(f"needs one of {', '.join(_ACTIONS)}")
        compiled = DirectResponse(404)
    elif kind == "route":
        compiled = forward(action)
    elif kind == "redirect":
        compiled = _redirect(action)
    else:
        compiled = _direct_response(action, body_limit)
    return Route(
        match=route_match(reader.child("match")),
        action=compiled,
        name=reader.text("name"),
        request_ops=header_ops(reader, "request"),
        response_ops=header_ops(reader, "response"),
        filters=_filters(reader),
        metadata=reader.metadata("metadata"),
        **_decorator(reader.child("decorator")),
        retry_buffer=_retry_buffer(reader),
    )


def _decorator(reader: Reader | None) -> dict[str, Any]:
    if reader is None:
        return {}
    return {"decorator": reader.text("operation"), "propagate_decorator": reader.flag("propagate", True)}


def _redirect(reader: Reader) -> Redirect:
    return Redirect(
        code=_REDIRECT_CODES.get(reader.enum("response_code"), 301),
        scheme=reader.text("scheme_redirect").lower(),
        https=reader.flag("https_redirect"),
        host=reader.text("host_redirect"),
        port=reader.number("port_redirect"),
        path=reader.text("path_redirect"),
        prefix=reader.text("prefix_rewrite") if reader.has("prefix_rewrite") else None,
        regex=substitution(reader.child("regex_rewrite")),
        strip_query=reader.flag("strip_query"),
    )


def _direct_response(reader: Reader, body_limit: int) -> DirectResponse:
    body = reader.child("body")
    content = data_source(body) if body is not None else b""
    if body is not None and len(content) > body_limit:
        body.problem(f"the body has {len(content)} bytes, at most {body_limit} are allowed")
    return DirectResponse(reader.number("status"), content)
