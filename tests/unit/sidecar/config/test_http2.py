"""http2_protocol_options."""

from typing import Any

import pytest
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.http2 import http2_options
from sidecar.config.http2_model import Http2, Keepalive
from sidecar.config.reader import Reader


def compiled(**options: Any) -> Http2:
    reader = Reader(ParseDict(options, Http2ProtocolOptions()))
    made = http2_options(reader)
    reader.finish()
    return made


def test_envoys_defaults() -> None:
    assert compiled() == http2_options(None) == Http2()


def test_every_field() -> None:
    limits = {
        "hpack_table_size": 1,
        "max_concurrent_streams": 2,
        "initial_stream_window_size": 70000,
        "initial_connection_window_size": 80000,
        "allow_connect": True,
        "max_outbound_frames": 3,
        "max_outbound_control_frames": 4,
        "max_consecutive_inbound_frames_with_empty_payload": 5,
        "max_inbound_priority_frames_per_stream": 6,
        "max_inbound_window_update_frames_per_data_frame_sent": 7,
    }
    made = compiled(
        **limits,
        override_stream_error_on_invalid_http_message=True,
        custom_settings_parameters=[{"identifier": 0x4D44, "value": 9}],
        connection_keepalive={
            "interval": "1s",
            "timeout": "2s",
            "interval_jitter": {"value": 20},
        },
    )
    assert made == Http2(
        **limits,
        stream_error_on_invalid_http_message=True,
        custom_settings=((0x4D44, 9),),
        keepalive=Keepalive(1.0, 2.0, 0.2),
    )


def test_the_old_name_of_what_a_bad_message_ends() -> None:
    assert compiled(stream_error_on_invalid_http_messaging=True).stream_error_on_invalid_http_message
    assert not compiled(
        stream_error_on_invalid_http_messaging=True, override_stream_error_on_invalid_http_message=False
    ).stream_error_on_invalid_http_message


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"allow_metadata": True}, "only false is"),
        ({"connection_keepalive": {"interval": "1s"}}, "timeout: is required"),
        ({"custom_settings_parameters": [{"identifier": 2, "value": 1}]}, "push is not offered"),
        ({"custom_settings_parameters": [{"identifier": 4, "value": 1}]}, "initial_stream_window_size"),
        (
            {"custom_settings_parameters": [{"identifier": 9, "value": 1}, {"identifier": 9, "value": 2}]},
            "given twice",
        ),
    ],
)
def test_refusals(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        compiled(**options)


def test_pings_ahead_of_streams_alone() -> None:
    asked = compiled(connection_keepalive={"timeout": "1s", "connection_idle_interval": "3s"}).keepalive
    assert asked == Keepalive(0.0, 1.0, 0.15, 3.0)
