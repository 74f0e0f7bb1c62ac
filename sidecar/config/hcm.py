"""HttpConnectionManager → Hcm."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation as EarlyHeaderMutation,
)
from envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import PreserveCaseFormatterConfig
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig

from sidecar.codec.key_case import PRESERVE, PRESERVE_OR_PROPER, PROPER
from sidecar.config.access_log import access_logs
from sidecar.config.common import cidr, typed
from sidecar.config.filters import http_filters
from sidecar.config.http2 import http2_options
from sidecar.config.local_reply import local_replies
from sidecar.config.model import Hcm, HeaderMutation, RouteConfig
from sidecar.config.mutations import header_mutation
from sidecar.config.reader import Reader
from sidecar.config.routes import route_config
from sidecar.config.source import ads_source
from sidecar.config.tracing import tracing
from sidecar.http.head import HOP_HEADERS

_PRESERVE_CASE: Final = {PreserveCaseFormatterConfig.DESCRIPTOR.full_name: None}
_EARLY: Final = {EarlyHeaderMutation.DESCRIPTOR.full_name: None}
_KEEPS_SLASHES: Final = ("IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED")
_UUID: Final = {UuidRequestIdConfig.DESCRIPTOR.full_name: None}
# An internal_address_config that names no ranges means these.
_PRIVATE_RANGES: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.1/32", "::1/128", "fd00::/8")
_IDLE_TIMEOUT: Final = 3600.0
_FETCH_TIMEOUT: Final = 15.0


def hcm(reader: Reader) -> Hcm:
    routes, rds, rds_timeout = _routes(reader)
    by_request_id = _by_request_id(reader)
    trace = reader.child("tracing")
    filters, metrics, keeps_to_mesh = http_filters(reader)
    return Hcm(
        stat_prefix=reader.text("stat_prefix"),
        filters=filters,
        metrics=metrics,
        keeps_to_mesh=keeps_to_mesh,
        suppress_envoy_headers=bool(filters) and getattr(filters[-1].config, "suppress_envoy_headers", False),
        routes=routes,
        rds=rds,
        rds_timeout=rds_timeout,
        access_logs=access_logs(reader),
        tracing=tracing(trace, by_request_id) if trace is not None else None,
        server_name=reader.text("server_name") or "envoy",
        server_header=reader.enum("server_header_transformation"),
        use_remote_address=reader.flag("use_remote_address"),
        xff_num_trusted_hops=reader.number("xff_num_trusted_hops"),
        forwards_client_cert=reader.enum("forward_client_cert_details") == "ALWAYS_FORWARD_ONLY",
        skip_xff_append=reader.flag("skip_xff_append"),
        internal_ranges=_internal(reader.child("internal_address_config")),
        via=reader.text("via"),
        generate_request_id=reader.flag("generate_request_id", True),
        preserve_external_request_id=reader.flag("preserve_external_request_id"),
        always_set_request_id_in_response=reader.flag("always_set_request_id_in_response"),
        normalize_path=reader.flag("normalize_path"),
        merge_slashes=reader.flag("merge_slashes"),
        strip_any_host_port=reader.flag("strip_any_host_port"),
        strip_matching_host_port=reader.flag("strip_matching_host_port"),
        max_request_headers_kb=reader.number("max_request_headers_kb", 60),
        stream_idle_timeout=reader.seconds("stream_idle_timeout", 300.0),
        request_timeout=reader.seconds("request_timeout"),
        request_headers_timeout=reader.seconds("request_headers_timeout"),
        delayed_close_timeout=reader.seconds("delayed_close_timeout", 1.0),
        drain_timeout=reader.seconds("drain_timeout", 5.0),
        upgrades=_upgrades(reader),
        codec=reader.word("codec_type", "AUTO", "HTTP1", "HTTP2"),
        http2=http2_options(reader.child("http2_protocol_options")),
        local_replies=local_replies(reader.child("local_reply_config")),
        **_head_rules(reader),
        **_log_options(reader),
        **_common_options(reader),
        **_http1_options(reader),
    )


def _routes(reader: Reader) -> tuple[RouteConfig | None, str, float]:
    """Inline routes, or the name of an RDS resource with its fetch time-out."""
    inline = reader.child("route_config")
    if inline is not None:
        routes = route_config(inline)
        if routes.vhds:
            inline.problem("is for route configurations that come over RDS", "vhds")
        return routes, "", _FETCH_TIMEOUT
    rds = reader.child("rds")
    if rds is None:
        return None, "", _FETCH_TIMEOUT
    name = rds.text("route_config_name")
    if not name:
        rds.problem("is required", "route_config_name")
    return None, name, ads_source(rds, "config_source")


def _by_request_id(reader: Reader) -> bool:
    """Whether the id of a request tells whether it is traced."""
    if reader.has("strip_any_host_port") and reader.has("strip_matching_host_port"):
        reader.problem("only one of strip_any_host_port and strip_matching_host_port may be set", "strip_any_host_port")
    if (identity := reader.child("request_id_extension")) is not None:
        _, config = identity.unpacked()
        if config is None or config.type not in _UUID:
            identity.problem(f"only {', '.join(_UUID)} is implemented", "typed_config")
        else:
            config.only("pack_trace_reason", True)
            return config.flag("use_request_id_for_trace_sampling", True)
    return True


def _head_rules(reader: Reader) -> dict[str, Any]:
    slashes = reader.enum("path_with_escaped_slashes_action")
    scheme = ""
    if (transformation := reader.child("scheme_header_transformation")) is not None:
        scheme = transformation.text("scheme_to_overwrite")
        transformation.only("match_upstream", False)
    return {
        "escaped_slashes": "" if slashes in _KEEPS_SLASHES else slashes,
        "strip_trailing_host_dot": reader.flag("strip_trailing_host_dot"),
        "add_user_agent": reader.flag("add_user_agent"),
        "scheme": scheme,
        "append_x_forwarded_port": reader.flag("append_x_forwarded_port"),
        "early_mutations": _early_mutations(reader),
        "keeps_after_bad_request": reader.flag("stream_error_on_invalid_http_message"),
        "proxies_continue": reader.flag("proxy_100_continue"),
        "ends_with_response": reader.flag("http1_safe_max_connection_duration"),
    }


def _early_mutations(reader: Reader) -> tuple[HeaderMutation, ...]:
    mutations: list[HeaderMutation] = []
    for each in reader.children("early_header_mutation_extensions"):
        _, config = typed(each, _EARLY, "early header mutation")
        if config is not None:
            mutations += (header_mutation(mutation, HOP_HEADERS) for mutation in config.children("mutations"))
    return tuple(mutations)


def _log_options(reader: Reader) -> dict[str, Any]:
    """`access_log_options`, or the fields that it has taken the place of."""
    interval, starts = reader.seconds("access_log_flush_interval"), reader.flag("flush_access_log_on_new_request")
    options = reader.child("access_log_options")
    if options is None:
        return {"log_interval": interval, "log_starts": starts}
    return {
        "log_interval": options.seconds("access_log_flush_interval") or interval,
        "log_starts": options.flag("flush_access_log_on_new_request") or starts,
        "log_tunnels": options.flag("flush_log_on_tunnel_successfully_established"),
    }


def _internal(reader: Reader | None) -> tuple[str, ...]:
    if reader is None:
        return ()
    reader.only("unix_sockets", False)
    return tuple(cidr(each) for each in reader.children("cidr_ranges")) or _PRIVATE_RANGES


def _common_options(parent: Reader) -> dict[str, Any]:
    reader = parent.child("common_http_protocol_options")
    if reader is None:
        return {}
    return {
        "underscores": reader.enum("headers_with_underscores_action"),
        "idle_timeout": reader.seconds("idle_timeout", _IDLE_TIMEOUT),
        "max_connection_duration": reader.seconds("max_connection_duration"),
        "max_stream_duration": reader.seconds("max_stream_duration"),
        "max_headers_count": reader.number("max_headers_count", 100),
        "max_requests_per_connection": reader.number("max_requests_per_connection"),
    }


def _http1_options(parent: Reader) -> dict[str, Any]:
    reader = parent.child("http_protocol_options")
    if reader is None:
        return {}
    http1_only(reader)
    return {
        "accept_http_10": reader.flag("accept_http_10"),
        "default_host": reader.text("default_host_for_http_10"),
        "enable_trailers": reader.flag("enable_trailers"),
        "header_spelling": header_spelling(reader.child("header_key_format")),
    }


def header_spelling(reader: Reader | None) -> str:
    """A HeaderKeyFormat, in `codec.key_case`'s words."""
    if reader is None:
        return ""
    if reader.child("proper_case_words") is not None:
        return PROPER
    formatter = reader.child("stateful_formatter")
    if formatter is None:
        return ""
    _, config = typed(formatter, _PRESERVE_CASE, "stateful header formatter")
    if config is None:
        return ""
    config.only("forward_reason_phrase", False)
    return PRESERVE_OR_PROPER if config.enum("formatter_type_on_envoy_headers") == "PROPER_CASE" else PRESERVE


def http1_only(reader: Reader) -> None:
    """Fields of Http1ProtocolOptions of which the default is all there is, on either side."""
    reader.only("allow_absolute_url", True)
    reader.only("override_stream_error_on_invalid_http_message", False)
    reader.flag("use_balsa_parser")  # which parser Envoy uses


def _upgrades(reader: Reader) -> frozenset[str]:
    enabled = set()
    seen = set()
    for each in reader.children("upgrade_configs"):
        kind = each.text("upgrade_type").lower()
        if kind in seen:
            each.problem(f"{kind!r} is listed twice", "upgrade_type")
        seen.add(kind)
        if each.flag("enabled", True):
            enabled.add(kind)
    return frozenset(enabled)
