"""Http2ProtocolOptions → Http2, for either side of a proxy."""

from __future__ import annotations

from typing import Final

from sidecar.config.http2_model import Http2, Keepalive
from sidecar.config.reader import Reader

# Settings that have a field of their own, or that may only be what they are.
_NAMED_SETTINGS: Final = {1: "hpack_table_size", 2: "", 3: "max_concurrent_streams", 4: "initial_stream_window_size"}


def http2_options(reader: Reader | None) -> Http2:
    """Envoy's defaults where nothing is said."""
    default = Http2()
    if reader is None:
        return default
    reader.only("allow_metadata", False)
    reader.flag("use_oghttp2_codec")  # which codec Envoy uses
    reader.number("max_metadata_size")
    invalid = reader.flag("stream_error_on_invalid_http_messaging")
    number = reader.number
    return Http2(
        hpack_table_size=number("hpack_table_size", default.hpack_table_size),
        max_concurrent_streams=number("max_concurrent_streams", default.max_concurrent_streams),
        initial_stream_window_size=number("initial_stream_window_size", default.initial_stream_window_size),
        initial_connection_window_size=number("initial_connection_window_size", default.initial_connection_window_size),
        allow_connect=reader.flag("allow_connect"),
        max_outbound_frames=number("max_outbound_frames", default.max_outbound_frames),
        max_outbound_control_frames=number("max_outbound_control_frames", default.max_outbound_control_frames),
        max_consecutive_inbound_frames_with_empty_payload=number(
            "max_consecutive_inbound_frames_with_empty_payload",
            default.max_consecutive_inbound_frames_with_empty_payload,
        ),
        max_inbound_priority_frames_per_stream=number(
            "max_inbound_priority_frames_per_stream", default.max_inbound_priority_frames_per_stream
        ),
        max_inbound_window_update_frames_per_data_frame_sent=number(
            "max_inbound_window_update_frames_per_data_frame_sent",
            default.max_inbound_window_update_frames_per_data_frame_sent,
        ),
        stream_error_on_invalid_http_message=reader.flag("override_stream_error_on_invalid_http_message", invalid),
        custom_settings=_custom(reader),
        keepalive=_keepalive(reader.child("connection_keepalive")),
    )


def _custom(reader: Reader) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    for each in reader.children("custom_settings_parameters"):
        identifier, value = each.number("identifier"), each.number("value")
        if identifier in _NAMED_SETTINGS:
            field = _NAMED_SETTINGS[identifier]
            each.problem(f"has a field of its own: {field}" if field else "server push is not offered", "identifier")
        elif identifier in found and found[identifier] != value:
            each.problem(f"setting {identifier} is given twice, with different values", "identifier")
        found[identifier] = value
    return tuple(found.items())


def _keepalive(reader: Reader | None) -> Keepalive:
    if reader is None:
        return Keepalive()
    timeout = reader.seconds("timeout")
    if not timeout:
        reader.problem("is required", "timeout")
    return Keepalive(
        interval=reader.seconds("interval"),
        timeout=timeout,
        jitter=reader.percent("interval_jitter", 15.0) / 100,
        idle_interval=reader.seconds("connection_idle_interval"),
    )
